"""Run agents again: the failed agents of a session, or one agent and its descendants.

The mutations `retrySession` and `rerunSessionAgent`, and the redrive of dead letters, call it.
`control.reset` does the work.
"""

from typing import Any

from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.advance.ending import agents_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import SOON, find, reconcile_session
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.begun import agent_key_of, may_have_begun, status_of
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Outcome, Rejected
from ai_coordination_engine.store.transitions.session_controls import ControlRequest

_RETRIED = ("failed", "timeout", "cancelled")


def retry_session(
    app: App,
    tenant: str,
    coordination_uuid: str,
    session_uuid: str,
    *,
    updated_by: str | None = None,
    idempotency_key: str | None = None,
) -> Session:
    """Run again the agents that failed, were cancelled, or were skipped because of a failure.

    Completed agents keep their results. A retry in progress is continued. Raises `NotFound`, and
    `Conflict` unless the session's status is failed, timeout or cancelled.
    """
    request = ControlRequest.of(updated_by, idempotency_key, "retry")
    return _restart(app, tenant, (coordination_uuid, session_uuid), request, None)


def rerun_session_agent(
    app: App,
    tenant: str,
    session_uuid: str,
    session_agent_uuid: str,
    *,
    updated_by: str | None = None,
    idempotency_key: str | None = None,
) -> Session:
    """Run an agent of an ended session and all of its descendants again.

    Other agents that did not complete run again too, as in `retry_session`. Raises `NotFound`, and
    `Conflict` while the session is open.
    """
    agent = app.records.get(
        SESSION_AGENT, tenant, (session_uuid, session_agent_uuid), consistent=True
    )
    if agent is None:
        raise SESSION_AGENT.missing((session_uuid, session_agent_uuid))
    if agent.ordinal is None or agent.sink_count == 0:
        raise Conflict("The session agent is not part of a task; only those can run again.")
    request = ControlRequest.of(updated_by, idempotency_key, "rerun", session_agent_uuid)
    return _restart(app, tenant, (agent.coordination_uuid, session_uuid), request, agent)


def revive(app: App, wake: Wake) -> bool:
    """Retry the session of a dead letter if it has failed; return whether it had."""
    agent = app.records.get(SESSION_AGENT, wake.tenant, wake.key, consistent=True)
    if agent is None:
        return False
    key = agent.session_key
    session = app.records.get(SESSION, wake.tenant, key, consistent=True)
    if session is None or session.status != "failed" or session.plan_hash is None:
        return False
    retry_session(app, wake.tenant, *key)
    return True


def _restart(
    app: App, tenant: str, key: tuple[str, str], request: ControlRequest, agent: SessionAgent | None
) -> Session:
    restart = {"from": agent.ordinal if agent else None}
    session = find(app, tenant, key)
    if not request.was_carried_out(session):
        if _is_under_way(session, restart):
            outcome = app.sessions.note(session, request)
        else:
            _check(app, session, agent)
            outcome = _set_back(app, session, request, restart)
        if isinstance(outcome, Rejected):
            _explain(key, outcome.record, restart)
    return reconcile_session(app, tenant, *key)


def _set_back(
    app: App, session: Session, request: ControlRequest, restart: dict[str, Any]
) -> Outcome[Session]:
    sinks = sum(1 for each in agents_of(app, session) if each.sink_count)
    if not sinks:
        raise Conflict(
            "Nothing is left of the session that could run again: its agents were deleted."
        )
    key = session.key
    stored_values = app.records.store(
        SESSION, session.partition_key, key, {"restart": restart}, session.nonce
    )
    watch_at = app.clock.now().timestamp() + SOON
    return app.sessions.set_back(session, request, stored_values, sinks, watch_at)


def _is_under_way(session: Session, restart: dict[str, Any]) -> bool:
    return bool(session.status == "in_transit" and session.restart == restart)


def _check(app: App, session: Session, agent: SessionAgent | None) -> None:
    """Raise `Conflict` if the session cannot run again in its present state."""
    status = session.status
    if session.plan_hash is None:
        raise Conflict(
            "The session was not started from a task; only those can run again.", status=status
        )
    if status not in TERMINAL_SESSION_STATUSES:
        state = "is paused" if status == "paused" else "has not ended"
        text = f"The session {state}: cancel it, or wait until it ends; then it can run again."
        raise Conflict(text, status=_status(app, session))
    if agent is None and status not in _RETRIED:
        raise Conflict(
            "The session is completed: nothing of it failed. rerunSessionAgent runs a part again.",
            status=status,
        )


def _status(app: App, session: Session) -> str:
    """The status that clients read: of a session that has begun, its first agent says so."""
    if not may_have_begun(session):
        return str(session.status)
    first = app.records.get(SESSION_AGENT, session.partition_key, agent_key_of(session, 0))
    return status_of(session, first)


def _explain(key: tuple[str, str], old: Session | None, restart: dict[str, Any]) -> None:
    """Raise `NotFound` or `Conflict`, unless another process has just made the same request."""
    if old is None:
        raise SESSION.missing(key)
    if not _is_under_way(old, restart):
        raise Conflict(
            "Somebody else has just controlled this session; look at it and try again.",
            status=old.status,
        )
