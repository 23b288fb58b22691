"""How the agents of a session end that has ended itself: what waits is given up, what is cancelled is fenced, and every
attempt is recorded. All of it may be repeated.
"""

from collections.abc import Callable
from functools import partial

from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES, TERMINAL_AGENT_STATES
from ai_coordination_engine.engine import runs
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.keys import agent_key, counts
from ai_coordination_engine.store import guards
from ai_coordination_engine.store.attempts import lost
from ai_coordination_engine.store.entities import SESSION_AGENT
from ai_coordination_engine.store.models import Session, SessionAgent

MOST_AT_ONCE = 1_000  # agents that are ended in one turn: requests and messages take a bounded time
_MOST_HELD = 100  # agents that are named when others hold them: they are read in one request


def agents_of(app: App, session: Session) -> list[SessionAgent]:
    """The session's agents that the engine made, in order of their ordinals. One Query a megabyte."""
    key = (session.coordination_uuid, session.session_uuid)
    rows = app.records.children(SESSION_AGENT, session.partition_key, key, consistent=True)
    return sorted((each for each in rows if counts(session, each)), key=lambda each: each.ordinal)


def has_agents(app: App, tenant: str, session_uuid: str) -> bool:
    """Whether there is any agent under a session's uuid, whosever it is. One Query of one item."""
    return bool(app.records.table(SESSION_AGENT).query(tenant, session_uuid, limit=1, consistent=True)[0])


def remove_strays(app: App, session: Session) -> None:
    """Delete the agents of a confirmed session that do not count: those of starts that were given up, or not faster."""
    key = (session.coordination_uuid, session.session_uuid)
    rows = app.records.children(SESSION_AGENT, session.partition_key, key, consistent=True)
    strays = [each for each in rows if each.ordinal is not None and not counts(session, each)]
    guards.remove_many(app.records, SESSION_AGENT, session.partition_key, strays)


def settle_ended(app: App, session: Session, agent: SessionAgent) -> float:
    """What the message of an agent owes to a session that has ended: its agents are ended once, not once a message.

    Returns until when (epoch seconds) attempts are held by others; 0 when there are none. At most one reading of the
    session's agents; once they are ended, of those alone whose attempts were held then. While they are ended turn by
    turn, the messages of one agent alone do that.
    """
    if _ended_by_itself(session):
        return 0
    epoch, held, *by = session.agents_ended or (None, None)
    if epoch == (session.epoch or 0):
        if by and by[0] != agent.ordinal:
            return 0
        if held is not None:
            return _held_until(app, _ended(app, session, partial(_agents, app, session, held), _MOST_HELD)[0])
    return end_agents(app, session, agent) or 0


def end_agents(app: App, session: Session, by: SessionAgent | None = None) -> float | None:
    """End the agents of a session that has ended, as it was when `session` was read: at most `MOST_AT_ONCE` of them.

    In a cancelled session running attempts are cancelled too; elsewhere they go on to their end. Returns until when
    (epoch seconds) attempts are held by others that a lost one would leave unrecorded; 0 when there are none. None:
    some agents are left; a message comes for them, to the agent `by` where that is given, and else the sweep.
    """
    rows, is_done = _ended(app, session, partial(agents_of, app, session), MOST_AT_ONCE)
    if not is_done:
        _go_on(app, session, by, rows)
        return None
    if not _ended_by_itself(session):
        held = [each.ordinal for each in rows if _held_until(app, [each])]
        app.transitions.session.agents_ended(session, held if len(held) <= _MOST_HELD else None)
    return _held_until(app, rows)


def _go_on(app: App, session: Session, by: SessionAgent | None, rows: list[SessionAgent]) -> None:
    """Have the next turn come: the message is sent first, then it is written whose messages end the others.

    Only then do messages to other agents leave it to those; and the sweep looks, should they get lost.
    """
    epoch, _, *named = session.agents_ended or (None, None)
    named = named if epoch == (session.epoch or 0) else []
    ended = [each for each in rows if each.state in TERMINAL_AGENT_STATES and not owes_runs(each)]
    by = by or next((each for each in ended if each.ordinal in named), next(iter(ended), None))
    if by is not None:
        app.queue.send([wake(by)])
        if by.ordinal not in named:
            app.transitions.session.agents_end_by(session, by.ordinal)


def _ended_by_itself(session: Session) -> bool:
    """Whether all agents of a session that has ended had ended before it."""
    return bool(session.open_sink_count == 0 and not session.early)


def _agents(app: App, session: Session, ordinals: list[int]) -> list[SessionAgent]:
    keys = [agent_key(session, each) for each in ordinals]
    return list(app.records.get_many(SESSION_AGENT, session.partition_key, keys, consistent=True).values())


def _ended(
    app: App, session: Session, read: Callable[[], list[SessionAgent]], left: int
) -> tuple[list[SessionAgent], bool]:
    """These agents of an ended session, ended where nobody holds them, their lost attempts recorded; and whether that
    was done for all of them, for no more than `left` are.
    """
    while True:
        rows = read()
        calls = _endings(app, session, rows)[:left]
        left -= len(calls)
        ended = {each.ordinal: each for each in app.records.parallel.run(calls) if each} if calls else {}
        has_grown = any(_has_grown(each, ended[each.ordinal]) for each in rows if each.ordinal in ended)
        rows = [ended.get(each.ordinal, each) for each in rows]
        open_ones = has_grown or bool(_endings(app, session, rows))
        if not open_ones or not left:
            break  # else some have changed meanwhile
    owing = [each for each in rows if owes_runs(each) and (each.lease_until or 0) < app.lost_before()]
    for each in owing[:left]:
        record_lost(app, each)
    return rows, not open_ones and len(owing) <= left


def _has_grown(read: SessionAgent, ended: SessionAgent) -> bool:
    """Whether elements of a map may have been written between its reading and its end."""
    return ended.mapped is not None and (read.generation, read.elements_sent) != (ended.generation, True)


def _held_until(app: App, rows: list[SessionAgent]) -> float:
    held = (each.lease_until or 0 for each in rows if each.state in OPEN_AGENT_STATES or owes_runs(each))
    lost_before = app.lost_before()
    return max((until for until in held if until >= lost_before), default=0)


def end_agent(app: App, session: Session, agent: SessionAgent) -> None:
    """End one agent of a session that has ended, when nobody holds it."""
    for end in _endings(app, session, [agent]):
        ended = end()
        if ended is not None and owes_runs(ended) and (ended.lease_until or 0) < app.lost_before():
            record_lost(app, ended)


def give_up(app: App, agent: SessionAgent) -> None:
    """End an agent whose worker died in a session that has ended; its attempts are recorded as lost."""
    app.steering.end(agent, "skipped", agent.epoch or 0)
    record_lost(app, agent, state="skipped")


def _endings(app: App, session: Session, rows: list[SessionAgent]) -> list[Callable[[], SessionAgent | None]]:
    """What ends each of these agents, those first that run or could begin."""
    epoch, lost_before = session.epoch or 0, app.lost_before()
    ending = [each for each in rows if each.state in OPEN_AGENT_STATES and (each.epoch or 0) <= epoch]
    ending.sort(key=lambda each: bool(each.in_degree))
    if session.status == "cancelled":
        return [partial(app.steering.end, each, "cancelled", epoch) for each in ending]
    ending = [each for each in ending if each.sink_count != 0]  # what was asked outside the task outlives it
    free = [each for each in ending if each.lease_until is None or each.lease_until < lost_before]
    return [partial(app.steering.end, each, "skipped", epoch) for each in free if _is_the_engines(each)]


def _is_the_engines(agent: SessionAgent) -> bool:
    """Without a lease an executing agent is the client's own."""
    return agent.state != "executing" or agent.lease_until is not None


def owes_runs(agent: SessionAgent) -> bool:
    """Whether an agent that was ended in the middle of an attempt may have attempts without a run."""
    return agent.state in TERMINAL_AGENT_STATES and (agent.lease_until is not None or bool(agent.lost_runs))


def record_lost(app: App, agent: SessionAgent, state: str | None = None) -> None:
    """Record the attempts of an ended agent that may have left no run."""
    current = [(agent.attempt, agent.run_uuid)] if agent.lease_until is not None else []
    for attempt, run_uuid in [*lost(agent), *current]:
        runs.record_lost(app, agent, attempt, run_uuid)
    agent.state = state or agent.state
    app.steering.close(agent)
