"""Session agents that must answer JSON by a schema of the engine's own, as their rules say."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.decomposition import planning_of
from ai_coordination_engine.domain.routing import Route
from ai_coordination_engine.domain.structured import Structured, Unfit
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent

_KINDS: Mapping[str, Callable[[Any], Structured]] = {
    "route": lambda stored: Route.of(stored).structured(),
    "plan": lambda stored: planning_of(stored).structured(),
}
"""What has to be answered, by the name of the rule that asks for it."""


def of(agent: SessionAgent) -> Structured | None:
    """What the agent has to answer; None: any text."""
    given = rules.of(agent)
    return next((make(given[name]) for name, make in _KINDS.items() if name in given), None)


def read(agent: SessionAgent, output: str, budget: Budget) -> Any:
    """The value of what the agent answered; None when it may answer any text. The same output is
    the same value at every repetition.

    Raises `AgentFailure`, `invalid_output`, which says exactly what is wrong.
    """
    wanted = of(agent)
    if wanted is None:
        return None
    try:
        return wanted.read(output, budget)
    except Unfit as error:
        raise AgentFailure(str(error), retryable=True, error_class="invalid_output") from error


def may_be_asked_again(agent: SessionAgent, failure: AgentFailure) -> bool | None:
    """Whether an agent whose answer was unfit is asked once more with the reason; None when the
    failure is another one, for the policy to judge.
    """
    if not (failure.retryable and failure.error_class == "invalid_output"):
        return None
    wanted = of(agent)
    return None if wanted is None else (agent.corrections or 0) + 1 < wanted.tries
