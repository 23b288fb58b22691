"""How the agents of an ended session are ended: open agents are skipped, cancelled attempts are
fenced, and every attempt is recorded. May be repeated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION, agent_key, counts
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome

MOST_AT_ONCE = 1_000  # agents that are ended in one turn: requests and messages take a bounded time
_MOST_HELD = 100  # agents that are named when others hold them: they are read in one request


def agents_of(app: App, session: Session) -> list[SessionAgent]:
    """The session's agents that the engine made, in order of their ordinals. One Query a
    megabyte.
    """
    key = session.key
    rows = app.records.children(SESSION_AGENT, session.partition_key, key, consistent=True)
    return sorted((each for each in rows if counts(session, each)), key=lambda each: each.ordinal)


def remove_strays(app: App, session: Session) -> None:
    """Delete the agents of a confirmed session that do not count: those of starts that were given
    up, or not faster.

    The fence of a start stays as long as that may be about to confirm.
    """
    now = app.clock.now()
    rows = app.records.stored_children(SESSION_AGENT, session.partition_key, session.key)
    own = [each for each in rows if each.ordinal is not None]
    over = [
        each
        for each in own
        if each.unconfirmed is None or not write_tokens.is_live(each.unconfirmed, now)
    ]
    strays = [each for each in over if not counts(session, each)]
    guards.remove_many(app.records, SESSION_AGENT, session.partition_key, strays)


def questions_of(app: App, session: Session) -> list[SessionAgent]:
    """The session's questions, which were asked outside its task. One Query a megabyte of them."""
    rows, after = _page(app, session, agent_key(session, FIRST_QUESTION - 1)[1])
    while after is not None:
        more, after = _page(app, session, after)
        rows += more
    return rows


def finish_ended(app: App, session: Session, agent: SessionAgent) -> float:
    """End the agents of an ended session when a message of one of them arrives. They are ended
    once, not once for each message.

    Returns until when (epoch seconds) others hold attempts; 0 when nobody does. After the first
    pass, only the agents that were held then are read. While the agents are ended turn by turn, the
    messages of one agent do that alone.
    """
    if _ended_by_itself(session):
        return 0
    begun = _Begun.of(session)
    if (begun.is_done and begun.held is None) or begun.by not in (None, agent.ordinal):
        return 0  # the sweep looks, or the messages of another one do
    if begun.is_done and agent.state in ("skipped", "cancelled"):
        return 0  # it never handed off: what others hold came from somebody else
    return end_agents(app, session, agent) or 0


def end_agents(
    app: App, session: Session, by: SessionAgent | None = None, *, again: bool = False
) -> float | None:
    """End the agents of a session that has ended, as it was when `session` was read: at most
    `MOST_AT_ONCE` of them, from where the turn before has left off. Each is read once.

    In a cancelled session running attempts are cancelled too; elsewhere they go on to their end.
    Returns until when (epoch seconds) attempts are held by others that a lost one would leave
    unrecorded; 0 when there are none. None: some agents are left; a message comes for them, to the
    agent `by` where that is given, and else the sweep. `again`: all of them are looked at though
    they were before.
    """
    begun = _Begun.of(session)
    if begun.is_done and begun.held is not None and not again:
        return _look_at_held(app, session, begun.held)
    turn = _turn(app, session, begun.after)
    if turn.after is not None:
        _go_on(app, session, begun, turn, by)
        return None
    until = max(_look_at_held(app, session, begun.held or []), _held_until(app, turn.rows))
    if not _ended_by_itself(session):
        held, later = begun.held_with(app, turn), app.clock.now().timestamp()
        look_at = max(until, later + app.settings.lease_seconds) + 1
        app.sessions.agents_ended(session, held, look_at, is_over=not held and turn.is_over())
    return until


@dataclass(frozen=True)
class _Begun:
    """How many agents of an ended session are ended, as `Session.agents_ended` keeps it for its
    epoch.

    `held` are the agents (ordinals) that others held when they were read; None when there are too
    many to name, or a map may still get elements: then the sweep reads all of them again. The
    messages of the agent `by` (ordinal) end the next ones, those `after` this uuid.
    """

    held: list[int] | None
    by: int | None
    after: str | None
    is_done: bool

    @classmethod
    def of(cls, session: Session) -> "_Begun":
        epoch, held, *more = session.agents_ended or (None, None)
        if epoch != (session.epoch or 0):
            return cls([], None, None, is_done=False)
        by, after = more or (None, None)
        if not more and held is None:
            return cls(None, None, None, is_done=True)
        return cls(held, by, after, is_done=not more)

    def held_with(self, app: App, turn: "_Turn") -> list[int] | None:
        """Those that are held, with those of a turn more."""
        before = [] if self.is_done else self.held
        if before is None or turn.has_grown:
            return None
        held = [*before, *(each.ordinal for each in turn.rows if _held_until(app, [each]))]
        return held if len(held) <= _MOST_HELD else None


@dataclass
class _Turn:
    """Agents that were ended where nobody holds them, as they are then, and after which uuid others
    are left.

    `has_grown`: elements of a map may have been written between its reading and its end.
    """

    rows: list[SessionAgent] = field(default_factory=list)
    after: str | None = None
    has_grown: bool = False

    def is_over(self) -> bool:
        """Whether none of them is open, not even a question, or owes a run."""
        return not any(each.state in OPEN_AGENT_STATES or owes_runs(each) for each in self.rows)


def _turn(app: App, session: Session, after: str | None) -> _Turn:
    turn, left = _Turn(after=after), MOST_AT_ONCE
    while 2 * left > MOST_AT_ONCE:
        rows, turn.after = _page(app, session, turn.after, limit=left)
        writes, grown = _end_all(app, session, rows, turn)
        left -= writes
        turn.after = grown or turn.after
        if turn.after is None:
            break
    return turn


def _page(
    app: App, session: Session, after: str | None, limit: int | None = None
) -> tuple[list[SessionAgent], str | None]:
    """Agents of the session in order of their uuids, which is that of their ordinals, and after
    which there may be more. Elements of a map come after the map.
    """
    key = session.key
    rows, after = app.records.page_of_children(
        SESSION_AGENT, session.partition_key, key, after, limit
    )
    return [each for each in rows if counts(session, each)], after


def _end_all(
    app: App, session: Session, rows: Sequence[SessionAgent], turn: _Turn
) -> tuple[int, str | None]:
    """End these agents of an ended session where nobody holds them, and record their lost attempts;
    how many writes, and after which uuid there may be elements that were not there when their map
    was read.
    """
    writes, now = 0, {each.ordinal: each for each in rows}
    grown: list[str] = []
    end = app.agents.cancel if session.status == "cancelled" else app.agents.abandon
    while to_end := _to_end(app, session, now.values()):
        calls = [partial(end, each, session.epoch or 0) for each in to_end]
        writes += len(calls)
        for read, ended in zip(to_end, app.records.parallel.run(calls), strict=True):
            del now[read.ordinal]
            if ended.record is None:
                continue
            now[read.ordinal] = ended.record
            if _has_grown(read, ended.record):
                grown.append(ended.record.session_agent_uuid)
    _record_all_lost(app, now.values())
    turn.rows += now.values()
    turn.has_grown |= bool(grown)
    return writes, min(grown, default=None)


def _look_at_held(app: App, session: Session, ordinals: Sequence[int]) -> float:
    """End those of these agents that nobody holds any more; as `finish_ended`."""
    if not ordinals:
        return 0
    keys = [agent_key(session, each) for each in ordinals]
    found = app.records.get_many(SESSION_AGENT, session.partition_key, keys, consistent=True)
    turn = _Turn()
    _end_all(app, session, list(found.values()), turn)
    until = _held_until(app, turn.rows)
    if turn.has_grown:
        app.sessions.agents_ended(
            session, None, max(until, app.lost_before() + app.settings.lease_seconds)
        )
    return until


def _go_on(app: App, session: Session, begun: _Begun, turn: _Turn, by: SessionAgent | None) -> None:
    """Have the next turn come: it is written where that begins and whose messages bring it, and the
    first one is sent.

    Messages to other agents leave it to those; should they get lost, the sweep looks. Whoever finds
    that another turn was faster sends nothing.
    """
    given = by.ordinal if by is not None else begun.by
    ordinal = given if given is not None else _first_over(turn)
    begins = app.sessions.agents_end_by(session, begun.held_with(app, turn), ordinal, turn.after)
    if isinstance(begins, Applied):
        app.queue.send(
            [Wake(session.partition_key, *agent_key(session, ordinal), epoch=session.epoch or 0)]
        )


def _first_over(turn: _Turn) -> int:
    """The ordinal of the first agent of the turn that owes nothing, else of the first agent."""
    over = (
        each for each in turn.rows if each.state in TERMINAL_AGENT_STATES and not owes_runs(each)
    )
    first = next(over, next(iter(turn.rows), None))
    return first.ordinal if first is not None else 0


def _ended_by_itself(session: Session) -> bool:
    """Whether all agents of a session that has ended had ended before it."""
    return bool(session.open_sink_count == 0 and not session.early)


def _has_grown(read: SessionAgent, ended: SessionAgent) -> bool:
    return ended.mapped is not None and (read.generation, read.elements_sent) != (
        ended.generation,
        True,
    )


def _held_until(app: App, rows: Iterable[SessionAgent]) -> float:
    held = (
        each.lease_until or 0 for each in rows if each.state in OPEN_AGENT_STATES or owes_runs(each)
    )
    lost_before = app.lost_before()
    return max((until for until in held if until >= lost_before), default=0)


def end_those(app: App, session: Session, agents: Sequence[SessionAgent]) -> None:
    """End these agents of a session that has ended, where nobody holds them."""
    _end_all(app, session, agents, _Turn())


def is_over(app: App, agent: SessionAgent) -> bool:
    """Whether the agent's session has ended, and the agent with it: what was asked outside a task
    outlives that.
    """
    return over(app, agent) is not None


def over(app: App, agent: SessionAgent) -> Session | None:
    """The agent's session when it has ended, and the agent with it."""
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    ends = ("cancelled",) if agent.sink_count == 0 else TERMINAL_SESSION_STATUSES
    return session if session is not None and session.status in ends else None


def abandon(app: App, agent: SessionAgent) -> Outcome[SessionAgent]:
    """End an agent whose worker died in a session that has ended, and then record its attempts as
    lost: while it is open, its worker may live and have a result.
    """
    abandoned = app.agents.abandon(agent, agent.epoch or 0)
    if isinstance(abandoned, Applied):
        record_lost(app, abandoned.record)
    return abandoned


def _to_end(app: App, session: Session, rows: Iterable[SessionAgent]) -> list[SessionAgent]:
    """Which of these agents can be ended."""
    epoch, lost_before = session.epoch or 0, app.lost_before()
    still_open = [
        each for each in rows if each.state in OPEN_AGENT_STATES and (each.epoch or 0) <= epoch
    ]
    if session.status == "cancelled":
        return still_open
    return [each for each in still_open if _may_abandon(each, lost_before)]


def _may_abandon(agent: SessionAgent, lost_before: float) -> bool:
    """Whether nobody holds an agent of the engine. What was asked outside the task outlives it."""
    if agent.sink_count == 0:
        return False
    is_held = agent.lease_until is not None and agent.lease_until >= lost_before
    return not is_held and _is_the_engines(agent)


def _is_the_engines(agent: SessionAgent) -> bool:
    """Without a lease an executing agent is the client's own."""
    return agent.state != "executing" or agent.lease_until is not None


def owes_runs(agent: SessionAgent) -> bool:
    """Whether an agent that was ended in the middle of an attempt may have attempts without a
    run.
    """
    return agent.state in TERMINAL_AGENT_STATES and (
        agent.lease_until is not None or bool(agent.lost_runs)
    )


def _record_all_lost(app: App, agents: Iterable[SessionAgent]) -> None:
    """As `record_lost`, of those that nobody holds any more."""
    owing = [
        each for each in agents if owes_runs(each) and (each.lease_until or 0) < app.lost_before()
    ]
    if owing:
        app.records.parallel.run([partial(record_lost, app, each) for each in owing])


def record_lost(app: App, agent: SessionAgent) -> None:
    """Record the attempts of an ended agent that may have left no run."""
    current = [(agent.attempt, agent.run_uuid)] if agent.lease_until is not None else []
    for attempt, run_uuid in [*lost(agent), *current]:
        runs.record_lost(app, agent, attempt, run_uuid)
    app.agents.close(agent)


def lease_lost(app: App, agent: SessionAgent, now: SessionAgent | None) -> None:
    """Handle an attempt that is no longer the current one: another one is, or the agent was ended,
    as it shows `now`. The run is recorded, so nobody needs to wait for the lease.

    When the agent was deleted meanwhile, the run of its attempt is deleted too.
    """
    if now is None:
        runs.forget(app, agent)
    elif (
        now.state in TERMINAL_AGENT_STATES
        and now.lease_until is not None
        and now.run_uuid == agent.run_uuid
    ):
        app.agents.close(now)
