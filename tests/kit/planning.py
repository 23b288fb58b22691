"""Sessions that a planning agent plans."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.ports import AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import Behaviour
from tests.kit.stage import Graph, Stage, stage_of

PLANNER = "planner"
Answers = str | Mapping[str, Any] | Sequence[Any]


def step(name: str, after: Sequence[str] = (), agent: str = "", **more: Any) -> dict[str, Any]:
    """A step of an agent of its own name, unless one is given."""
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
    """A plan whose last step is final."""
    return {
        "schema": "ace.plan/1",
        "goal": "all done",
        "steps": list(steps),
        "final": final or (steps[-1]["id"] if steps else None),
        "cannotDo": None,
        **more,
    }


def plan_of(graph: Graph) -> dict[str, Any]:
    """A plan whose steps are called as their agents."""
    return plan(*(step(name, list(before)) for name, before in graph.items()))


def text(answer: Any) -> str:
    """The text of an answer."""
    return answer if isinstance(answer, str) else json.dumps(answer)


def answering(*answers: Any) -> Behaviour:
    """A planning agent that gives one answer after the other; the last one again and again."""

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
    """A task that is planned: its planning agent, the action of that, and the other agents."""
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
    """A session that was planned by these answers, and worked off."""
    stage = stage_of(app, behaviours={PLANNER: answering(*answers), **(behaviours or {})})
    names = define(stage, agents, query=query, **given)
    session = stage.start(names)
    work(stage)
    return stage, session
