"""Describe agents in messages for people. Pure; reads no blobs.

`control.explain` and `control.skips` use it.
"""

from collections.abc import Sequence

from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.payload import BlobReference


def listed(agents: Sequence[SessionAgent]) -> str:
    """A list of agents, each with what it is doing."""
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
    """The agent's name, or its uuid if the name is in a blob; an element also has its index."""
    definition = agent.stored("definition")
    name = definition.get("agent_name") if isinstance(definition, dict) else None
    index = "" if agent.map_ordinal is None else f" #{agent.ordinal % MAX_ELEMENTS}"
    return (name or agent.agent_uuid or "?") + index


def because(agent: SessionAgent) -> str:
    """The agent's notes, in brackets after a space; empty if there are none or they are a blob."""
    notes = agent.stored("notes")
    if notes is None or isinstance(notes, BlobReference):
        return ""
    return f" ({cut(str(notes), 300)})"


def cut(text: str, length: int) -> str:
    """The text, cut to `length` characters."""
    return text if len(text) <= length else f"{text[:length]}…"
