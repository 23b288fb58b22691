"""Promises P2–P6 under random interleavings.

Hypothesis draws the session and the faults, a seed draws the order. A model predicts how each agent
must end. A history that ends differently fails with a script that replays it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings

from tests.kit.drawn import TROUBLE, plans, tried
from tests.kit.histories import History, script
from tests.kit.homes import HOMES
from tests.kit.outcomes import outcomes
from tests.kit.plans import Node, Plan, Trouble
from tests.kit.promises import check
from tests.kit.stage import Stage
from tests.kit.staging import staged

CI = bool(os.environ.get("CI"))
PARTS, EXAMPLES = 4, 75 if CI else 10
OWN = {"dynamodb": {"repeat", "leftover"}, "sqlite": {"rollback"}}  # troubles of one home alone


@pytest.fixture(scope="module", params=HOMES)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One stage for all examples of a home, whose sessions are independent."""
    with staged(request.param) as stage:
        yield stage


# Histories that once ended otherwise: the write that expands a map was repeated; a worker died in a
# completed session.
EXPANDED_TWICE = (
    Plan(
        {
            "a0": Node((), "stop", 3),
            "a1": Node(items=2),
            "a2": Node(("a0",), "stop", 2, over="a0"),
            "a3": Node(),
        }
    ),
    Trouble(2, crashes=0.01, delays=0.05, repeats=0.1),
)
LEFT_BEHIND = (
    Plan(
        {
            "a0": Node(items=2),
            "a1": Node(("a0",), "fail", join="any"),
            "a2": Node(items=0),
            "a3": Node(("a0", "a1", "a2")),
            "a4": Node(("a0", "a1", "a2", "a3"), items=2, join="quorum", quorum=2),
        },
        "continue",
    ),
    Trouble(2188, duplicates=0.3, delays=0.01, throttles=0.05, skew=5.0),
)


STRAYS = (  # a start that was overtaken wrote its agents and died; the session ended
    Plan({"a0": Node(items=3), "a1": Node(("a0",), join="any", job="done")}, "continue"),
    Trouble(
        697544,
        crashes=0.01,
        throttles=0.01,
        repeats=0.02,
        skew=5.0,
        lags=0.5,
        leftovers=0.3,
        starts=True,
        again=True,
        deadline=True,
    ),
)


@example(plan=STRAYS[0], trouble=STRAYS[1])
@example(plan=EXPANDED_TWICE[0], trouble=EXPANDED_TWICE[1])
@example(plan=LEFT_BEHIND[0], trouble=LEFT_BEHIND[1])
@settings(deadline=None, phases=[Phase.explicit])
@given(plan=plans(), trouble=TROUBLE)
def test_what_once_ended_otherwise_does_not(stage: Stage, plan: Plan, trouble: Trouble) -> None:
    check(stage, History(stage, plan, trouble).run(), outcomes(plan))


@pytest.mark.parametrize("part", range(PARTS))
def test_every_history_ends_as_its_plan_says(stage: Stage, part: int) -> None:
    tried(stage, EXAMPLES, part)


TROUBLED = Trouble(
    9,
    duplicates=0.3,
    crashes=0.05,
    delays=0.05,
    throttles=0.05,
    repeats=0.3,
    skew=5.0,
    lags=0.5,
    leftovers=0.5,
    controls=0.3,
    deadline=True,
)
SEEDS = range(4)
CONTROLLED = Trouble(
    2, crashes=0.01, cancels=0.1, forks=0.3, deletes=0.3, gives_up=True, deadline=True
)


def test_every_kind_of_trouble_happens(stage: Stage) -> None:
    plan = Plan({f"a{number}": Node((f"a{number - 1}",) if number else ()) for number in range(15)})
    happened: set[str] = set()
    for trouble in [replace(each, seed=seed) for each in (TROUBLED, CONTROLLED) for seed in SEEDS]:
        history = History(stage, plan, trouble)
        check(stage, history.run(), outcomes(plan))
        happened |= set(history.happened)
    kinds = {"duplicate", "crash", "delay", "throttle", "control", "cancel", "fork", "delete"}
    assert happened >= kinds
    assert happened & set().union(*OWN.values()) == OWN[stage.home]


def test_a_history_is_the_same_each_time(stage: Stage) -> None:
    plan = Plan(
        {
            "a": Node(),
            "b": Node(("a",), "flaky"),
            "c": Node(("a",), "fail"),
            "d": Node(("b", "c"), join="any"),
        }
    )
    once, again = (History(stage, plan, TROUBLED) for _ in range(2))
    assert str(once.run()) == str(again.run())
    assert (once.trace, once.happened) == (again.trace, again.happened)


def test_the_script_of_a_history_replays_it() -> None:
    plan = Plan(
        {"a": Node(items=2), "b": Node(("a",), "flaky", over="a", conditions=("a",))}, "continue"
    )
    done = subprocess.run(
        [sys.executable, "-c", script(plan, TROUBLED, "sqlite")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "completed; a: completed, b: completed, b[0]: completed, b[1]: completed"
    )


def test_a_history_that_ends_otherwise_is_noticed(stage: Stage) -> None:
    plan = Plan({"a": Node(), "b": Node(("a",), "fail"), "c": Node(("b",), join="all_terminal")})
    found = History(stage, plan, Trouble(1)).run()
    wrong = outcomes(Plan({**plan.agents, "b": Node(("a",))}))
    with pytest.raises(AssertionError, match="b"):
        check(stage, found, wrong)
