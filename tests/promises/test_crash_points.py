"""Promises P2–P6 when the worker dies before and after every call to store, queue and runtime."""

import os

import pytest

from ai_coordination_engine.engine.app import App
from tests.kit.calls import CALLS, Call, unrepeated
from tests.kit.crashes import deaths as counted
from tests.kit.shapes import SHAPES, Shape, deaths
from tests.kit.stage import stage_of

CI = bool(os.environ.get("CI"))
EVERY = {"dynamodb": 1 if CI else 2, "sqlite": 1 if CI else 10}
ORDERS = (None, 1, 2, 3) if CI else (None, 1)
WIDE = ("diamond", "two sinks", "fan", "continue", "tolerated", "map")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_worker_may_die_at_any_point(app: App, app_home: str, shape: Shape) -> None:
    before, every = counted[0], EVERY[app_home]
    points = deaths(stage_of(app), shape, every=every)
    assert counted[0] - before == points > 20 // every


@pytest.mark.parametrize("order", ORDERS[1:])
@pytest.mark.parametrize("name", WIDE)
def test_a_worker_may_die_when_any_part_of_a_fan_out_is_done(
    app: App, app_home: str, name: str, order: int
) -> None:
    deaths(stage_of(app), SHAPES[name], order=order, every=EVERY[app_home])


@pytest.mark.parametrize("apart", [1, 2, 3, 5] if not CI else range(1, 12))
def test_the_worker_after_it_may_die_as_well(app: App, apart: int) -> None:
    deaths(stage_of(app), Shape({"a": "", "b": "a"}), apart=apart)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_dies_and_is_not_repeated_happens_or_does_not(
    app: App, app_home: str, call: Call
) -> None:
    before, every = counted[0], EVERY[app_home]
    points = unrepeated(stage_of(app), call, every=every)
    assert counted[0] - before == points > 1 // every
