"""Counter shards: the unfinished predecessors of a wide join, spread over small items, so that
releasing an edge costs one write unit.

In one item, each of thousands of predecessors would rewrite the whole join. With shards, each
predecessor is removed from a shard of about a hundred, and the last one of a shard removes the
whole shard from the join. A session with many sinks is counted in the same way.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from ai_coordination_engine.domain.ids import sibling_uuid
from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.parent_keys import internal
from ai_coordination_engine.store.records.begun import agent_key_of
from ai_coordination_engine.store.records.entities import COUNTER_SHARDS
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.edges import removing
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.rows import row_condition

COUNTER_SHARD = 100  # predecessors of a join, or sinks of a session, that need no counter shards
_LAST = 2**32 - 1  # no agent has this ordinal


def how_many(edges: int, join: str = "all") -> int:
    """The counter shards over which so many predecessors are spread; 0 when the join counts them
    itself.
    """
    return (
        -(-edges // COUNTER_SHARD)
        if edges > COUNTER_SHARD and join in ("all", "all_terminal")
        else 0
    )


def spread(edges: Iterable[int], counter_shards: int) -> Mapping[int, set[int]]:
    """The edges (ordinals) by the number of their counter shard."""
    found: dict[int, set[int]] = defaultdict(set)
    for edge_id in edges:
        found[edge_id % counter_shards].add(edge_id)
    return found


def is_wide(agent: SessionAgent) -> bool:
    """Whether the agent's `unfinished` holds counter shards, so that its `in_degree` falls by their
    width.
    """
    return agent.counter_shards is not None


def join_key(join: Key, family: int, number: int) -> Key:
    """The key of a counter shard of the session agent under `join`; `family` tells expansions of a
    map apart.
    """
    return internal("counter_shard", *join, family), f"{number:06d}"


def sink_key(of: Session | SessionAgent, number: int) -> Key:
    """The key of a counter shard of the sinks of a session, or of an agent's session.

    It follows from the uuids of the agents that count, so that no session of the same uuid shares
    it.
    """
    if isinstance(of, SessionAgent):
        return internal("sinks", sibling_uuid(of.session_agent_uuid, _LAST)), f"{number:06d}"
    return internal("sinks", agent_key_of(of, _LAST)[1]), f"{number:06d}"


def keys_of(agents: Iterable[SessionAgent]) -> Iterator[Key]:
    """The keys of the counter shards that are found through planned agents: of their joins, and of
    their session's sinks.
    """
    sinks: dict[Key, int] = {}
    for agent in agents:
        for number in range(agent.counter_shards or 0):
            yield join_key(agent.key, 0, number)
        if agent.sink_count:
            sinks[sink_key(agent, 0)] = how_many(agent.sink_count)
    for (partition, _), count in sinks.items():
        yield from ((partition, f"{number:06d}") for number in range(count))


def counter_shard(
    key: Key, of: Session | SessionAgent, edges: set[int], ordinal: int | None = None
) -> CounterShard:
    """A new counter shard of these edges; its ordinal is its number unless another is given."""
    return CounterShard(
        *key,
        ordinal=int(key[1]) if ordinal is None else ordinal,
        partition_key=of.partition_key,
        coordination_uuid=of.coordination_uuid,
        unfinished=edges,
        in_degree=len(edges),
        width=len(edges),
    )


class CounterShards:
    """The counter shards of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._table = repository.table(COUNTER_SHARDS)
        self._clock = repository.clock

    def finish_edge(
        self,
        tenant: str,
        key: Key,
        edge_id: int,
        *,
        unsatisfied: bool = False,
        upstream_failed: bool = False,
        metered: bool = False,
        note: str | None = None,
    ) -> Outcome[CounterShard]:
        """Remove one edge from a counter shard, as `SessionAgents.finish_edge` does."""
        edge = removing(
            CounterShard,
            edge_id,
            1,
            unsatisfied=unsatisfied,
            upstream_failed=upstream_failed,
            metered=metered,
            note=note,
        )
        actions = [*edge, CounterShard.updated_at.set(self._clock.now())]
        is_open = row_condition(rows.FINISH_EDGE, CounterShard, {"edge_id": edge_id})
        try:
            return Applied(self._table.update(tenant, key, actions, is_open))
        except Refused as refused:
            return Rejected(refused.old)

    def put_once(self, counter_shard: CounterShard) -> bool:
        """Write a counter shard unless it exists, whatever has become of it. False when another
        item has its key.
        """
        try:
            self._table.put_new(counter_shard)
        except Refused:
            return False
        return True

    def refill(self, counter_shard: CounterShard, epoch: int) -> None:
        """Write a counter shard anew, once in each epoch."""
        counter_shard.epoch = epoch
        with suppress(Refused):
            self._table.put(
                counter_shard, row_condition(rows.REFILL, CounterShard, {"epoch": epoch})
            )
