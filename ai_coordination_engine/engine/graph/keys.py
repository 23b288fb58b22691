"""Keys of session agents and ids of edges, computed from the session, an ordinal and an epoch."""

from ai_coordination_engine.domain.graph import MAX_AGENTS
from ai_coordination_engine.domain.ids import sibling_uuid
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.records.begun import agent_key_of

MAX_ELEMENTS = 10_000  # elements of one map
# expansions of one map; the ordinals of all elements must fit into 32 bits (`domain.ids`)
MAX_EXPANSIONS = 40
# the first ordinal of questions (`planning.ask`), larger than that of every element
FIRST_QUESTION = (MAX_EXPANSIONS * (MAX_AGENTS + 1) + 1) * MAX_ELEMENTS
_NO_EDGE = -1  # the edge id of an agent that a client created
_EPOCH = 2**40  # larger than every ordinal


def agent_key(of: Session | SessionAgent, ordinal: int) -> Key:
    """The key of the session agent `ordinal` in the session `of`, or in that of the agent `of`."""
    if isinstance(of, SessionAgent):
        return of.session_uuid, sibling_uuid(of.session_agent_uuid, ordinal)
    return agent_key_of(of, ordinal)


def counts(session: Session, agent: SessionAgent) -> bool:
    """Whether the engine created the agent for this session.

    False for agents of clients, of an earlier session with the same uuid, and of other tries to
    start this one.
    """
    return (
        agent.ordinal is not None
        and agent.session_agent_uuid == agent_key(session, agent.ordinal)[1]
    )


def family(ordinal: int) -> int:
    """A number that all elements of one expansion of a map share; 0 for planned agents."""
    return ordinal // MAX_ELEMENTS


def element_ordinal(map_ordinal: int, generation: int, index: int) -> int:
    """The ordinal of an element of a map; each expansion (`generation`, from 1) has its own."""
    return ((generation - 1) * (MAX_AGENTS + 1) + map_ordinal + 1) * MAX_ELEMENTS + index


def counter_shard_ordinal(ordinal: int, counter_shards: int) -> int:
    """The ordinal of the counter shard that counts an agent.

    For an element of a map, it differs from the ordinals of all planned agents.
    """
    return family(ordinal) * MAX_ELEMENTS + ordinal % counter_shards


def counter_shard_number(edge_id: float) -> int:
    """The number of the counter shard from which the edge with this id starts."""
    return ordinal_of(int(edge_id)) % MAX_ELEMENTS


def edge_id(agent: SessionAgent | CounterShard) -> int:
    """The id of the edges that start at an agent, or of the edge from a counter shard to its join.

    A reset of the agent changes the id, so that a late worker releases an old edge, which has no
    effect. All session agents of one question have the id of the first.
    """
    if agent.ordinal is None:
        return _NO_EDGE
    first = agent.question if isinstance(agent, SessionAgent) else None
    return edge_id_of(agent.ordinal if first is None else first, agent.epoch)


def own_edge_id(agent: SessionAgent) -> int:
    """The id of an agent's edges by its own ordinal, whatever question it belongs to."""
    return _NO_EDGE if agent.ordinal is None else edge_id_of(agent.ordinal, agent.epoch)


def edge_id_of(ordinal: int, epoch: int | None) -> int:
    """The id of the edges that start at the agent `ordinal` in an epoch (None: never reset)."""
    return ordinal + (epoch or 0) * _EPOCH


def ordinal_of(edge_id: int) -> int:
    """The ordinal of the agent, or counter shard, at which the edge starts."""
    return edge_id % _EPOCH


def is_handed_off(agent: SessionAgent) -> bool:
    """Whether all successors that the agent's end made ready were enqueued again in its epoch."""
    return agent.handed_off == (agent.epoch or 0)
