"""Decide how many steps of the local worker run at once."""

import threading
import time

LOOK_AGAIN = 0.001  # seconds
BUSY = 0.7  # of one processor core
IN_IDLE_TIME = 2  # steps that begin at once beside others, while these wait
LONGEST_WAIT = 0.02  # seconds that a busy process keeps a message waiting beside the first steps


class Load:
    """The steps that run: at most `most`. Thread-safe.

    The first `at_once` begin at once. Threads share one interpreter lock: where the process
    computes already, more of them would only wait for each other. So further steps begin as soon as
    the ones before wait for something else (an agent, the disk), or after `LONGEST_WAIT`.
    """

    def __init__(self, most: int, at_once: int | None = None) -> None:
        self._most = most
        self._at_once = most if at_once is None else min(at_once, most)
        self._running = 0
        self._changed = threading.Condition()

    def wait_for_room(self) -> int:
        """Wait until steps may begin; return how many."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._most)
            end, is_busy = time.monotonic() + LONGEST_WAIT, True
            while self._running >= self._at_once and is_busy and time.monotonic() < end:
                is_busy = self._is_busy()
            room = max(self._at_once - self._running, 1 if is_busy else IN_IDLE_TIME)
            return min(room, self._most - self._running)

    def _is_busy(self) -> bool:
        """Whether the process computes; looks for `LOOK_AGAIN`."""
        began, used = time.monotonic(), time.process_time()
        self._changed.wait(LOOK_AGAIN)
        return time.process_time() - used > BUSY * (time.monotonic() - began)

    def begin(self, steps: int) -> None:
        """Count steps that begin."""
        with self._changed:
            self._running += steps

    def may_go_on(self) -> bool:
        """Whether a thread whose step has ended may begin another one."""
        return self._running <= self._at_once

    def take(self, most: int) -> int:
        """Count up to `most` steps that begin beside another one of their message; return how many
        may.
        """
        with self._changed:
            taken = max(min(most, self._most - self._running), 0)
            self._running += taken
            return taken

    def give_back(self, count: int) -> None:
        """Count such steps that have ended, or that were not begun."""
        with self._changed:
            self._running -= count
            self._changed.notify_all()

    def end(self) -> None:
        """Count a step that has ended."""
        self.give_back(1)

    def wait_for_end(self, seconds: float) -> bool:
        """Wait until no step runs; return whether that is so within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, seconds)
