"""Resuming what waits: a person answers."""

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.entities import SESSION_AGENT
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.table import Refused


def execute_for_user_input(app: App, tenant: str, session_uuid: str, session_agent_uuid: str, user_input: str) -> None:
    """Give a waiting session agent its answer and wake it; the same answer again is a success without effect.

    Raises `NotFound`, or `Conflict` when the agent does not wait for one.
    """
    if not user_input.strip():
        raise BadUserInput("userInput is empty; an answer cannot be taken back.")
    key = (session_uuid, session_agent_uuid)
    packed = app.records.packed(SESSION_AGENT, tenant, key, {"user_input": user_input})
    try:
        agent = app.transitions.answer(tenant, key, packed)
    except Refused as refused:
        agent = _answered_before(tenant, refused.old, packed["user_input"])
    if agent.state == "pending":
        app.queue.send([wake(agent)])


def _answered_before(tenant: str, old: SessionAgent | None, packed: object) -> SessionAgent:
    if old is None or old.partition_key != tenant or old.unconfirmed is not None:
        raise NotFound("There is no such session agent.")
    if old.user_input is not None and old.user_input == packed and old.awaits_user is None:
        return old
    raise Conflict(f"The session agent does not wait for an answer: its state is {old.state}.", state=old.state)
