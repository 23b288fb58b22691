"""Controls of a running session: cancel, pause, resume, and records that a client ends.

Each is one conditional write on the session. `reconcile_session` recomputes everything else from
it, so a crash after the write loses nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ai_coordination_engine.domain.statuses import (
    OPEN_SESSION_STATUSES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.advance import timers
from ai_coordination_engine.engine.advance.ending import end_agents
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.control.reconcile import SOON, find, reconcile_session
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from ai_coordination_engine.store.transitions.sessions import Sessions

__all__ = [
    "agent_ended",
    "agent_ends",
    "cancel_session",
    "is_needed",
    "pause_session",
    "resume_session",
    "session_ended",
    "session_ends",
]

_TRIES = 10


@dataclass(frozen=True)
class Control:
    """A control of an open session. In a status of `already` there is nothing to do."""

    name: str
    already: Sequence[str]
    write: Callable[[Sessions, Session, ControlRequest, float], Outcome[Session]]

    def __call__(
        self,
        app: App,
        tenant: str,
        coordination_uuid: str,
        session_uuid: str,
        *,
        updated_by: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Control a session, do what follows, and return the session as it is then. When there is
        nothing to do, or the request is repeated, it is a success without effect.

        Raises `NotFound`, or `Conflict` when the session has ended otherwise.
        """
        key = (coordination_uuid, session_uuid)
        request = ControlRequest.of(updated_by, idempotency_key, self.name)
        reconcile = partial(reconcile_session, app, tenant, *key)
        for _ in range(_TRIES):
            session = find(app, tenant, key)
            if request.was_carried_out(session):
                break
            if session.stored("restart") is not None and session.status == "in_transit":
                session = reconcile()  # first it is set back as a whole
            if isinstance(self._written(app, session, request), Applied):
                break
        else:
            raise Conflict("The session is being changed concurrently; try again in a moment.")
        return reconcile()

    def _written(self, app: App, session: Session, request: ControlRequest) -> Outcome[Session]:
        if session.status in self.already:
            return app.sessions.note(session, request)
        if session.status in TERMINAL_SESSION_STATUSES:
            raise Conflict(
                f"The session has ended: its status is {session.status}.", status=session.status
            )
        watch_at = app.clock.now().timestamp() + SOON
        return self.write(app.sessions, session, request, watch_at)


_UNPAUSED = tuple(each for each in OPEN_SESSION_STATUSES if each != "paused")
cancel_session = Control("cancel", ("cancelled",), Sessions.cancel)
"""End it now; what runs is fenced."""
pause_session = Control("pause", ("paused",), Sessions.pause)
"""Let nothing more begin in it; attempts that run go on to their end."""
resume_session = Control("resume", _UNPAUSED, Sessions.resume)
"""Let it go on when it is paused."""


def session_ends(app: App, tenant: str, key: Key) -> None:
    """Prepare the end of a session by a client: should the process die, the sweep does what
    follows.
    """
    app.sessions.keep_watching(tenant, key, app.clock.now().timestamp() + SOON, far=True)


def session_ended(app: App, session: Session) -> None:
    """End the agents of a session that a client has ended, as if the engine had ended it. Late
    results change nothing.
    """
    if session.open_sink_count is not None:
        end_agents(app, session)


def agent_ends(app: App, tenant: str, key: Key) -> SessionAgent | None:
    """Prepare the end of an agent by a client: should the process die, the sweep does what follows.

    Returns the agent as it was, when the engine moves it and it has not ended.
    """
    agent = app.records.get(SESSION_AGENT, tenant, key, consistent=True)
    if agent is None or agent.ordinal is None or agent.state in TERMINAL_AGENT_STATES:
        return None
    timers.keep_watching(app, agent, early=bool(agent.unfinished))
    return agent


def agent_ended(app: App, agent: SessionAgent) -> None:
    """Enqueue an agent that a client has ended: a worker does what follows."""
    if agent.ordinal is not None:
        app.queue.send([wake(agent)])


def is_needed(app: App, tenant: str, session_uuid: str, session_agent_uuid: str) -> bool:
    """Whether something may still follow from the agent: the engine planned it, and its session is
    open.
    """
    agent = app.records.get(
        SESSION_AGENT, tenant, (session_uuid, session_agent_uuid), consistent=True
    )
    if agent is None or agent.ordinal is None:
        return False
    session = app.records.get_stored(SESSION, tenant, (agent.coordination_uuid, session_uuid))
    return (
        session is not None
        and session.plan_hash is not None
        and session.status in OPEN_SESSION_STATUSES
    )
