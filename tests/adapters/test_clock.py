"""The system's clock."""

import time
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from ai_coordination_engine.adapters.clock import SteadyClock, SystemClock


def test_a_wait_ends_in_time_or_as_soon_as_it_need_not_be_waited_for() -> None:
    stopping = Event()
    stopping.set()
    began = time.monotonic()
    SystemClock().wait(60, stopping)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    SystemClock().wait(0.02, None)
    assert time.monotonic() - began >= 0.02


def test_a_steady_clock_goes_on_when_the_system_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, passed, set_by = datetime(2026, 11, 2, tzinfo=UTC), 0.0, 0.0
    monkeypatch.setattr(SystemClock, "now", lambda _: began + timedelta(seconds=passed + set_by))
    monkeypatch.setattr("ai_coordination_engine.adapters.clock.monotonic", lambda: passed)
    clock, shown = SteadyClock(), []
    for passed, set_by in [(1, 0), (2, -3600), (10, -3600), (10, 60), (11, 60), (12, -9)]:  # noqa: B007
        shown.append((clock.now() - began).total_seconds())
    assert shown == [1, 2, 10, 70, 71, 72]
