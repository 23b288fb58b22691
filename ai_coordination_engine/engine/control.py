"""What a person's writes mean for a running session."""

from functools import partial

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine import runs
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.store.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.table import Key


def session_ended(app: App, session: Session) -> None:
    """A session was ended by hand: what nobody has claimed is skipped, late results change nothing."""
    if session.open_sink_count is not None:
        skip_waiting(app, session.partition_key, (session.coordination_uuid, session.session_uuid))


def is_over(app: App, agent: SessionAgent) -> bool:
    """Whether the agent's session has ended."""
    session = app.records.table(SESSION).get((agent.coordination_uuid, agent.session_uuid), consistent=True)
    return session is not None and session.status in TERMINAL_SESSION_STATUSES


def is_needed(app: App, tenant: str, session_uuid: str, session_agent_uuid: str) -> bool:
    """Whether something may still follow from the agent: the engine planned it, and its session is open."""
    agent = app.records.get(SESSION_AGENT, tenant, (session_uuid, session_agent_uuid), consistent=True)
    if agent is None or agent.ordinal is None:
        return False
    session = app.records.table(SESSION).get((agent.coordination_uuid, session_uuid), consistent=True)
    return session is not None and session.plan_hash is not None and session.status in OPEN_SESSION_STATUSES


def agent_ended(app: App, agent: SessionAgent) -> None:
    """An agent was ended by hand: a worker finishes what follows from it."""
    if agent.ordinal is not None:
        app.queue.send([wake(agent)])


def skip_waiting(app: App, tenant: str, session_key: Key) -> None:
    """Give up every agent of the session that nobody has claimed; may be repeated."""
    waiting = [
        partial(app.transitions.skip, (each.session_uuid, each.session_agent_uuid))
        for each in app.records.children(SESSION_AGENT, tenant, session_key, consistent=True)
        if each.state in ("initial", "pending", "wait_for_user_input") and each.ordinal is not None
    ]
    if waiting:
        app.records.parallel.run(waiting)


def give_up_lost(app: App, tenant: str, session_key: Key) -> float:
    """End the agents of a session that has ended whose workers died; may be repeated.

    Returns until when (epoch seconds) others are held by a lease, 0 when there are none.
    """
    rows = app.records.children(SESSION_AGENT, tenant, session_key, consistent=True)
    executing = [each for each in rows if each.state == "executing" and each.lease_until is not None]
    lost_before = app.lost_before()
    for each in executing:
        if each.lease_until < lost_before:
            give_up(app, each)
    return max((each.lease_until for each in executing if each.lease_until >= lost_before), default=0)


def give_up(app: App, agent: SessionAgent) -> None:
    """End an agent whose worker died in a session that has ended; its attempts are recorded as lost."""
    for attempt, run_uuid in [*(agent.lost_runs or ()), (agent.attempt, agent.run_uuid)]:
        runs.record_lost(app, agent, attempt, run_uuid)
    app.transitions.give_up(agent)
