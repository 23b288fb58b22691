"""Agents that are Python functions. ACE_FUNCTIONS says which of them the server may call."""

from ai_coordination_engine import AgentRequest


def count_words(request: AgentRequest) -> dict[str, int]:
    """How many words the text has; the answer may be a text or any JSON value."""
    return {"words": len(request.input.split())}
