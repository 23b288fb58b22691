"""Steps begin at once, but only one by one while the process computes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai_coordination_engine.entrypoints.local import load
from ai_coordination_engine.entrypoints.local.load import Load


def test_the_first_steps_begin_at_once() -> None:
    steps = Load(16, 3)
    assert steps.wait_for_room() == 3
    steps.begin(2)
    assert steps.wait_for_room() == 1
    assert Load(2, 5).wait_for_room() == Load(2).wait_for_room() == 2


def test_another_step_begins_when_the_ones_before_wait() -> None:
    steps = Load(16, 1)
    steps.begin(1)
    threading.Event().wait(0.01)
    began = time.process_time()
    assert steps.wait_for_room() == load.IN_IDLE_TIME
    assert time.process_time() - began < load.LONGEST_WAIT / 2
    steps.begin(14)
    assert steps.wait_for_room() == 1  # as many as may run


def test_a_busy_process_keeps_a_message_waiting_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "process_time", time.monotonic)
    steps = Load(16, 1)
    steps.begin(1)
    began = time.monotonic()
    assert steps.wait_for_room() == 1
    assert time.monotonic() - began >= load.LONGEST_WAIT
    steps.begin(1)
    assert not steps.may_go_on()
    steps.end()
    assert steps.may_go_on()


def test_no_step_begins_beside_as_many_as_may_run() -> None:
    steps = Load(2)
    steps.begin(2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(steps.wait_for_room)
        assert not steps.wait_for_end(0.05)
        assert not waiting.done()
        steps.end()
        assert waiting.result(60) == 1
