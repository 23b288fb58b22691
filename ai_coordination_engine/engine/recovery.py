"""Finish what follows from an ended agent, if its worker may have died at any point after the end.

Steps that are done already are recognized by batch reads and not written again. So a redelivered
message costs few writes. `engine.beginning` and `control.reconcile` are the callers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import assert_never

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle.phases import Phase, is_held, phase
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.advance import accounts, questions, timers
from ai_coordination_engine.engine.advance.ending import finish_ended
from ai_coordination_engine.engine.advance.hand_off import (
    counter_shard_key_of,
    evaluated,
    release,
    skip_stuck,
)
from ai_coordination_engine.engine.advance.sinks import (
    fail_session,
    finish_sink,
    sink_counter_shard_key_of,
)
from ai_coordination_engine.engine.app import App, Busy, wake
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, edges_of
from ai_coordination_engine.engine.graph.keys import agent_key, edge_id, is_handed_off
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION


@dataclass(frozen=True)
class Left:
    """The successors, and the counter shards of joins and sinks, in their present state."""

    agents: Mapping[Key, SessionAgent]
    counter_shards: Mapping[Key, CounterShard]


def recover(app: App, agent: SessionAgent) -> None:
    """Finish what follows from an ended agent, and from its descendants.

    A chain of agents runs under the message of its first agent. If that message is delivered again,
    this walks from agent to agent until it reaches those that have not ended, and enqueues them.
    Raises `Busy` while a worker holds one of those: that worker may have no other message. The held
    agents are stored, so that the next delivery of the message begins with them.
    """
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    if session is None:
        return
    if session.status in TERMINAL_SESSION_STATUSES and not _outlives(agent, session):
        if held_until := finish_ended(app, session, agent):
            raise Busy(held_until - app.clock.now().timestamp())
        return
    if agent.sink_count == 0:
        accounts.count_question(app, agent)
    walk = _Walk(app, session)
    walk.down_from(agent)
    try:
        enqueue_runnable(app, list(walk.standing.values()))
    except Busy:  # the message comes back
        now = app.clock.now().timestamp()
        held = {each.ordinal for each in walk.standing.values() if is_held(each, now)}
        app.records.parallel.run(
            [partial(app.agents.handed_off, each, held) for each in walk.news(agent, held)]
        )
        raise


def _outlives(agent: SessionAgent, session: Session) -> bool:
    """Whether the agent was asked outside the task of a session that has ended by itself."""
    return questions.is_asked(agent) and session.status != "cancelled"


@dataclass
class _Walk:
    """The walk from an ended agent to its descendants that have not ended.

    `ended`: the ended agents on the way. `standing`: the agents that have not ended. Both are by
    ordinal.
    """

    app: App
    session: Session
    ended: dict[int, SessionAgent] = field(default_factory=dict)
    # reached by several paths: the latest state counts
    standing: dict[int, SessionAgent] = field(default_factory=dict)

    def down_from(self, agent: SessionAgent) -> None:
        """Walk down and finish what follows from each ended agent on the way.

        After an agent that was handed off before, continue with the agents that were held then.
        """
        frontier, self.ended[agent.ordinal] = [agent], agent
        while frontier:
            below = finish_outstanding(
                self.app, self.session, [each for each in frontier if not is_handed_off(each)]
            )
            below += self._held_after([each for each in frontier if is_handed_off(each)])
            frontier = []
            for each in below:
                if each.ordinal in self.ended:
                    continue
                self.standing[each.ordinal] = each
                if each.state in TERMINAL_AGENT_STATES:
                    self.ended[each.ordinal] = each
                    frontier.append(self.standing.pop(each.ordinal))

    def news(self, first: SessionAgent, held: set[int]) -> list[SessionAgent]:
        """The agents that must store that the agents `held` are held.

        These are the agent of the message, and each agent with several successors on the way: their
        own messages then do not enqueue everything again.
        """
        below = (
            each for each in self.ended.values() if each is not first and not is_handed_off(each)
        )
        fans = [each for each in below if len(each.read("successors") or ()) > 1]
        known = is_handed_off(first) and held == {int(each) for each in first.held_after or ()}
        return fans if known else [first, *fans]

    def _held_after(self, ended: Sequence[SessionAgent]) -> list[SessionAgent]:
        ordinals = {int(ordinal) for each in ended for ordinal in each.held_after or ()} - set(
            self.ended
        )
        if not ordinals:
            return []
        keys = {agent_key(ended[0], each) for each in ordinals}
        return list(_read(self.app, self.session, keys, set()).agents.values())


def finish_outstanding(
    app: App, session: Session, ended: Iterable[SessionAgent]
) -> list[SessionAgent]:
    """Finish what follows from these ended agents of an open session; return their successors.

    The successors are returned as they are then. At most one BatchGetItem per 100 successors and
    counter shards, and one write for each edge that is not released yet.
    """
    outgoing_edges: list[tuple[SessionAgent, Edge]] = []
    sinks: list[SessionAgent] = []
    for agent in ended:
        if agent.state == "failed" and rules.fails_session(agent):
            fail_session(app, agent)
            continue
        if questions.is_going_on(agent):
            questions.go_on(app, agent)
        if outgoing := edges_of(agent):
            outgoing_edges.extend((agent, each) for each in outgoing)
        else:
            sinks.append(agent)
    left = _left(app, session, outgoing_edges, sinks)
    for agent in sinks:
        if _owes_as_sink(session, agent, left):
            finish_sink(app, agent)
    calls = [*_releases(app, outgoing_edges, left), *_skips(app, outgoing_edges, left)]
    return _latest(app.records.parallel.run(calls) if calls else [])


def _left(
    app: App,
    session: Session,
    outgoing_edges: Sequence[tuple[SessionAgent, Edge]],
    sinks: Sequence[SessionAgent],
) -> Left:
    """Read the successors and counter shards of these edges and sinks."""
    keys = {agent_key(agent, edge.ordinal) for agent, edge in outgoing_edges}
    of_joins = {counter_shard_key_of(agent, edge) for agent, edge in outgoing_edges}
    of_sinks = {sink_counter_shard_key_of(agent) for agent in sinks}
    return _read(app, session, keys, {key for key in of_joins | of_sinks if key is not None})


def _releases(
    app: App, outgoing_edges: Sequence[tuple[SessionAgent, Edge]], left: Left
) -> list[Callable[[], SessionAgent | None]]:
    """The writes for the edges that are not released. The conditions of an agent are evaluated
    once.
    """
    owing = {
        agent.ordinal: agent
        for agent, edge in outgoing_edges
        if not _is_released(agent, edge, left)
    }
    return [
        partial(release, app, agent, edge, outcome)
        for agent in owing.values()
        for edge, outcome in evaluated(agent)
        if not _is_released(agent, edge, left)
    ]


def _skips(
    app: App, outgoing_edges: Sequence[tuple[SessionAgent, Edge]], left: Left
) -> list[Callable[[], SessionAgent | None]]:
    """For each edge that is released: a call that skips its successor if that can never run, and
    else returns it unchanged.
    """
    return [
        partial(skip_stuck, app, agent, edge, left.agents.get(agent_key(agent, edge.ordinal)))
        for agent, edge in outgoing_edges
        if _is_released(agent, edge, left)
    ]


def _latest(found: Iterable[SessionAgent | None]) -> list[SessionAgent]:
    latest: dict[int, SessionAgent] = {}
    for each in found:
        if each is not None:
            known = latest.get(each.ordinal)
            if (
                known is None
                or each.state in TERMINAL_AGENT_STATES
                or each.in_degree < known.in_degree
            ):
                latest[each.ordinal] = each
    return list(latest.values())


def _read(app: App, session: Session, keys: set[Key], counter_shard_keys: set[Key]) -> Left:
    """Read these items. One BatchGetItem per 100 keys of both kinds; no call without keys."""
    if not keys and not counter_shard_keys:
        return Left({}, {})
    found = app.records.get_many_of(
        session.partition_key,
        {SessionAgent: [*keys], CounterShard: [*counter_shard_keys]},
        consistent=True,
    )
    return Left(found[SessionAgent], found[CounterShard])


def _is_released(agent: SessionAgent, edge: Edge, left: Left) -> bool:
    """Whether the edge is released. For the last edge of a counter shard: also the shard's edge."""
    join, counter_shard_key = (
        left.agents.get(agent_key(agent, edge.ordinal)),
        counter_shard_key_of(agent, edge),
    )
    if counter_shard_key is None:
        return join is None or edge_id(agent) not in (join.unfinished or ())
    counter_shard = left.counter_shards.get(counter_shard_key)
    if counter_shard is None or join is None:
        return True
    if edge_id(agent) in (counter_shard.unfinished or ()):
        return False
    return bool(counter_shard.in_degree) or edge_id(counter_shard) not in (join.unfinished or ())


def _owes_as_sink(session: Session, agent: SessionAgent, left: Left) -> bool:
    """Whether the session still counts the sink as open, or must be ended."""
    if session.open_sink_count == 0:
        return True
    if (counter_shard_key := sink_counter_shard_key_of(agent)) is None:
        return edge_id(agent) in (session.open_sinks or ())
    counter_shard = left.counter_shards.get(counter_shard_key)
    if counter_shard is None or edge_id(agent) in (counter_shard.unfinished or ()):
        return counter_shard is not None
    return not counter_shard.in_degree and edge_id(counter_shard) in (session.open_sinks or ())


def enqueue_runnable(app: App, standing: Sequence[SessionAgent]) -> None:
    """Enqueue the agents that a worker can run. Raises `Busy` if workers hold some of them."""
    now = app.clock.now().timestamp()
    runnable = [each for each in standing if _is_runnable(app, each, phase(each, now))]
    app.queue.send([wake(each) for each in runnable])
    held = [each.lease_until for each in standing if is_held(each, now)]
    if held:
        raise Busy(max(held) - now)


def _is_runnable(app: App, agent: SessionAgent, found: Phase) -> bool:
    """Whether to enqueue the agent now. If it waits for a time, a delayed message is sent here."""
    match found:
        case Phase.READY | Phase.ASKING | Phase.LEASE_EXPIRED | Phase.WAITING_FOR_JOB:
            return True
        case Phase.MAP_EXPANDING | Phase.ACTION_DUE | Phase.WAITING_FOR_BUDGET:
            return True
        case Phase.WAITING_FOR_PERSON:
            if agent.due_at is not None:
                timers.wake_at(app, agent, agent.due_at)
        case Phase.BACKOFF:
            timers.wake_at(app, agent, agent.not_before)
        case Phase.WAITING_FOR_PREDECESSORS | Phase.WAITING_FOR_ELEMENTS | Phase.UNSATISFIED:
            pass  # the last predecessor to end sends a message, or skips this agent
        case Phase.EXECUTING | Phase.ACTING | Phase.PAUSED | Phase.BY_HAND | Phase.ENDED:
            pass
        case never:
            assert_never(never)
    return False
