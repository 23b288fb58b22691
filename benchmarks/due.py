"""Count what the sweep does when very many sessions of one tenant are due, with DynamoDB
in memory.
"""

from collections import Counter

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.transitions.session_writes import watch_shard
from benchmarks.backends import in_process
from benchmarks.harness.api import Calls
from benchmarks.table import Row

CROWD = 25_000
QUIET = 20
ROUND = 100
SENDS = {"SendMessage", "SendMessageBatch"}


def measure() -> list[Row]:
    """Return the rows of the table."""
    with in_process() as app:
        calls = Calls(app)
        _write(app, "crowd", CROWD, late=1_000)
        _write(app, "quiet", QUIET, late=1)
        calls.taken()
        due = app.sessions.due(app.clock.now().timestamp())
        queries = calls.taken()["Query"]
        last = max(number for number, each in enumerate(due, 1) if each.partition_key == "quiet")
        shards = Counter(each.watch for each in due)
        largest = max(shards.values())
        looked = reconcile.sweep(app, delegate=lambda shards: shards)
        of_the_table = sum(count for name, count in calls.taken().items() if name not in SENDS)
        each_took = (of_the_table - queries) / looked
    what = f"{CROWD:,} sessions of one tenant are due, and {QUIET} of another since a second: "
    how = "counted, DynamoDB in memory"
    return [
        Row(
            f"{what}when all of the latter have had their turn",
            f"≤ {ROUND}, the first sweep",
            f"{last}th",
            how,
        ),
        Row(
            f"{what}requests that find all of them",
            "8 shards, by megabytes",
            f"{queries} Query",
            how,
        ),
        Row(f"{what}calls a session that only waits", "≤ 8", f"{each_took:.1f}", how),
        Row(
            f"{what}rounds of {ROUND} one after another",
            "–",
            f"{-(-len(due) // ROUND)} of one invocation",
            how,
        ),
        Row(
            f"{what}the same, an invocation for each shard",
            "a third",
            f"{-(-largest // ROUND)} of each of {len(shards)} invocations at most",
            how,
        ),
    ]


def _write(app: App, tenant: str, count: int, late: float) -> None:
    table, now = app.records.table(SESSION), app.clock.now()
    for number in range(count):
        uuid = f"{tenant}-{number}"
        session = Session(
            "c", uuid, partition_key=tenant, status="in_progress", created_at=now, updated_at=now
        )
        session.watch, session.watch_at = watch_shard(tenant, uuid), now.timestamp() - late
        table.put_new(session)
