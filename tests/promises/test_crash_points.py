"""Promises P2–P6 when the worker dies before and after every call to store, queue and runtime."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from tests.kit.calls import CALLS, Call, unrepeated
from tests.kit.crashes import deaths as counted
from tests.kit.shapes import SHAPES, Shape, deaths
from tests.kit.stage import stage_of

CI = bool(os.environ.get("CI"))
EVERY = 1 if CI else 2
EVERY_ON_SQLITE = 1 if CI else 10
ORDERS = (None, 1, 2, 3) if CI else (None, 1)
WIDE = ("diamond", "two sinks", "fan", "continue", "tolerated", "map")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_worker_may_die_at_any_point(app: App, shape: Shape) -> None:
    before = counted[0]
    points = deaths(stage_of(app), shape, every=EVERY)
    assert counted[0] - before == points > 20 // EVERY


@pytest.fixture
def on_sqlite(settings: Settings, tmp_path: Path) -> Iterator[App]:
    with closing(DatabaseFile(tmp_path / "ace.db", "none")) as file:
        yield local_bootstrap.build_local_app(settings, file)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_worker_on_sqlite_may_die_at_any_point(on_sqlite: App, shape: Shape) -> None:
    assert deaths(stage_of(on_sqlite), shape, every=EVERY_ON_SQLITE) > 20 // EVERY_ON_SQLITE


@pytest.mark.parametrize("order", ORDERS[1:])
@pytest.mark.parametrize("name", WIDE)
def test_a_worker_may_die_when_any_part_of_a_fan_out_is_done(
    app: App, name: str, order: int
) -> None:
    deaths(stage_of(app), SHAPES[name], order=order, every=EVERY)


@pytest.mark.parametrize("apart", [1, 2, 3, 5] if not CI else range(1, 12))
def test_the_worker_after_it_may_die_as_well(app: App, apart: int) -> None:
    deaths(stage_of(app), Shape({"a": "", "b": "a"}), apart=apart)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_dies_and_is_not_repeated_happens_or_does_not(app: App, call: Call) -> None:
    before = counted[0]
    points = unrepeated(stage_of(app), call, every=EVERY)
    assert counted[0] - before == points > 1 // EVERY
