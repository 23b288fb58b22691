"""Counter shards beside the session agents of their table."""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import CounterShard, SessionAgent
from ai_coordination_engine.store.records.entities import COUNTER_SHARDS, SESSION_AGENT
from ai_coordination_engine.store.transitions.counter_shards import join_key
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected
from benchmarks.harness.api import Calls
from tests.kit.stage import TENANT

JOIN = ("session", "join")
SHARD = join_key(JOIN, 0, 3)


def written(app: App) -> None:
    """A join and a counter shard of two of its edges, as versions stored it that had one model for
    both.
    """
    app.records.table(SESSION_AGENT).put_many(
        [
            SessionAgent(*JOIN, partition_key=TENANT, ordinal=9, unfinished={3}, in_degree=2),
            SessionAgent(
                *SHARD,
                partition_key=TENANT,
                coordination_uuid="c",
                ordinal=3,
                epoch=1,
                unfinished={7, 8},
                in_degree=2,
                upstream_failed=True,
                notes="why",
            ),
        ]
    )


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
def test_a_join_and_its_counter_shard_are_read_in_one_request_each_as_what_it_is(app: App) -> None:
    written(app)
    calls = Calls(app)
    found = app.records.get_many_of(
        TENANT, {SessionAgent: [JOIN, ("session", "none")], CounterShard: [SHARD]}, consistent=True
    )
    assert calls.taken() == {"BatchGetItem": 1}
    assert set(found[SessionAgent]) == {JOIN}
    assert set(found[CounterShard]) == {SHARD}
    assert type(found[SessionAgent][JOIN]) is SessionAgent
    shard = found[CounterShard][SHARD]
    assert type(shard) is CounterShard
    assert (shard.ordinal, shard.epoch, shard.unfinished, shard.in_degree) == (3, 1, {7, 8}, 2)
    assert (shard.upstream_failed, shard.notes) == (True, "why")


def test_an_edge_is_removed_from_a_counter_shard_once(app: App) -> None:
    written(app)
    first = app.counter_shards.finish_edge(TENANT, SHARD, 7, unsatisfied=True, note="other")
    assert isinstance(first, Applied)
    assert (first.record.unfinished, first.record.in_degree) == ({8}, 1)
    assert (first.record.unsatisfied, first.record.notes) == (True, "why")
    again = app.counter_shards.finish_edge(TENANT, SHARD, 7)
    assert isinstance(again, Rejected)
    assert again.record is not None
    assert (again.record.unfinished, again.record.in_degree) == ({8}, 1)


def test_a_counter_shard_is_filled_again_once_an_epoch(app: App) -> None:
    written(app)
    full = CounterShard(
        *SHARD, partition_key=TENANT, ordinal=3, unfinished={7, 8, 9}, in_degree=3, width=3
    )
    assert app.counter_shards.put_once(full) is False  # of another width
    app.counter_shards.refill(full, 1)
    app.counter_shards.refill(full, 2)
    app.counter_shards.finish_edge(TENANT, SHARD, 7)
    app.counter_shards.refill(full, 2)
    stored = app.records.get_stored(COUNTER_SHARDS, TENANT, SHARD)
    assert stored is not None
    assert (stored.epoch, stored.unfinished, stored.width) == (2, {8, 9}, 3)
