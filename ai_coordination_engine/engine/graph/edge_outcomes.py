"""What the end of an agent means for each of its successors. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.conditions import holds, value_for
from ai_coordination_engine.domain.documents import quoted
from ai_coordination_engine.domain.json_text import NotJSON
from ai_coordination_engine.errors import BadUserInput, TooCostly
from ai_coordination_engine.ports import AgentFailure

TOLERANT = ("any", "quorum", "all_terminal")
COUNTED = ("any", "quorum")
Held = Mapping[str, bool]
"""Which conditions hold of an output; what is not among them does not."""


class EdgeOutcome(Enum):
    """Whether an edge passes or leaves its successor unsatisfied; `UPSTREAM_FAILED`: unsatisfied
    because of a failure.
    """

    PASSES = "passes"
    UNSATISFIED = "unsatisfied"
    UPSTREAM_FAILED = "upstream_failed"


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge to a successor: the ordinal of the successor, the number of its predecessors, its
    join, and the condition of the edge.

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
    """Whether every successor tolerates a failure, so that the failure does not fail the
    session.
    """
    return bool(outgoing) and all(edge.join in TOLERANT for edge in outgoing)


def check_output(outgoing: Sequence[Edge], output: str, budget: Budget) -> Held:
    """Which conditions of these edges hold for the output; each is evaluated once.

    Raises `AgentFailure` when a condition needs JSON and the output is not valid JSON, or the
    condition does not apply to its value; and (not retryable) when the budget is used up.
    """
    conditions = list(dict.fromkeys(edge.condition for edge in outgoing if edge.condition))
    try:
        value = value_for(conditions[0], output, budget) if conditions else None
        return {each: holds(each, value, budget) for each in conditions}
    except TooCostly as error:
        raise _too_costly(error) from error
    except BadUserInput as error:
        raise AgentFailure(error.message, retryable=True, error_class="invalid_output") from error
    except NotJSON as error:
        needed = f"the condition {conditions[0][:200]} of a successor needs JSON"
        message = f"The output {error}, but {needed}; it begins: {quoted(output)}."
        raise AgentFailure(message, retryable=True, error_class="invalid_output") from error


def held_again(conditions: Iterable[str], output: str, budget: Budget) -> Held:
    """Which conditions hold for an output that was checked when its agent completed. A condition
    that does not apply does not hold: a client may have completed the agent. Raises `AgentFailure`
    when the budget is used up.
    """
    held = dict.fromkeys(conditions, False)
    try:
        value = value_for(next(iter(held)), output, budget) if held else None
        return {each: _holds(each, value, budget) for each in held}
    except TooCostly as error:
        raise _too_costly(error) from error
    except NotJSON:
        return held


def _holds(condition: str, value: Any, budget: Budget) -> bool:
    try:
        return holds(condition, value, budget)
    except TooCostly:
        raise
    except BadUserInput:
        return False


def _too_costly(error: TooCostly) -> AgentFailure:
    return AgentFailure(f"The condition {error.message}", error_class="invalid_output")


def evaluate(
    outgoing: Sequence[Edge], state: str, *, upstream_failed: bool, chosen: Any, held: Held
) -> list[EdgeOutcome]:
    """The outcome of each edge of an agent that has ended in `state`."""
    if state != "completed":
        unsatisfied = (
            EdgeOutcome.UPSTREAM_FAILED
            if state in ("failed", "cancelled") or (state == "skipped" and upstream_failed)
            else EdgeOutcome.UNSATISFIED
        )
        return [unsatisfied] * len(outgoing)
    return [
        EdgeOutcome.PASSES if passes(edge, chosen, held) else EdgeOutcome.UNSATISFIED
        for edge in outgoing
    ]


def passes(edge: Edge, chosen: Any, held: Held) -> bool:
    """Whether the edge of a completed agent passes, given what its action function has chosen
    (None: all).
    """
    if chosen is not None and edge.agent_uuid not in chosen:
        return False
    return edge.condition is None or held.get(edge.condition, False)
