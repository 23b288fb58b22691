"""Edges between session agents: decide which of them pass when an agent ends. Pure.

`advance.hand_off` releases the edges; `graph.inputs` reads outputs along the edges that pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.conditions import holds, value_for
from ai_coordination_engine.domain.documents import quoted
from ai_coordination_engine.domain.json_text import NotJSON
from ai_coordination_engine.errors import BadUserInput, TooCostly
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent

TOLERANT = ("any", "quorum", "all_terminal")
COUNTED = ("any", "quorum")
Held = Mapping[str, bool]
"""Condition → whether it holds for an output. A condition that is missing does not hold."""


class EdgeOutcome(Enum):
    """Whether an edge passes. If not, `UPSTREAM_FAILED` says that a failure is the reason."""

    PASSES = "passes"
    UNSATISFIED = "unsatisfied"
    UPSTREAM_FAILED = "upstream_failed"


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge to a successor.

    `ordinal`, `in_degree` (number of predecessors) and `join` are the successor's. `condition`: the
    condition of this edge. `agent_uuid`: the successor's, if an action function may choose
    successors; else None. `needs`: the extra that the successor needs.
    """

    ordinal: int
    in_degree: int
    join: str = "all"
    condition: str | None = None
    agent_uuid: str | None = None
    needs: str | None = None

    def stored(self) -> list[Any]:
        """The stored form: a list, without trailing default values."""
        beside = self.condition, self.agent_uuid, self.needs
        values = [self.ordinal, self.in_degree, self.join, *beside]
        defaults = [None, None, "all", None, None, None]
        while len(values) > 2 and values[-1] == defaults[len(values) - 1]:
            values.pop()
        return values


def edges(successors: Any) -> list[Edge]:
    """The edges in the stored form of `SessionAgent.successors`."""
    return [Edge(*each) for each in successors or ()]


def edges_of(agent: SessionAgent) -> list[Edge]:
    """The edges that start at an agent. One that has chosen who goes on with its question leads
    there alone; the edges that are stored with it are taken over by that one.
    """
    routed = agent.routed
    return edges(agent.read("successors")) if routed is None else [Edge(routed["ordinal"], 1)]


def tolerated(outgoing: Sequence[Edge]) -> bool:
    """Whether each successor tolerates a failure, so that a failure does not fail the session."""
    return bool(outgoing) and all(edge.join in TOLERANT for edge in outgoing)


def check_output(outgoing: Sequence[Edge], output: str, budget: Budget) -> Held:
    """Evaluate the conditions of these edges on an output; each condition once.

    Raises `AgentFailure` if there is a condition and the output is not JSON, or if a condition does
    not apply to the value; also, not retryable, when the budget is used up.
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
    """Evaluate conditions again on the output of a completed agent.

    A condition that does not apply to the value does not hold: a client may have completed the
    agent with any output. Raises `AgentFailure` when the budget is used up.
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
    """Whether an edge of a completed agent passes.

    `chosen`: the uuids of the agents that its action function chose; None: all.
    """
    if chosen is not None and edge.agent_uuid not in chosen:
        return False
    return edge.condition is None or held.get(edge.condition, False)
