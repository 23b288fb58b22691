"""What an agent that has ended means for each agent that waits for it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ai_coordination_engine.domain.conditions import holds
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import AgentFailure

TOLERANT = ("any", "quorum", "all_terminal")
COUNTED = ("any", "quorum")


class Verdict(Enum):
    """An edge passes, or it is off; `BLAMED` is off because of a failure."""

    PASSES = "passes"
    OFF = "off"
    BLAMED = "blamed"


@dataclass(frozen=True, slots=True)
class Edge:
    """From an agent to a successor: the successor's ordinal, how many it waits for, its join, and when the edge passes.

    `agent_uuid` is the successor's, where an action function may choose.
    """

    ordinal: int
    in_degree: int
    join: str = "all"
    condition: str | None = None
    agent_uuid: str | None = None

    def stored(self) -> list[Any]:
        """As it is stored: what is usual is left out at the end."""
        values = [self.ordinal, self.in_degree, self.join, self.condition, self.agent_uuid]
        usual = [None, None, "all", None, None]
        while len(values) > 2 and values[-1] == usual[len(values) - 1]:
            values.pop()
        return values


def edges(successors: Any) -> list[Edge]:
    """The edges in the stored form of `SessionAgent.successors`."""
    return [Edge(*each) for each in successors or ()]


def tolerated(outgoing: Sequence[Edge]) -> bool:
    """Whether every successor copes with a failure, so that it does not fail the session."""
    return bool(outgoing) and all(edge.join in TOLERANT for edge in outgoing)


def check_output(outgoing: Sequence[Edge], output: str) -> None:
    """Raises `AgentFailure` when a condition needs JSON and the output is none, or is none that it applies to."""
    conditions = [edge.condition for edge in outgoing if edge.condition]
    if not conditions:
        return
    try:
        value = json.loads(output)
        for condition in conditions:
            holds(condition, value)
    except BadUserInput as error:
        raise AgentFailure(error.message, retryable=True, error_class="invalid_output") from error
    except (ValueError, RecursionError) as error:
        message = f"The output is no JSON, but the condition {conditions[0][:200]} of a successor needs it."
        raise AgentFailure(message, retryable=True, error_class="invalid_output") from error


def judge(outgoing: Sequence[Edge], state: str, *, blamed: bool, chosen: Any, output: str | None) -> list[Verdict]:
    """The verdict on each edge of an agent that has ended in `state`."""
    if state != "completed":
        off = Verdict.BLAMED if state in ("failed", "cancelled") or (state == "skipped" and blamed) else Verdict.OFF
        return [off] * len(outgoing)
    conditional = any(edge.condition for edge in outgoing)
    value = _json(output) if conditional else None
    return [Verdict.PASSES if _passes(edge, chosen, value) else Verdict.OFF for edge in outgoing]


def _passes(edge: Edge, chosen: Any, value: Any) -> bool:
    if chosen is not None and edge.agent_uuid not in chosen:
        return False
    return edge.condition is None or _holds(edge.condition, value)


def _holds(condition: str, value: Any) -> bool:
    try:
        return holds(condition, value)
    except BadUserInput:  # a function of the expression met a type that it does not take
        return False


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None  # completed by hand: the engine checks outputs before it completes
