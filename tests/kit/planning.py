"""Sessions whose steps a planning agent plans."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import Behaviour
from tests.kit.stage import Graph, Stage, stage_of

PLANNER = "planner"
Answers = str | Mapping[str, Any] | Sequence[Any]


def step(name: str, after: Sequence[str] = (), agent: str = "", **more: Any) -> dict[str, Any]:
    """Return a step of a plan; its agent has the step's name unless `agent` names another."""
    return {
        "id": name,
        "agent": agent or name,
        "query": f"do {name}",
        "after": list(after),
        "join": "all",
        "when": None,
        "map": None,
        "reason": "it is needed",
        **more,
    }


def plan(*steps: Mapping[str, Any], final: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a plan whose last step is final."""
    return {
        "schema": "ace.plan/1",
        "goal": "all done",
        "steps": list(steps),
        "final": final or (steps[-1]["id"] if steps else None),
        "cannotDo": None,
        **more,
    }


def plan_of(graph: Graph) -> dict[str, Any]:
    """Return a plan with a step for each agent of the graph, named like the agent."""
    return plan(*(step(name, list(before)) for name, before in graph.items()))


def text(answer: Any) -> str:
    """Return an answer as text."""
    return answer if isinstance(answer, str) else json.dumps(answer)


def answering(*answers: Any) -> Behaviour:
    """Return a planning agent that gives these answers in turn and then repeats the last one."""

    def answer(request: AgentRequest) -> str:
        return text(answers[min(request.attempt, len(answers)) - 1])

    return answer


def define(
    stage: Stage,
    agents: Sequence[str],
    *,
    planner: Mapping[str, Any] | None = None,
    actions: Mapping[str, Mapping[str, Any]] | None = None,
    described: Mapping[str, Mapping[str, Any]] | None = None,
    **task: Any,
) -> tuple[str, str]:
    """Create a task with a planning agent, the action of that, and the other agents."""
    given = {**(actions or {}), **({PLANNER: dict(planner)} if planner else {})}
    return stage.define(
        dict.fromkeys([PLANNER, *agents], ()),
        agents={PLANNER: {"agent_type": "planning"}, **(described or {})},
        actions=given,
        **{"plan": True, **task},
    )


def planned(
    app: App,
    *answers: Any,
    agents: Sequence[str] = "abcd",
    behaviours: Mapping[str, Behaviour] | None = None,
    work: Callable[[Stage], Any] = Stage.drain,
    query: str = "begin",
    **given: Any,
) -> tuple[Stage, Session]:
    """Run a session that is planned by these answers; return its stage, too."""
    stage = stage_of(app, behaviours={PLANNER: answering(*answers), **(behaviours or {})})
    names = define(stage, agents, query=query, **given)
    session = stage.start(names)
    work(stage)
    return stage, session
