"""Sessions as the command line shows them, without an API."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.client import SessionView as Found
from ai_coordination_engine.client.records import Session, SessionAgent
from ai_coordination_engine.entrypoints.cli.session_view import AgentView, SessionView, Why, view_of

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_AGENT = dict.fromkeys(SessionAgent.model_fields)
_SESSION = dict.fromkeys(Session.model_fields) | {
    "id": "id",
    "session_uuid": "s",
    "coordination_uuid": "c",
    "endpoint_id": "local",
    "partition_key": "local",
    "status": "in_progress",
    "created_at": NOW,
    "updated_at": NOW,
}


def record(uuid: str, state: str = "pending", **fields: Any) -> SessionAgent:
    """A session agent whose agent has the same uuid, and is called so."""
    given = {
        "session_agent_uuid": uuid,
        "agent_uuid": uuid,
        "agent_name": uuid,
        "session_uuid": "s",
        "state": state,
    }
    return SessionAgent.model_construct(**{**_AGENT, **given, **fields})


def agent(uuid: str, state: str = "pending", why: str | None = None, **fields: Any) -> AgentView:
    found = record(uuid, state, **fields)
    return AgentView(found, found.agent_name or uuid, why=Why("PAUSED", why) if why else None)


def view(agents: Iterable[AgentView], **fields: Any) -> SessionView:
    return SessionView(Session.model_construct(**{**_SESSION, **fields}), [*agents])


def seen(records: Iterable[SessionAgent], **fields: Any) -> SessionView:
    """The view of a session as the client of the API answers it."""
    found = Found.model_construct(**{**_SESSION, **fields}, session_agents=[*records])
    return view_of(found)
