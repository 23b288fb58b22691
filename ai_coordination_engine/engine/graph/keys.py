"""Keys of the session agents that the engine makes: they follow from the session and an ordinal."""

from ai_coordination_engine.domain.graph import MAX_AGENTS
from ai_coordination_engine.domain.ids import sibling_uuid
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.records.begun import agent_key_of

MAX_ELEMENTS = 10_000  # of one map
# of one map: the ordinals of their elements must fit into 32 bits (`domain.ids`)
MAX_EXPANSIONS = 40
# beyond every element of every map
FIRST_QUESTION = (MAX_EXPANSIONS * (MAX_AGENTS + 1) + 1) * MAX_ELEMENTS
_NO_EDGE = -1  # of an agent that a client made
_EPOCH = 2**40  # beyond every ordinal


def agent_key(of: Session | SessionAgent, ordinal: int) -> Key:
    """The key of the session agent `ordinal` in the session `of`, or in the session of the agent
    `of`.
    """
    if isinstance(of, SessionAgent):
        return of.session_uuid, sibling_uuid(of.session_agent_uuid, ordinal)
    return agent_key_of(of, ordinal)


def counts(session: Session, agent: SessionAgent) -> bool:
    """Whether the engine made the agent for this session, and not for an earlier one of the same
    uuid.
    """
    return (
        agent.ordinal is not None
        and agent.session_agent_uuid == agent_key(session, agent.ordinal)[1]
    )


def family(ordinal: int) -> int:
    """The number that tells the elements of one expansion of a map from all others; 0 for planned
    agents.
    """
    return ordinal // MAX_ELEMENTS


def element_ordinal(map_ordinal: int, generation: int, index: int) -> int:
    """The ordinal of an element of a map; every expansion (`generation`, from 1) has elements of
    its own.
    """
    return ((generation - 1) * (MAX_AGENTS + 1) + map_ordinal + 1) * MAX_ELEMENTS + index


def counter_shard_ordinal(ordinal: int, counter_shards: int) -> int:
    """The ordinal of the counter shard in which an agent is counted: no planned agent's, when the
    agent is an element.
    """
    return family(ordinal) * MAX_ELEMENTS + ordinal % counter_shards


def counter_shard_number(edge_id: float) -> int:
    """The number of the counter shard after which an edge is named."""
    return ordinal_of(int(edge_id)) % MAX_ELEMENTS


def edge_id(agent: SessionAgent | CounterShard) -> int:
    """The name of the edges that start at an agent, or of the edge from a counter shard to its
    join.

    Setting an agent back renames its edges, so that a late worker that releases the old ones
    changes nothing.
    """
    if agent.ordinal is None:
        return _NO_EDGE
    return edge_id_of(agent.ordinal, agent.epoch)


def edge_id_of(ordinal: int, epoch: int | None) -> int:
    """The name of the edges that start at the agent `ordinal` once it is set back to `epoch` (None:
    it never was).
    """
    return ordinal + (epoch or 0) * _EPOCH


def ordinal_of(edge_id: int) -> int:
    """The ordinal of the agent at which the edge starts."""
    return edge_id % _EPOCH


def is_handed_off(agent: SessionAgent) -> bool:
    """Whether everything that the agent's end made ready was sent again in its epoch."""
    return agent.handed_off == (agent.epoch or 0)
