"""What a person's writes mean for a running session."""

from functools import partial

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.store.entities import SESSION_AGENT
from ai_coordination_engine.store.models import Session, SessionAgent


def session_ended(app: App, session: Session) -> None:
    """A session was ended by hand: what nobody has claimed is skipped, late results change nothing."""
    if session.open_sink_count is not None:
        skip_waiting(app, session.session_uuid)


def agent_ended(app: App, agent: SessionAgent) -> None:
    """An agent was ended by hand: a worker finishes what follows from it."""
    if agent.ordinal is not None:
        app.queue.send([wake(agent)])


def skip_waiting(app: App, session_uuid: str) -> None:
    """Give up every agent of the session that nobody has claimed; may be repeated."""
    waiting = [
        partial(app.transitions.skip, (each.session_uuid, each.session_agent_uuid))
        for each in app.records.table(SESSION_AGENT).query_all(session_uuid, consistent=True)
        if each.state in ("initial", "pending", "wait_for_user_input") and each.ordinal is not None
    ]
    if waiting:
        app.records.parallel.run(waiting)
