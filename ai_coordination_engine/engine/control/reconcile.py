"""Reconcile a session: compute all missing writes and messages from its stored state, and do them.

It may run at any time, also while workers run the session. The sweep does it for sessions that did
not change for a while; every control does it after its write; an operator may do it by hand
(`reconcileSession`).
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
from ai_coordination_engine.engine.advance import accounts, questions
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
from ai_coordination_engine.engine.control.reset import continue_reset
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, edges, edges_of
from ai_coordination_engine.engine.graph.keys import (
    counter_shard_ordinal,
    edge_id,
    ordinal_of,
)
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

MUCH = 1_000  # due sessions; if there are more, other processes are asked to help
_End = tuple[str, int]  # the uuid and the epoch of an agent
_AT_ONCE = 100  # due sessions that a sweep reconciles even if it has little time


def find(app: App, tenant: str, key: Key) -> Session:
    """Read a session. Raises `NotFound`."""
    session = app.records.get(SESSION, tenant, key, consistent=True)
    if session is None:
        raise SESSION.missing(key)
    return session


def reconcile_session(app: App, tenant: str, coordination_uuid: str, session_uuid: str) -> Session:
    """Do everything that is missing in a session, and return it as it is then.

    Raises `NotFound`.
    """
    session = find(app, tenant, (coordination_uuid, session_uuid))
    _reconcile(app, session, again=True)
    return _again(app, session)


def _again(app: App, session: Session) -> Session:
    """Read a session again that is known to be confirmed. Raises `NotFound`."""
    now = app.records.get_stored(SESSION, session.partition_key, session.key)
    if now is None or now.nonce != session.nonce:
        return find(app, session.partition_key, session.key)
    now.unconfirmed = None
    return now


def _reconcile(app: App, session: Session, *, again: bool = False) -> None:
    if session.strays is not None:
        remove_strays(app, session)
    if session.stored("restart") is not None and session.status == "in_transit":
        session = continue_reset(app, session)
    accounts.count_ended(app, session)
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
    if held_until is None:  # some agents are left for another round
        held_until = app.clock.now().timestamp() + SOON
    asked: list[SessionAgent] = []
    if session.status == "cancelled":
        end_those(app, session, questions_of(app, session))
    else:
        asked = _finished_questions(app, session)
    outliving = _unpause(
        app, session, [each for each in asked if each.state in OPEN_AGENT_STATES], questions_of
    )
    _enqueue_runnable(app, outliving)
    _look_again(app, session, outliving, held_until)


def sweep(
    app: App,
    shards: Sequence[int] | None = None,
    *,
    has_time: Callable[[], bool] = lambda: False,
    delegate: Callable[[Sequence[int]], Collection[int]] = lambda shards: (),
) -> int:
    """Reconcile the sessions that are due, several at a time; return how many.

    `shards`: the shards of the index to read; None: those whose turn it is. 100 sessions are
    reconciled in any case, and more while `has_time` returns true. If more than `MUCH` are due,
    their shards are offered to other processes: `delegate` returns the shards that were accepted.
    If a session cannot be reconciled, the others are done first; then its error is raised.
    """
    due = app.sessions.due(app.clock.now().timestamp(), shards)
    taken = delegate(sorted({int(each.watch) for each in due})) if len(due) > MUCH else ()
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
    """Reconcile one due session.

    The time of its next look is written first: if this fails or the process dies, other sessions
    have their turn before this one comes again.
    """
    later = app.clock.now().timestamp() + app.settings.watch_seconds
    taken = app.sessions.rewatch(due, later)
    if isinstance(taken, Rejected):
        return  # another sweep was faster
    session = taken.record
    app.records.resolve_starts([session], consistent=True)
    if session.unconfirmed is not None:  # a start that may have died
        guards.swept(app.records, SESSION, session.partition_key, session)
        return
    now = app.clock.now().timestamp()
    try:
        _reconcile(app, session)
    except Throttled:  # try again soon: timers in the session must not be much too late
        with suppress(Throttled):
            app.sessions.rewatch(session, now + SOON)
        raise
    if session.strays is not None and session.strays < now:
        app.sessions.without_strays(session)


# What is missing


def _finished(app: App, session: Session) -> list[SessionAgent]:
    """Do what follows from ended agents, until nothing is left to do or the session has ended.

    Returns the session's agents as they are then.
    """
    agents = agents_of(app, session)
    # each agent is finished once: the agents do not show if its edge to a counter shard is released
    finished: set[_End] = set()
    while session.status not in TERMINAL_SESSION_STATUSES:
        owing = _owing(session, agents, finished)
        if not owing and not _follow(app, agents, finished):
            break
        finish_outstanding(app, session, owing)
        session, agents = _again(app, session), agents_of(app, session)
    if release_gone(app, session, agents):
        session, agents = _again(app, session), agents_of(app, session)
    if _owes_its_end(session):
        end_session(app, session)
    return agents


def _finished_questions(app: App, session: Session) -> list[SessionAgent]:
    """The questions of a session that has ended by itself, once nothing is left to do for those
    that have ended.
    """
    asked, finished = questions_of(app, session), set[_End]()
    while (owing := _owing(session, asked, finished)) or _follow(app, asked, finished):
        finish_outstanding(app, session, owing)
        asked = questions_of(app, session)
    return asked


def _end_of(agent: SessionAgent) -> _End:
    """Tells the ends of agents apart: an agent that is reset ends once more."""
    return agent.session_agent_uuid, agent.epoch or 0


def _owing(
    session: Session, agents: Sequence[SessionAgent], finished: set[_End]
) -> list[SessionAgent]:
    """The agents that owe something and are not `finished` yet, among which they are then."""
    by_ordinal = {each.ordinal: each for each in agents}
    unseen = [each for each in agents if _end_of(each) not in finished]
    owing = [each for each in unseen if _owes(session, each, by_ordinal)]
    finished.update(_end_of(each) for each in owing)
    return owing


def _follow(app: App, agents: Sequence[SessionAgent], finished: set[_End]) -> bool:
    """Let questions begin when those before them have ended, each once; whether there were any that
    wait.
    """
    waiting = [
        each for each in agents if questions.is_waiting(each) and _end_of(each) not in finished
    ]
    finished.update(_end_of(each) for each in waiting)
    app.records.parallel.run([partial(questions.follow, app, each) for each in waiting])
    return bool(waiting)


def _owes_its_end(session: Session) -> bool:
    """Whether a planned session is open although all its sinks are terminal."""
    is_over = session.plan_hash is not None and session.open_sink_count == 0
    return is_over and session.status in OPEN_SESSION_STATUSES


def _owes(session: Session, agent: SessionAgent, agents: dict[int, SessionAgent]) -> bool:
    """Whether something that follows from an ended agent is not done yet."""
    if agent.state not in TERMINAL_AGENT_STATES:
        return False
    if questions.is_asked(agent):
        after = [(edge, agents.get(edge.ordinal)) for edge in edges_of(agent)]
        return questions.is_going_on(agent) or any(_is_owed(agent, *each) for each in after)
    if _must_fail_session(session, agent):
        return True
    outgoing = edges(agent.read("successors"))
    if not outgoing:
        return _is_named(agent, session.open_sinks, how_many(agent.sink_count or 0))
    return any(_is_owed(agent, edge, agents.get(edge.ordinal)) for edge in outgoing)


def _must_fail_session(session: Session, agent: SessionAgent) -> bool:
    """Whether the agent failed after the last reset, and its failure fails the session."""
    is_of_this_epoch = (agent.epoch or 0) >= (session.epoch or 0)
    return agent.state == "failed" and is_of_this_epoch and rules.fails_session(agent)


def _is_owed(agent: SessionAgent, edge: Edge, after: SessionAgent | None) -> bool:
    """Whether the successor still waits for the ended agent, or can never run and is not
    skipped.
    """
    if after is None or after.state not in OPEN_AGENT_STATES:
        return False
    counter_shards = how_many(edge.in_degree, edge.join)
    return _is_named(agent, after.unfinished, counter_shards) or is_unsatisfied(after)


def _is_named(agent: SessionAgent, unfinished: set[float] | None, counter_shards: int) -> bool:
    """Whether `unfinished` contains the agent, or the counter shard that counts it."""
    if not counter_shards:
        return edge_id(agent) in (unfinished or ())
    return counter_shard_ordinal(agent.ordinal, counter_shards) in {
        ordinal_of(int(each)) for each in unfinished or ()
    }


def _pause(app: App, session: Session) -> list[SessionAgent]:
    """Pause the open agents of a paused session; return the agents as they are then.

    If the session was resumed meanwhile, they are unpaused again: the process that resumed it may
    have read them before they were paused.
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
    """Unpause agents with the token of an earlier pause; return the agents as they are then.

    A session is paused before its agents. So the session, read after the agents, shows which of
    their pause tokens are old. In an ended session all of them are.
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
    with suppress(Busy):  # this process holds no message that must be kept
        enqueue_runnable(app, [each for each in agents if each.state in OPEN_AGENT_STATES])


def _look_again(
    app: App, session: Session, agents: list[SessionAgent], held_until: float = 0
) -> None:
    """Set when the sweep looks at the session next; never, if all open agents wait for a person or
    a job.

    The operation that ends such a wait sets a watch first, which is not removed here. `held_until`
    (epoch seconds): a worker holds an attempt until then; if it dies, the attempt must be recorded.
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
