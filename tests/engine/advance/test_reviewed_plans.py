"""A plan that a person has reviewed runs as they saw it, or not at all: the planning agent is not
asked again.
"""

import json
from typing import Any

import pytest

from ai_coordination_engine.domain.planning import MAX_PLAN
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session
from tests.kit.planning import PLANNER, plan, planned, step
from tests.kit.stage import TENANT, Stage

STRICT = "placeholders are strict, and these have no value: {nope} of agent a."


def proposed(app: App, *answers: Any, **given: Any) -> tuple[Stage, Session, tuple[str, str]]:
    stage, session = planned(app, *answers, planner={"user_in_the_loop": "ann"}, **given)
    waiting = stage.agent(session.session_uuid, PLANNER)
    assert waiting.state == "wait_for_user_input"
    return stage, session, (session.session_uuid, waiting.session_agent_uuid)


def as_long_as_allowed() -> str:
    """A plan as compact as it may be, which is longer as people see it."""
    names = [f"s{number}" for number in range(90)]
    keys = ("id", "agent", "query", "after")
    steps = [step(name, names[:at], "a", query="x") for at, name in enumerate(names)]
    found = plan(*({key: each[key] for key in keys} for each in steps))
    found["goal"] = "x" * (MAX_PLAN - len(json.dumps(found, separators=(",", ":"))) + 8)
    return json.dumps(found, separators=(",", ":"))


@pytest.mark.parametrize("changed", [False, True])
def test_a_plan_of_the_greatest_length_is_approved_as_it_is_shown(app: App, changed: bool) -> None:
    answer = as_long_as_allowed()
    assert len(answer) == MAX_PLAN
    limits = {"steps": 90, "depth": 90}
    stage, session, key = proposed(app, answer, plan(step("b")), plan_limits=limits)
    shown = stage.agent(session.session_uuid, PLANNER).agent_output
    assert len(shown) > MAX_PLAN
    execute_for_user_input(stage.app, TENANT, *key, shown if changed else "approve")
    stage.drain()
    assert stage.runtime.ran() == [PLANNER, *"a" * 90]


@pytest.mark.parametrize(
    ("query", "why"), [("{nope}", STRICT), ("{large}" * 9, "has room for 8000000 characters")]
)
def test_an_edited_plan_whose_texts_cannot_be_filled_is_refused(
    app: App, query: str, why: str
) -> None:
    begin = json.dumps({"large": "x" * 1_000_000})
    stage, session, key = proposed(app, plan(step("a")), placeholders="strict", query=begin)
    with pytest.raises(BadUserInput, match=why):
        execute_for_user_input(stage.app, TENANT, *key, json.dumps(plan(step("a", query=query))))
    assert stage.states(session.session_uuid) == {PLANNER: "wait_for_user_input"}
    execute_for_user_input(stage.app, TENANT, *key, "approve")
    stage.drain()
    assert stage.runtime.ran() == [PLANNER, "a"]


def test_a_default_plan_that_cannot_run_fails_the_session(app: App) -> None:
    default = json.dumps(plan(step("a", query="{nope}")))
    planner = {
        "user_in_the_loop": "ann",
        "answer_within_seconds": 60,
        "default_answer": default,
    }
    stage, session = planned(app, plan(step("a")), planner=planner, placeholders="strict")
    assert stage.states(session.session_uuid) == {PLANNER: "failed"}
    assert stage.session(session).logs == f"Agent {PLANNER} failed: subtaskQueries: {STRICT}"
    assert stage.runtime.ran() == [PLANNER]
