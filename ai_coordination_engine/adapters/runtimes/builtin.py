"""The functions that every server offers: `{"kind": "function", "name": "echo"}`."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_coordination_engine.ports import AgentRequest


def echo(request: AgentRequest) -> str:
    """The input, unchanged."""
    return request.input


def upper(request: AgentRequest) -> str:
    """The input in capital letters."""
    return request.input.upper()


def word_count(request: AgentRequest) -> Mapping[str, int]:
    """How many words the input has, as `{"words": n}`."""
    return {"words": len(request.input.split())}


FUNCTIONS: Mapping[str, Callable[[AgentRequest], Any]] = {
    "echo": echo,
    "upper": upper,
    "word_count": word_count,
}
