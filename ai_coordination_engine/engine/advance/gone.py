"""Release the edges of deleted session agents, for which no worker does it. May be repeated.

`control.reconcile` is the caller.
"""

from collections.abc import Sequence
from functools import partial

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.engine.advance.hand_off import release
from ai_coordination_engine.engine.advance.sinks import finish_sink
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import inputs
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, EdgeOutcome
from ai_coordination_engine.engine.graph.keys import agent_key, ordinal_of
from ai_coordination_engine.engine.graph.outlook import waited_for
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import COUNTER_SHARDS
from ai_coordination_engine.store.transitions import counter_shards


def release_gone(app: App, session: Session, agents: Sequence[SessionAgent]) -> bool:
    """Release the outgoing edges of deleted agents of an open session; return whether there were
    any.

    Nothing waits for a deleted agent: a successor that needs its output fails when it runs, and a
    deleted sink fails the session.
    """
    if not agents or session.plan_hash is None or session.status not in OPEN_SESSION_STATUSES:
        return False
    there = {each.ordinal for each in agents}
    joins = {each.ordinal: waited_for(each) - there for each in agents if _waits(each)}
    sinks = _sinks(app, session, agents) - there
    gone = _deleted(app, agents[0], sinks.union(*joins.values()))
    releases = [
        partial(release, app, _ghost(each, ordinal, each.epoch), _edge(each), EdgeOutcome.PASSES)
        for each in agents
        for ordinal in sorted(joins.get(each.ordinal, set()) & gone)
    ]
    if releases:
        app.records.parallel.run(releases)
    for ordinal in sorted(sinks & gone):
        ghost = _ghost(agents[0], ordinal, session.epoch)
        ghost.sink_count = _sink_count(session, agents)
        finish_sink(app, ghost)
    return bool(gone)


def _deleted(app: App, sibling: SessionAgent, suspects: set[int]) -> set[int]:
    """The ordinals among `suspects` whose agents do not exist; they are read again to be sure."""
    if not suspects:
        return suspects
    return suspects - {each.ordinal for each in inputs.read(app, sibling, suspects)}


def _waits(agent: SessionAgent) -> bool:
    """Whether the agent waits for other agents, and all of those were written."""
    if (
        agent.state not in ("initial", "pending")
        or agent.run_uuid is not None
        or not agent.unfinished
    ):
        return False
    return agent.mapped is None or bool(agent.elements_sent)


def _edge(agent: SessionAgent) -> Edge:
    """An edge to the agent, with the width of its counters and without a condition."""
    return Edge(agent.ordinal, len(waited_for(agent)) if counter_shards.is_wide(agent) else 0)


def _sinks(app: App, session: Session, agents: Sequence[SessionAgent]) -> set[int]:
    """The ordinals of the sinks that the session waits for."""
    names = {ordinal_of(int(each)) for each in session.open_sinks or ()}
    if not counter_shards.how_many(_sink_count(session, agents)):
        return names
    keys = [counter_shards.sink_key(session, number) for number in names]
    found = (
        app.records.get_many(COUNTER_SHARDS, session.partition_key, keys, consistent=True)
        if keys
        else {}
    )
    return {
        ordinal_of(int(name))
        for counter_shard in found.values()
        for name in counter_shard.unfinished or ()
    }


def _sink_count(session: Session, agents: Sequence[SessionAgent]) -> int:
    return next(
        (each.sink_count for each in agents if each.sink_count), session.open_sink_count or 0
    )


def _ghost(of: SessionAgent, ordinal: int, epoch: int | None) -> SessionAgent:
    """A stand-in for a deleted agent in the session of `of`, with the state `cancelled`."""
    key = agent_key(of, ordinal)
    return SessionAgent(
        *key,
        partition_key=of.partition_key,
        coordination_uuid=of.coordination_uuid,
        agent_uuid=key[1],
        ordinal=ordinal,
        epoch=epoch,
        state="cancelled",
        notes="It was deleted while others waited for it.",
        created_at=of.created_at,
    )
