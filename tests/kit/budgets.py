"""Tasks with a budget, and what is used of it."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_coordination_engine.engine.attempt import budgets
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.budgets import Period
from tests.kit.stage import TENANT, Stage

MODEL = {"kind": "openai", "model": "m", "max_tokens": 100}


def using(tokens: int) -> Callable[[AgentRequest], AgentResult]:
    """The behaviour of an agent that reports so many tokens."""
    return lambda request: AgentResult("ok", {"input_tokens": 0, "output_tokens": tokens})


def define(
    stage: Stage, budget: Mapping[str, Any] | None, agents: str = "a", **more: Any
) -> tuple[str, str]:
    """A task with a budget whose agents do not wait for one another."""
    named = {each: {"runtime": MODEL} for each in agents}
    subtasks = [{"agent_uuid": each} for each in agents]
    graph = dict.fromkeys(agents, "")
    return stage.define(graph, agents=named, subtasks=subtasks, budget=budget, **more)


def need(stage: Stage) -> int:
    """The tokens that each attempt of `define` may need."""
    stage.start(define(stage, None))
    stage.drain()
    found = budgets.worst_case(stage.app, stage.runtime.requests.pop())
    assert found is not None
    return found.total


def of_session(session: Session) -> Period:
    return Period("task", session.task_uuid, f"session {session.session_uuid}")


def tokens(stage: Stage, period: Period) -> tuple[int, int]:
    """What is spent and reserved."""
    used = stage.app.budgets.used(TENANT, [period])[period]
    return used.spent.tokens, used.reserved.tokens
