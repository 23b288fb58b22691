"""Control a running session: cancel, pause, resume; and follow up when a client ends a record.

Each control is one conditional write to the session. `reconcile_session` computes everything else
from it, so a crash after the write loses nothing. The mutations `cancelSession`, `pauseSession`,
`resumeSession` and the CRUD operations are the callers.
"""

from collections.abc import Callable, Sequence
from functools import partial

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.statuses import (
    OPEN_SESSION_STATUSES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import timers
from ai_coordination_engine.engine.advance.ending import end_agents
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import budgets
from ai_coordination_engine.engine.control.reconcile import SOON, find, reconcile_session
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from ai_coordination_engine.store.transitions.sessions import Sessions

__all__ = [
    "agent_deletes",
    "agent_ended",
    "agent_ends",
    "cancel_session",
    "pause_session",
    "resume_session",
    "session_ended",
    "session_ends",
]

_TRIES = 10


@dataclass(frozen=True)
class Control:
    """A control of an open session.

    `already`: the statuses in which there is nothing to do. `write`: the transition.
    """

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
        """Apply the control, do what follows from it, and return the session as it is then.

        If there is nothing to do, or the request is a repetition, nothing changes. Raises
        `NotFound`, and `Conflict` if the session has ended in another way.
        """
        key = (coordination_uuid, session_uuid)
        request = ControlRequest.of(updated_by, idempotency_key, self.name)
        reconcile = partial(reconcile_session, app, tenant, *key)
        for _ in range(_TRIES):
            session = find(app, tenant, key)
            if request.was_carried_out(session):
                break
            if session.stored("restart") is not None and session.status == "in_transit":
                session = reconcile()  # first finish the reset
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
        return traces.session_ended(app, self.write(app.sessions, session, request, watch_at))


_UNPAUSED = tuple(each for each in OPEN_SESSION_STATUSES if each != "paused")
cancel_session = Control("cancel", ("cancelled",), Sessions.cancel)
"""Cancel a session now. Running attempts are fenced: their results change nothing."""
pause_session = Control("pause", ("paused",), Sessions.pause)
"""Pause a session: no new attempt begins; running attempts go on to their end."""
resume_session = Control("resume", _UNPAUSED, Sessions.resume)
"""Resume a paused session."""


def session_ends(app: App, tenant: str, key: Key) -> None:
    """Call this before a client's write ends a session: if this process dies after the write, the
    sweep follows up.
    """
    app.sessions.keep_watching(tenant, key, app.clock.now().timestamp() + SOON, far=True)


def session_ended(app: App, session: Session) -> None:
    """Call this after a client's write has ended a session: end its agents, as for any ended
    session.
    """
    if session.open_sink_count is not None:
        end_agents(app, session)


def agent_ends(app: App, tenant: str, key: Key) -> SessionAgent | None:
    """Call this before a client's write ends a session agent: if this process dies after the write,
    the sweep follows up.

    Returns the agent if the engine runs it and it has not ended; else None.
    """
    agent = app.records.get(SESSION_AGENT, tenant, key, consistent=True)
    if agent is None or agent.ordinal is None or agent.state in TERMINAL_AGENT_STATES:
        return None
    timers.keep_watching(app, agent, early=bool(agent.unfinished))
    budgets.drop(app, agent)
    return agent


def agent_ended(app: App, agent: SessionAgent) -> None:
    """Call this after a client's write has ended an agent: enqueue it for a worker."""
    if agent.ordinal is not None:
        app.queue.send([wake(agent)])


def agent_deletes(app: App, tenant: str, session_uuid: str, session_agent_uuid: str) -> bool:
    """Call this before a client's delete of an agent; returns whether other agents or the session
    may still need it: the engine planned it, and its session is open.

    Else what its attempts have reserved of budgets is settled.
    """
    agent = app.records.get(
        SESSION_AGENT, tenant, (session_uuid, session_agent_uuid), consistent=True
    )
    if agent is None or agent.ordinal is None:
        return False
    session = app.records.get_stored(SESSION, tenant, (agent.coordination_uuid, session_uuid))
    is_needed = (
        session is not None
        and session.plan_hash is not None
        and session.status in OPEN_SESSION_STATUSES
    )
    if not is_needed:
        budgets.drop_ended(app, agent)
    return is_needed
