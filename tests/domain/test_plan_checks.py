"""What is wrong with a plan is told exactly, each problem after the JSON Pointer of its place."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.plan_checks import MAX_PROBLEMS, PlanRules, problems
from ai_coordination_engine.domain.plan_limits import PlanLimits
from ai_coordination_engine.domain.planning import Planning
from ai_coordination_engine.domain.plans import Plan, plan_hash
from ai_coordination_engine.domain.structured import Unfit
from ai_coordination_engine.errors import BadUserInput
from tests.kit.planning import plan, step

RULES = PlanRules(["a", "b", "asked"], PlanLimits(), ["asked"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
STEP_KEYS = ["id", "agent", "query", "after", "join", "when", "map", "reason", "x"]
ODD_STEPS = st.dictionaries(
    st.sampled_from(STEP_KEYS), JSON | st.sampled_from(["s1", "a", "all", ["s1"]])
)
ODD_PLANS = st.fixed_dictionaries(
    {"schema": st.just("ace.plan/1"), "steps": st.lists(ODD_STEPS | JSON, max_size=4)},
    optional={"final": JSON, "goal": JSON, "cannotDo": JSON},
)


def a(name: str, *before: str, **more: Any) -> dict[str, Any]:
    return {**step(name, before, agent="a"), **more}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], ["at /, is a list; a plan is an object"]),
        ("x", ["at /, is a text; a plan is an object"]),
        (plan(), ["at /steps, is empty; a plan has one step at least, or says cannotDo"]),
        (plan(a("s"), steps={}), ["at /steps, is an object; it must be a list of steps"]),
        (plan(a("s"), steps=[None], final="s"), ["at /steps/0, is null; a step is an object"]),
        (plan(a("s"), schema="ace.plan/2"), ['at /schema, must be "ace.plan/1"']),
        (plan(a("s"), goal=3), ["at /goal, is a number; it must be a text or null"]),
        (
            plan(a("s"), **{"a/b~c": 1}),
            ["at /a~1b~0c, is not a key of a plan; it has schema, goal, steps, final, cannotDo"],
        ),
        (
            plan(a("s s"), final="s s"),
            ["at /steps/0/id, must be a text of 1 to 64 letters, digits, `_` or `-`"],
        ),
        (
            plan(step("s", agent="A")),
            [
                "at /steps/0/agent, 'A' is not one of the agents: a, b, asked; did you mean \"a\"?",
            ],
        ),
        (
            plan(step("s", agent="ask")),
            [
                "at /steps/0/agent, 'ask' is not one of the agents: a, b, asked; did you mean"
                ' "asked"?'
            ],
        ),
        (
            plan(a("s", after="s")),
            ["at /steps/0/after, is a text; it must be a list of ids of steps"],
        ),
        (plan(a("s", join="some")), ["at /steps/0/join, must be one of all, any, all_terminal"]),
        (
            plan(a("s", query="\ud800")),
            ["at /steps/0/query, holds an invalid character: half of a surrogate pair"],
        ),
        (plan(a("s"), a("t", "x")), ["at /steps/1/after/0, no step has the id 'x'"]),
        (plan(a("s", "s")), ["at /steps/0/after/0, 's' waits for itself"]),
        (
            plan(a("s", "t"), a("t")),
            [
                "at /steps/0/after/0, 't' is a later step; a step comes after earlier ones only",
            ],
        ),
        (
            plan(a("s", "t"), a("t", "s")),
            ["at /steps/0/after/0, these steps wait for each other: s -> t -> s"],
        ),
        (plan(a("s"), a("s")), ["at /steps/1/id, 's' is the id of /steps/0, too"]),
        (plan(a("s"), final="t"), ["at /final, no step has the id 't'"]),
        (
            {**plan(a("s")), "final": None},
            ["at /final, must be the id of the step whose output is the result"],
        ),
        (
            plan(a("s"), a("t")),
            ["at /steps/0, nothing needs 's': it does not lead to 't'"],
        ),
        (
            plan(a("s"), a("t", "s"), final="s"),
            ["at /steps/1, nothing needs 't': it does not lead to 's'"],
        ),
        (
            plan(a("s", when="x")),
            ["at /steps/0/when, has no output to look at: the step comes after no other"],
        ),
        (
            plan(a("s"), a("t", "s", when={"x": "y"})),
            ["at /steps/1/when/x, is not among the steps in `after`"],
        ),
        (
            plan(a("s"), a("t"), a("u", "s", "t", when={"s": "y"})),
            ["at /steps/2/when, the steps of a in `after` must have the same condition"],
        ),
        (
            plan(a("s"), a("t", "s", map={"over": "t"})),
            ["at /steps/1/map/over, 't' is not among `after`"],
        ),
        (
            plan(a("s"), a("t", "s", map="s")),
            ["at /steps/1/map, is a text; it must be an object with `over`, or null"],
        ),
        (
            plan(a("s"), step("t", "s", agent="asked", map={"over": "s"})),
            ["at /steps/1/map, asked waits for a person, and cannot run for each item"],
        ),
    ],
)
def test_a_problem_is_told_with_its_place(value: Any, found: list[str]) -> None:
    assert problems(value, RULES, Budget()) == found


@pytest.mark.parametrize("key", ["when", "map"])
def test_an_expression_that_does_not_compile_is_told(key: str) -> None:
    given = "a ==" if key == "when" else {"over": "s", "items": "a =="}
    (found,) = problems(plan(a("s"), a("t", "s", **{key: given})), RULES, Budget())
    place = "/steps/1/when" if key == "when" else "/steps/1/map/items"
    assert found.startswith(f"at {place}, a == ")


@pytest.mark.parametrize(
    "value",
    [
        plan(a("s")),
        {"schema": "ace.plan/1", "steps": [{"id": "s", "agent": "a"}], "final": "s"},
        plan(cannotDo="no"),
        {"schema": "ace.plan/1", "cannotDo": "no"},
        plan(a("s"), cannotDo=" "),
        plan(a("ä-1"), a("t", "ä-1", "ä-1", when="x"), a("u", "t", map={"over": "t"})),
        plan(a("s"), step("t", agent="b"), a("u", "s", "t", when={"s": "y", "t": "z"})),
    ],
)
def test_nothing_is_wrong_with_a_plan_that_may_run(value: Any) -> None:
    assert problems(value, RULES, Budget()) == []
    made = Plan.of(value)
    assert Plan.of(made.wire()) == made
    assert plan_hash(made.wire()) == plan_hash(Plan.of(made.wire()).wire())


def test_as_many_problems_as_help_are_told() -> None:
    steps = [a(f"s{number}", join="x", reason=1) for number in range(20)]
    assert len(problems(plan(*steps), RULES, Budget())) == MAX_PROBLEMS


def test_what_is_far_too_large_is_refused_at_once() -> None:
    began = time.process_time()
    many = [a(f"s{number}") for number in range(10_000)]
    assert problems(plan(*many), RULES, Budget()) == [
        "at /steps, has 10000 steps; a plan takes at most 20"
    ]
    planning = Planning([{"agent_uuid": "a"}], PlanLimits().stored())
    with pytest.raises(Unfit, match="it has 5000000 characters; it may have 262144"):
        planning.read("x" * 5_000_000)
    assert time.process_time() - began < 1


@given(value=JSON | ODD_PLANS)
def test_whatever_is_answered_is_a_plan_or_told_what_is_wrong(value: Any) -> None:
    found = problems(value, RULES, Budget())
    assert all(each.startswith("at /") for each in found)
    if not found:
        assert Plan.of(Plan.of(value).wire()) == Plan.of(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "planLimits must be an object"),
        ({"steps": 0}, "planLimits.steps must be a whole number from 1 to 90."),
        ({"steps": 91}, "planLimits.steps must be a whole number from 1 to 90."),
        ({"depth": True}, "planLimits.depth must be a whole number from 1 to 90."),
        ({"map": 1.5}, "planLimits.map must be a whole number from 1 to 10000."),
        ({"attempts": "3"}, "planLimits.attempts must be a whole number from 1 to 10."),
        ({"urls": 1}, 'planLimits: the key "urls" is unknown; it takes steps, depth, map'),
    ],
)
def test_limits_that_cannot_be_are_refused(given: Any, message: str) -> None:
    with pytest.raises(BadUserInput, match=message):
        PlanLimits.of(given)


def test_limits_have_their_defaults() -> None:
    assert PlanLimits.of(None).stored() == {"steps": 20, "depth": 6, "map": 100, "attempts": 3}
    assert PlanLimits.of({"steps": 90, "map": None}) == PlanLimits(steps=90)
