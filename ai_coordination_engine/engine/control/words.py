"""The words for agents in what a person reads about them. Pure; no blob is read for it."""

from collections.abc import Sequence

from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.payload import BlobReference


def listed(agents: Sequence[SessionAgent]) -> str:
    """Agents, and what each is doing."""
    return (
        ", ".join(f"{label(each)} ({_doing(each)})" for each in agents)
        or "none of them can be read"
    )


def _doing(agent: SessionAgent) -> str:
    if agent.state == "wait_for_user_input":
        return f"waits for {agent.awaits_user or 'a person'}"
    if agent.async_task_uuid and agent.state == "pending":
        return "waits for a long job"
    return f"executing, attempt {agent.attempt}" if agent.state == "executing" else str(agent.state)


def label(agent: SessionAgent) -> str:
    """The agent's name where the record holds it, else its uuid: a blob is not read for it."""
    definition = agent.stored("definition")
    name = definition.get("agent_name") if isinstance(definition, dict) else None
    index = "" if agent.map_ordinal is None else f" #{agent.ordinal % MAX_ELEMENTS}"
    return (name or agent.agent_uuid or "?") + index


def because(agent: SessionAgent) -> str:
    """What its record says of the reason, in brackets; nothing when it says none."""
    notes = agent.stored("notes")
    if notes is None or isinstance(notes, BlobReference):
        return ""
    return f" ({cut(str(notes), 300)})"


def cut(text: str, length: int) -> str:
    """The text, of so many characters at most."""
    return text if len(text) <= length else f"{text[:length]}…"
