"""What the sweep does when very many sessions of one tenant are due: counted, with DynamoDB in memory."""

from collections import Counter

from ai_coordination_engine.engine import reconcile
from ai_coordination_engine.store.entities import SESSION
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.session_transitions import watch_shard
from benchmarks.table import Row
from tests.histories import staged
from tests.sessions import Stage

CROWD = 25_000
QUIET = 20
TURN = 100


def measure() -> list[Row]:
    """The rows of the table."""
    with staged() as stage:
        _write(stage, "crowd", CROWD, late=1_000)
        _write(stage, "quiet", QUIET, late=1)
        stage.requests.clear()
        due = stage.app.steering.due(stage.clock.now().timestamp())
        queries = stage.requests["Query"]
        last = max(number for number, each in enumerate(due, 1) if each.partition_key == "quiet")
        shards = Counter(each.watch for each in due)
        largest = max(shards.values())
        stage.requests.clear()
        looked = reconcile.sweep(stage.app, hand_out=lambda shards: shards)
        calls = (stage.requests.total() - queries) / looked
    what = f"{CROWD:,} sessions of one tenant are due, and {QUIET} of another since a second: "
    how = "counted, DynamoDB in memory"
    return [
        Row(f"{what}when all of the latter have had their turn", f"≤ {TURN}, the first sweep", f"{last}th", how),
        Row(f"{what}requests that find all of them", "16 shards, by megabytes", f"{queries} Query", how),
        Row(f"{what}calls a session that only waits", "≤ 8", f"{calls:.1f}", how),
        Row(f"{what}turns of {TURN} one after another", "–", f"{-(-len(due) // TURN)} of one invocation", how),
        Row(
            f"{what}the same, an invocation for each shard",
            "a quarter",
            f"{-(-largest // TURN)} of each of {len(shards)} invocations at most",
            how,
        ),
    ]


def _write(stage: Stage, tenant: str, count: int, late: float) -> None:
    table, now = stage.app.records.table(SESSION), stage.clock.now()
    for number in range(count):
        uuid = f"{tenant}-{number}"
        session = Session("c", uuid, partition_key=tenant, status="in_progress", created_at=now, updated_at=now)
        session.watch, session.watch_at = watch_shard(tenant, uuid), now.timestamp() - late
        table.put_new(session)
