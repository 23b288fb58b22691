"""The sweep continues until nothing is left, on Lambda and locally."""

import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
import time_machine
from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.entrypoints.aws import sweep as module
from ai_coordination_engine.entrypoints.aws.sweep import Sweep
from ai_coordination_engine.entrypoints.local.local_sweep import LocalSweep


class FakeContext(LambdaContext):
    """Has `seconds` left, one second less on each call."""

    _invoked_function_arn = "SweepFunction"

    def __init__(self, seconds: int) -> None:
        self.left = seconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        self.left -= 1
        return self.left * 1000


class FakeSweep:
    """Finds so many sessions on each call, then none; `done` is set when it has found none."""

    def __init__(self, *found: int, error: Exception | None = None) -> None:
        self.calls = 0
        self.done = threading.Event()
        self._found = list(found)
        self._error = error

    def __call__(self, **given: Any) -> int:
        self.calls += 1
        self.given = given
        if self._error:
            error, self._error = self._error, None
            raise error
        if self._found:
            return self._found.pop(0)
        self.done.set()
        return 0


def test_the_function_sweeps_until_nothing_is_left() -> None:
    sweep = FakeSweep(25, 3)
    assert Sweep(sweep, int).handle({}, FakeContext(55)) == {"sessions": 28, "shards": 0}
    assert sweep.calls == 3


def test_the_function_begins_no_round_that_it_may_not_end() -> None:
    sweep = FakeSweep(*[1] * 100)
    assert Sweep(sweep, int).handle({}, FakeContext(20)) == {"sessions": 5, "shards": 0}


def test_an_invocation_for_a_shard_sweeps_that_and_hands_out_nothing() -> None:
    sweep = FakeSweep(7)
    assert Sweep(sweep, int).handle({"shard": 3}, FakeContext(55)) == {"sessions": 7, "shards": 0}
    assert {**sweep.given, "has_time": None} == {"shards": [3], "has_time": None}


def test_shards_are_handed_out_and_what_cannot_be_stays(caplog: pytest.LogCaptureFixture) -> None:
    invoked: list[tuple[str, int]] = []

    def invoke(function: str, shard: int) -> None:
        if shard == 2:
            raise ConnectionError("no Lambda")
        invoked.append((function, shard))

    def sweep(*, delegate: Any, has_time: Any) -> int:
        assert list(delegate([1, 2, 3])) == [1, 3]
        return 100

    with caplog.at_level(logging.CRITICAL):
        assert Sweep(sweep, int, invoke).handle({}, FakeContext(55)) == {
            "sessions": 100,
            "shards": 2,
        }
    assert invoked == [("SweepFunction", 1), ("SweepFunction", 3)]


def test_importing_the_sweep_builds_nothing() -> None:
    assert "handler" not in vars(module)


def test_the_timer_sweeps_again_and_again_whatever_goes_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sweep = FakeSweep(1, 2, error=ConnectionError("no table"))
    removed: list[int] = []

    def remove_expired() -> int:
        removed.append(sweep.calls)
        raise ConnectionError("no file")

    timer = LocalSweep(sweep, int, remove_expired, seconds=0.01)
    with caplog.at_level(logging.CRITICAL):
        timer.start()
        assert sweep.done.wait(60)
        timer.stop(60)
    assert sweep.calls >= 4
    assert len(removed) >= 2
    calls = sweep.calls
    threading.Event().wait(0.05)
    assert sweep.calls == calls


def test_the_timer_comes_at_the_beginning_of_its_period() -> None:
    timer = LocalSweep(FakeSweep(), int, seconds=15)
    waits = []
    for now in (30.0, 30.02, 44.0, 45.0):
        with time_machine.travel(now, tick=False):
            waits.append(timer._until_the_next())
    assert waits == pytest.approx([0.01, 14.99, 1.01, 0.01])


def test_the_timer_waits_before_it_begins() -> None:
    sweep = FakeSweep()
    timer = LocalSweep(sweep, int, seconds=3600)
    timer.start()
    timer.stop(60)
    assert sweep.calls == 0


def test_no_function_starts_with_the_parser_of_schedules() -> None:
    code = (
        "import sys; from ai_coordination_engine.entrypoints.aws import api_handler, sweep, worker;"
        " print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"cronsim", "tzdata"} & set(done.stdout.split()) == set()
