"""Plans that Hypothesis draws, valid and broken: the session runs exactly that graph, or nothing of
it was written, whoever dies meanwhile.
"""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_coordination_engine.domain.plan_limits import PlanLimits
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import tripping
from tests.kit.planning import PLANNER, answering, define, plan, step
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import Stage, stage_of

AGENTS = "abc"
EXAMPLES = 200 if os.environ.get("CI") else 40
LIMITS = PlanLimits()


@st.composite
def valid(draw: st.DrawFn) -> dict[str, Any]:
    """A plan: every step leads to the last one, and few enough follow each other."""
    size = draw(st.integers(1, 8))
    names = [f"s{number}" for number in range(size)]
    after: dict[str, set[str]] = {name: set() for name in names}
    depth = dict.fromkeys(names, 1)
    for number, name in enumerate(names[1:], 1):
        shallow = [each for each in names[:number] if depth[each] < LIMITS.depth - 1]
        after[name] = draw(st.sets(st.sampled_from(shallow), max_size=3)) if shallow else set()
        depth[name] = 1 + max((depth[each] for each in after[name]), default=0)
    needed = {each for name in names for each in after[name]}
    after[names[-1]] |= {each for each in names[:-1] if each not in needed}
    steps = [
        step(
            name,
            sorted(after[name]),
            agent=draw(st.sampled_from(AGENTS)),
            query=draw(st.sampled_from(["look", "{" + name + "}", "at {{braces}}", ""])),
            join=draw(st.sampled_from(["all", "all", "any", "all_terminal"])),
        )
        for name in names
    ]
    return plan(*steps)


def _steps(change: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def changed(made: Any) -> Any:
        change(made["steps"])
        return made

    return changed


def _without(name: str) -> Callable[[Any], Any]:
    return lambda made: {key: value for key, value in made.items() if key != name}


BREAKS: dict[str, Callable[[Any], Any]] = {
    "cycle": _steps(lambda steps: steps[0]["after"].append(steps[-1]["id"])),
    "foreign agent": _steps(lambda steps: steps[-1].update(agent="mallory")),
    "unknown step": _steps(lambda steps: steps[-1]["after"].append("nowhere")),
    "twice": _steps(lambda steps: steps.append(dict(steps[0]))),
    "orphan": _steps(lambda steps: steps.insert(0, step("lonely", agent="a"))),
    "too many": _steps(
        lambda steps: steps.extend(step(f"x{number}", agent="a") for number in range(20))
    ),
    "no steps": _steps(lambda steps: steps.clear()),
    "a number": _steps(lambda steps: steps.__setitem__(0, 7)),
    "runtime": _steps(lambda steps: steps[0].update(runtime={"kind": "http"})),
    "function": _steps(lambda steps: steps[0].update(actionFunction={"functionName": "rm"})),
    "condition": _steps(lambda steps: steps[-1].update(after=["s0"], when="a ==")),
    "map": _steps(lambda steps: steps[0].update(map={"over": "s0"})),
    "map's keys": _steps(lambda steps: steps[0].update(map={"each": "s0"})),
    "join": _steps(lambda steps: steps[0].update(join="quorum")),
    "url": lambda made: {**made, "url": "http://localhost"},
    "no schema": _without("schema"),
    "no final": _without("final"),
    "other final": lambda made: {**made, "final": "nowhere"},
    "list": lambda made: [made],
    "text": json.dumps,
}


def graph(stage: Stage, session: Session) -> list[tuple[Any, ...]]:
    """The steps as they were written: id, agent, query, steps before, join."""
    agents = [each for each in stage.agents(session.session_uuid) if each.ordinal]
    names = {each.ordinal: each.agent_action["plan_step"]["id"] for each in agents}
    queries = iter(stage.session(session).subtask_queries or ())
    return [
        (
            names[each.ordinal],
            each.agent_uuid,
            next(queries)["subtask_query"],
            [names[ordinal] for ordinal in each.predecessors or ()],
            each.agent_action.get("join", "all"),
        )
        for each in agents
    ]


def asked(made: Any) -> list[tuple[Any, ...]]:
    return [
        (each["id"], each["agent"], each["query"] or None, each["after"], each["join"])
        for each in made["steps"]
    ]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    made=valid(),
    broken=st.sampled_from([None, None, *BREAKS]),
    dies=st.integers(1, 60),
    fenced=st.booleans(),
)
def test_a_session_runs_exactly_its_plan_or_nothing_of_it(
    stage: Stage, made: dict[str, Any], broken: str | None, dies: int, fenced: bool
) -> None:
    answer = copy.deepcopy(made) if broken is None else BREAKS[broken](copy.deepcopy(made))
    text = answer if isinstance(answer, str) else json.dumps(answer)
    if broken == "text":
        text = json.dumps(text)
    stage.renew(behaviours={PLANNER: answering(f"Sure!\n```json\n{text}\n```" if fenced else text)})
    session = stage.start(define(stage, AGENTS, plan_limits={"attempts": 1}))
    with tripping(stage, dies):
        stage.drain()
    if broken is None:
        check_promises(stage, session)
        assert graph(stage, session) == asked(made)
    else:
        assert stage.states(session.session_uuid) == {PLANNER: "failed"}
        assert stage.status(session) == "failed"
        assert set(stage.runtime.ran()) == {PLANNER}
    check_redelivery_changes_nothing(stage, session)
