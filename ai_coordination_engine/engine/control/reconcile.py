"""Reconciling a session: every message and write that it owes is recomputed from stored state and
sent again.

It may be repeated at any time, beside any worker. The sweep does it for sessions that have not
moved for a while, an operator after a disaster, and every control as its second half.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

from ai_coordination_engine.domain.lifecycle.phases import is_unsatisfied
from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    OPEN_SESSION_STATUSES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.advance.ending import (
    agents_of,
    end_agents,
    end_those,
    questions_of,
    remove_strays,
)
from ai_coordination_engine.engine.advance.gone import release_gone
from ai_coordination_engine.engine.advance.sinks import end_session
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.control.reset import go_on
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, edges
from ai_coordination_engine.engine.graph.keys import counter_shard_ordinal, edge_id, ordinal_of
from ai_coordination_engine.engine.graph.outlook import outlook
from ai_coordination_engine.engine.recovery import enqueue_runnable, finish_outstanding
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.observability import logger
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.transitions.counter_shards import how_many
from ai_coordination_engine.store.transitions.outcome import Rejected
from ai_coordination_engine.store.transitions.sessions import SOON

__all__ = ["SOON", "find", "reconcile_session", "sweep"]

MUCH = 1_000  # sessions that are due: more than one process looks after at once
_AT_ONCE = 100  # sessions that a sweep looks after in any case


def find(app: App, tenant: str, key: Key) -> Session:
    """The session as it is now; raises `NotFound`."""
    session = app.records.get(SESSION, tenant, key, consistent=True)
    if session is None:
        raise SESSION.missing(key)
    return session


def reconcile_session(app: App, tenant: str, coordination_uuid: str, session_uuid: str) -> Session:
    """Do everything that the session still owes, and return the session as it is then. Raises
    `NotFound`.
    """
    session = find(app, tenant, (coordination_uuid, session_uuid))
    _reconcile(app, session, again=True)
    return _again(app, session)


def _again(app: App, session: Session) -> Session:
    """The session as it is now; that it is confirmed is seen once. Raises `NotFound`."""
    now = app.records.get_stored(SESSION, session.partition_key, session.key)
    if now is None or now.nonce != session.nonce:
        return find(app, session.partition_key, session.key)
    now.unconfirmed = None
    return now


def _reconcile(app: App, session: Session, *, again: bool = False) -> None:
    if session.strays is not None:
        remove_strays(app, session)
    if session.stored("restart") is not None and session.status == "in_transit":
        session = go_on(app, session)
    agents: list[SessionAgent] = []
    if session.status not in TERMINAL_SESSION_STATUSES:
        agents = _finished(app, session)
        session = _again(app, session)
    if session.status in TERMINAL_SESSION_STATUSES:
        _reconcile_ended(app, session, again=again)
    elif session.status == "paused":
        _look_again(app, session, _pause(app, session))
    else:
        agents = _unpause(app, session, agents)
        _enqueue_runnable(app, agents)
        _look_again(app, session, agents)


def _reconcile_ended(app: App, session: Session, *, again: bool) -> None:
    held_until = end_agents(app, session, again=again)
    if held_until is None:  # some are left for another round
        held_until = app.clock.now().timestamp() + SOON
    questions = questions_of(app, session)
    if session.status == "cancelled":
        end_those(app, session, questions)
        questions = []
    outliving = _unpause(
        app, session, [each for each in questions if each.state in OPEN_AGENT_STATES], questions_of
    )
    _enqueue_runnable(app, outliving)
    _look_again(app, session, outliving, held_until)


def sweep(
    app: App,
    shards: Sequence[int] | None = None,
    *,
    has_time: Callable[[], bool] = lambda: False,
    hand_out: Callable[[Sequence[int]], Collection[int]] = lambda shards: (),
) -> int:
    """Reconcile the sessions of these shards (None: of those whose turn it is) that are due, side
    by side: 100, and more while it `has_time`. Returns how many.

    When more than `MUCH` are due, their shards are offered to other processes: `hand_out` answers
    which have taken one. A session that cannot be reconciled keeps no other waiting: its error is
    raised after the others are done.
    """
    due = app.sessions.due(app.clock.now().timestamp(), shards)
    taken = hand_out(sorted({int(each.watch) for each in due})) if len(due) > MUCH else ()
    rest = [each for each in due[_AT_ONCE:] if int(each.watch) not in taken]
    looked_at: list[Session] = []

    def look(each: Session) -> None:
        looked_at.append(each)
        _look_after(app, each)

    def look_in_time(each: Session) -> None:
        if has_time():
            look(each)

    works = [partial(look, each) for each in due[:_AT_ONCE]]
    app.records.parallel.beside([*works, *(partial(look_in_time, each) for each in rest)])
    return len(looked_at)


def _look_after(app: App, due: Session) -> None:
    """Reconcile one due session. Its next look is set first: when this raises or dies, other
    sessions come before it next time.
    """
    later = app.clock.now().timestamp() + app.settings.watch_seconds
    taken = app.sessions.rewatch(due, later)
    if isinstance(taken, Rejected):
        return  # another sweep was faster
    session = taken.record
    app.records.look_at_starts([session], consistent=True)
    if session.unconfirmed is not None:  # a start that may have died
        guards.swept(app.records, SESSION, session.partition_key, session)
        return
    now = app.clock.now().timestamp()
    try:
        _reconcile(app, session)
    # that passes: what waits in the session for its time must not come much later
    except Throttled:
        with suppress(Throttled):
            app.sessions.rewatch(session, now + SOON)
        raise
    if session.strays is not None and session.strays < now:
        app.sessions.without_strays(session)


# What is owed


def _finished(app: App, session: Session) -> list[SessionAgent]:
    """The session's agents once nothing is left to do for those that have ended, or the session has
    ended.
    """
    agents = agents_of(app, session)
    # once is enough; that an edge is gone from a counter shard cannot be seen here
    finished: set[int] = set()
    while session.status not in TERMINAL_SESSION_STATUSES:
        open_to_see = [each for each in agents if edge_id(each) not in finished]
        by_ordinal = {each.ordinal: each for each in agents}
        owing = [each for each in open_to_see if _owes(session, each, by_ordinal)]
        if not owing:
            break
        finished.update(edge_id(each) for each in owing)
        finish_outstanding(app, session, owing)
        session, agents = _again(app, session), agents_of(app, session)
    if release_gone(app, session, agents):
        session, agents = _again(app, session), agents_of(app, session)
    if _owes_its_end(session):
        end_session(app, session)
    return agents


def _owes_its_end(session: Session) -> bool:
    """Whether a session that the engine planned is open although all its sinks are terminal."""
    is_over = session.plan_hash is not None and session.open_sink_count == 0
    return is_over and session.status in OPEN_SESSION_STATUSES


def _owes(session: Session, agent: SessionAgent, agents: dict[int, SessionAgent]) -> bool:
    """Whether an ended agent still owes something that others wait for."""
    if agent.state not in TERMINAL_AGENT_STATES or agent.sink_count == 0:
        return False
    if _must_fail_session(session, agent):
        return True
    outgoing = edges(agent.read("successors"))
    if not outgoing:
        return _is_named(agent, session.open_sinks, how_many(agent.sink_count or 0))
    return any(_is_owed(agent, edge, agents.get(edge.ordinal)) for edge in outgoing)


def _must_fail_session(session: Session, agent: SessionAgent) -> bool:
    """Whether the agent has failed since the session was last set back, and fails it."""
    is_of_this_epoch = (agent.epoch or 0) >= (session.epoch or 0)
    return agent.state == "failed" and is_of_this_epoch and rules.fails_session(agent)


def _is_owed(agent: SessionAgent, edge: Edge, after: SessionAgent | None) -> bool:
    """Whether the successor still waits for the agent, or waits although it can never run."""
    if after is None or after.state not in OPEN_AGENT_STATES:
        return False
    counter_shards = how_many(edge.in_degree, edge.join)
    return _is_named(agent, after.unfinished, counter_shards) or is_unsatisfied(after)


def _is_named(agent: SessionAgent, unfinished: set[float] | None, counter_shards: int) -> bool:
    """Whether the agent is among the unfinished, or one of the counter shards which it may be
    in.
    """
    if not counter_shards:
        return edge_id(agent) in (unfinished or ())
    return counter_shard_ordinal(agent.ordinal, counter_shards) in {
        ordinal_of(int(each)) for each in unfinished or ()
    }


def _pause(app: App, session: Session) -> list[SessionAgent]:
    """Pause the open agents of a paused session; returns the agents as they are then.

    When the session was resumed meanwhile, the agents are unpaused again: the process that resumed
    it may not have seen their pauses.
    """
    while True:
        agents = agents_of(app, session)
        unpaused = [
            each for each in agents if each.state in OPEN_AGENT_STATES and each.paused is None
        ]
        if not unpaused or session.pause_token is None:
            break
        app.records.parallel.run(
            [partial(app.agents.pause, each, session.pause_token) for each in unpaused]
        )
    now = _again(app, session)
    if now.pause_token == session.pause_token:
        return agents
    agents = _unpause(app, session, agents)
    if now.status in OPEN_SESSION_STATUSES and now.status != "paused":
        _enqueue_runnable(app, agents)
    return agents


def _unpause(
    app: App,
    session: Session,
    agents: list[SessionAgent],
    read: Callable[[App, Session], list[SessionAgent]] = agents_of,
) -> list[SessionAgent]:
    """Unpause the agents whose session is no longer paused, or is paused anew; returns the agents
    as they are then.

    A session is paused before its agents, so a session that is read after them tells which of their
    pauses are old. A session that has ended is not paused.
    """
    while any(each.paused is not None for each in agents):
        now = _again(app, session)
        token = now.pause_token if now.status in OPEN_SESSION_STATUSES else None
        stray = [each for each in agents if each.paused is not None and each.paused != token]
        if not stray:
            break
        app.records.parallel.run([partial(app.agents.unpause, each) for each in stray])
        known = {each.ordinal for each in agents}
        agents = [each for each in read(app, session) if each.ordinal in known]
    return agents


def _enqueue_runnable(app: App, agents: list[SessionAgent]) -> None:
    with suppress(Busy):  # there is no message of ours that must be kept
        enqueue_runnable(app, [each for each in agents if each.state in OPEN_AGENT_STATES])


def _look_again(
    app: App, session: Session, agents: list[SessionAgent], held_until: float = 0
) -> None:
    """Have the sweep look at the session again, unless everything open in it waits for a person or
    a job.

    The operation that ends such a wait asks for a look first, and that watch is kept. `held_until`
    (epoch seconds): until then an attempt is held that a dead worker would leave unrecorded.
    """
    now = app.clock.now().timestamp()
    later = now + app.settings.watch_seconds
    seen = outlook(app, session, agents, now)
    times = [*seen.times, *([held_until + 1] if held_until else ())]
    if session.strays is not None:
        times.append(max(session.strays, later))
    if seen.missing:
        logger.warning(
            "stuck",
            extra={
                "partition_key": session.partition_key,
                "coordination_uuid": session.coordination_uuid,
                "session_uuid": session.session_uuid,
                "status": session.status,
                "missing": seen.missing,
            },
        )
        times.append(later)
    at = min(times, default=None)
    app.sessions.rewatch(session, at, gives_up=at is None or at > later)
