"""End the agents of an ended session. May be repeated.

Open agents are skipped or cancelled, attempts of a cancelled session are fenced, and each lost
attempt gets a run. A large session is ended in batches ("turns"). Workers call `finish_ended` when
a message arrives for an ended session; reconciling and controls call `end_agents`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import field
from functools import partial

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.lifecycle.phases import is_held
from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.advance import accounts
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budgets, runs
from ai_coordination_engine.engine.attempt.cancelling import cancel_jobs
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION, agent_key, counts
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome

MOST_AT_ONCE = 1_000  # agents that one turn ends, so that a request or a message takes bounded time
_MOST_HELD = 100  # held agents that are listed by ordinal: one request reads them all


def agents_of(app: App, session: Session) -> list[SessionAgent]:
    """The session's agents that the engine created, by ordinal. One Query per megabyte."""
    key = session.key
    rows = app.records.children(SESSION_AGENT, session.partition_key, key, consistent=True)
    return sorted((each for each in rows if counts(session, each)), key=lambda each: each.ordinal)


def remove_strays(app: App, session: Session) -> None:
    """Delete the agents of other tries to start a confirmed session: these do not count.

    The fence of a try stays as long as that try may still confirm the session.
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
    """The session's questions (`planning.ask`). One Query per megabyte."""
    rows, after = _page(app, session, agent_key(session, FIRST_QUESTION - 1)[1])
    while after is not None:
        more, after = _page(app, session, after)
        rows += more
    return rows


def finish_ended(app: App, session: Session, agent: SessionAgent) -> float:
    """End the agents of an ended session when a message for one of them arrives.

    Returns until when (epoch seconds) workers hold attempts; 0 if none does. The agents are ended
    once, not once for each message: after the first pass, only agents that were held then are read
    again. While the agents are ended in several turns, only the messages of one of them continue.
    """
    accounts.count_ended(app, session)
    if _ended_by_itself(session):
        return 0
    begun = _Begun.of(session)
    if (begun.is_done and begun.held is None) or begun.by not in (None, agent.ordinal):
        return 0  # the sweep, or the messages of another agent, continue
    if begun.is_done and agent.state in ("skipped", "cancelled"):
        return 0  # it never handed off, so its message stands for no held agent
    return end_agents(app, session, agent) or 0


def end_agents(
    app: App, session: Session, by: SessionAgent | None = None, *, again: bool = False
) -> float | None:
    """End at most `MOST_AT_ONCE` agents of an ended session, and continue where the last turn
    stopped.

    In a cancelled session, running attempts are cancelled too; else they go on to their end.
    Returns until when (epoch seconds) workers hold attempts, which must be recorded if the worker
    dies; 0 if there are none. Returns None if agents are left: a message to the agent `by`, or the
    sweep, continues. `again`: start from the first agent, even if all were ended before.
    """
    begun = _Begun.of(session)
    if begun.is_done and begun.held is not None and not again:
        return _look_at_held(app, session, begun.held)
    turn = _turn(app, session, begun.after)
    _count(app, session, turn.rows)
    if turn.after is not None:
        _enqueue_next_turn(app, session, begun, turn, by)
        return None
    until = max(_look_at_held(app, session, begun.held or []), _held_until(app, turn.rows))
    if not _ended_by_itself(session):
        held, later = begun.held_with(app, turn), app.clock.now().timestamp()
        look_at = max(until, later + app.settings.lease_seconds) + 1
        app.sessions.agents_ended(session, held, look_at, is_over=not held and turn.is_over())
    return until


@dataclass(frozen=True)
class _Begun:
    """The progress of ending a session's agents, from `Session.agents_ended`.

    `held`: the ordinals of the agents that workers held when they were read. None: too many to
    list, or a map may still get elements; then the sweep reads all agents again. `by`: the ordinal
    of the agent whose messages continue. `after`: the uuid after which the next turn begins.
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
        """The held agents so far, including those of `turn`; None as in `held`."""
        before = [] if self.is_done else self.held
        if before is None or turn.has_grown:
            return None
        held = [*before, *(each.ordinal for each in turn.rows if _held_until(app, [each]))]
        return held if len(held) <= _MOST_HELD else None


@dataclass
class _Turn:
    """The result of one turn.

    `rows`: the agents after the turn; held agents are not ended. `after`: the uuid after which
    agents are left; None if none are. `has_grown`: a map may have got elements between being read
    and being ended.
    """

    rows: list[SessionAgent] = field(default_factory=list)
    after: str | None = None
    has_grown: bool = False

    def is_over(self) -> bool:
        """Whether no agent of the turn, also no question, is open or has an unrecorded attempt."""
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
    """One page of the session's agents by uuid, and the uuid after which there may be more.

    That is the order of ordinals; elements come after their map.
    """
    key = session.key
    rows, after = app.records.page_of_children(
        SESSION_AGENT, session.partition_key, key, after, limit
    )
    return [each for each in rows if counts(session, each)], after


def _end_all(
    app: App, session: Session, rows: Sequence[SessionAgent], turn: _Turn
) -> tuple[int, str | None]:
    """End these agents of an ended session, except held ones, and record their lost attempts.

    Returns the number of writes, and the uuid of the first map that got elements after it was read
    (None if there is none): the next page must begin after it.
    """
    writes, now = 0, {each.ordinal: each for each in rows}
    grown: list[str] = []
    end = app.agents.cancel if session.status == "cancelled" else app.agents.abandon
    while to_end := _to_end(app, session, now.values()):
        cancel_jobs(app, to_end)
        budgets.drop_all(app, to_end)
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
    """End those of these agents that no worker holds any more; returns as `finish_ended`."""
    if not ordinals:
        return 0
    keys = [agent_key(session, each) for each in ordinals]
    found = app.records.get_many(SESSION_AGENT, session.partition_key, keys, consistent=True)
    turn = _Turn()
    _end_all(app, session, list(found.values()), turn)
    _count(app, session, turn.rows)
    until = _held_until(app, turn.rows)
    if turn.has_grown:
        now = app.clock.now().timestamp()
        app.sessions.agents_ended(session, None, max(until, now + app.settings.lease_seconds))
    return until


def _enqueue_next_turn(
    app: App, session: Session, begun: _Begun, turn: _Turn, by: SessionAgent | None
) -> None:
    """Write where the next turn begins and whose messages continue, then send such a message.

    Messages of other agents do nothing meanwhile. If this message is lost, the sweep continues. If
    another process has written the progress first, nothing is sent.
    """
    given = by.ordinal if by is not None else begun.by
    ordinal = given if given is not None else _first_over(turn)
    begins = app.sessions.agents_end_by(session, begun.held_with(app, turn), ordinal, turn.after)
    if isinstance(begins, Applied):
        app.queue.send(
            [Wake(session.partition_key, *agent_key(session, ordinal), epoch=session.epoch or 0)]
        )


def _first_over(turn: _Turn) -> int:
    """The ordinal of the first agent of the turn that is completely done, else of the first one."""
    over = (
        each for each in turn.rows if each.state in TERMINAL_AGENT_STATES and not owes_runs(each)
    )
    first = next(over, next(iter(turn.rows), None))
    return first.ordinal if first is not None else 0


def _ended_by_itself(session: Session) -> bool:
    """Whether all agents had ended before the session did, so that there is nothing to end."""
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
    now = app.clock.now().timestamp()
    return max((until for until in held if until >= now), default=0)


def end_those(app: App, session: Session, agents: Sequence[SessionAgent]) -> None:
    """End these agents of an ended session, except held ones."""
    _end_all(app, session, agents, _Turn())
    _count(app, session, agents)


def _count(app: App, session: Session, agents: Iterable[SessionAgent]) -> None:
    """Count what an ended session used, if one of these agents has asked a model."""
    if any(each.metered for each in agents):
        accounts.count(app, session)


def is_over(app: App, agent: SessionAgent) -> bool:
    """Whether the agent's session has ended, and the agent with it.

    A question (`planning.ask`) ends only with a cancelled session.
    """
    return over(app, agent) is not None


def over(app: App, agent: SessionAgent) -> Session | None:
    """The agent's session if `is_over`, else None."""
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    ends = ("cancelled",) if agent.sink_count == 0 else TERMINAL_SESSION_STATUSES
    return session if session is not None and session.status in ends else None


def abandon(app: App, agent: SessionAgent) -> Outcome[SessionAgent]:
    """End an agent of an ended session whose worker died, then record its attempts as lost.

    Not in the other order: while the agent is open, a slow worker may still store a result.
    """
    cancel_jobs(app, [agent])
    budgets.drop(app, agent)
    abandoned = app.agents.abandon(agent, agent.epoch or 0)
    if isinstance(abandoned, Applied):
        record_lost(app, abandoned.record)
    return abandoned


def _to_end(app: App, session: Session, rows: Iterable[SessionAgent]) -> list[SessionAgent]:
    """The agents among `rows` that can be ended now."""
    epoch, now = session.epoch or 0, app.clock.now().timestamp()
    still_open = [
        each for each in rows if each.state in OPEN_AGENT_STATES and (each.epoch or 0) <= epoch
    ]
    if session.status == "cancelled":
        return still_open
    return [each for each in still_open if _may_abandon(each, now)]


def _may_abandon(agent: SessionAgent, now: float) -> bool:
    """Whether a planned agent can be ended: no worker holds it, and no client runs it."""
    if agent.sink_count == 0:
        return False
    return not is_held(agent, now) and _is_the_engines(agent)


def _is_the_engines(agent: SessionAgent) -> bool:
    """Whether the engine runs the agent. An executing agent without a lease is run by a client."""
    return agent.state != "executing" or agent.lease_until is not None


def owes_runs(agent: SessionAgent) -> bool:
    """Whether an agent that was ended during an attempt may have attempts without a run."""
    return agent.state in TERMINAL_AGENT_STATES and (
        agent.lease_until is not None or bool(agent.lost_runs)
    )


def _record_all_lost(app: App, agents: Iterable[SessionAgent]) -> None:
    """Call `record_lost` for those agents that need it and that no worker holds any more."""
    now = app.clock.now().timestamp()
    owing = [each for each in agents if owes_runs(each) and not is_held(each, now)]
    if owing:
        app.records.parallel.run([partial(record_lost, app, each) for each in owing])


def record_lost(app: App, agent: SessionAgent) -> None:
    """Record as lost the attempts of an ended agent that may have no run."""
    current = [(agent.attempt, agent.run_uuid)] if agent.lease_until is not None else []
    for attempt, run_uuid in [*lost(agent), *current]:
        run = runs.record_lost(app, agent, attempt, run_uuid)
        if Attempt.of(run.async_task).usage.is_metered:  # its worker has died before it counted it
            agent.metered = True
            accounts.count_late(app, agent)
    app.agents.close(agent)


def lease_lost_before_call(app: App, agent: SessionAgent, now: SessionAgent | None) -> None:
    """Record an attempt that lost its lease before the call as lost, and earlier ones too."""
    if now is not None:
        for attempt, run_uuid in [*lost(agent), (agent.attempt, agent.run_uuid)]:
            runs.record_lost(app, agent, attempt, run_uuid)
        lease_lost(app, agent, now)


def lease_lost(app: App, agent: SessionAgent, now: SessionAgent | None) -> None:
    """Finish an attempt that has lost its lease: to another attempt, or because the agent was
    ended.

    `now`: the agent's present state. The attempt's run is recorded already, so the lease of an
    ended agent is removed. If the agent was deleted (None), the run is deleted too.
    """
    if now is None:
        runs.forget(app, agent)
        return
    # counted while the lease says that something may be left: should this process die, it is found
    accounts.count_late(app, agent)
    holds = now.lease_until is not None and now.run_uuid == agent.run_uuid
    if holds and now.state in TERMINAL_AGENT_STATES:
        app.agents.close(now)
