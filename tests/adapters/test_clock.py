"""The system's clock."""

import time
from threading import Event

from ai_coordination_engine.adapters.clock import SystemClock


def test_a_wait_ends_in_time_or_as_soon_as_it_need_not_be_waited_for() -> None:
    stopping = Event()
    stopping.set()
    began = time.monotonic()
    SystemClock().wait(60, stopping)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    SystemClock().wait(0.02, None)
    assert time.monotonic() - began >= 0.02
