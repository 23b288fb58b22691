"""Threads for agents that one message runs at the same time. The Lambda worker and the local worker
share this module.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Protocol


class Room(Protocol):
    """How many steps may run in the process. Thread-safe."""

    def take(self, most: int) -> int:
        """Count up to `most` further steps; return how many."""

    def give_back(self, count: int) -> None:
        """Count as many fewer."""


class Seats:
    """Implements `Room`: a number of steps."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()

    def take(self, most: int) -> int:
        """Up to `most` of those that are free."""
        with self._lock:
            taken = max(min(most, self._free), 0)
            self._free -= taken
            return taken

    def give_back(self, count: int) -> None:
        """They are free again."""
        with self._lock:
            self._free += count


class Branches:
    """Implements `engine.attempt.branches.Branches` with a thread for each agent."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._running = 0
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()

    def take(self, most: int) -> int:
        """What the process has room for."""
        return self._room.take(most)

    def give_back(self, count: int) -> None:
        """The process has room again."""
        self._room.give_back(count)

    def start(self, work: Callable[[], None]) -> None:
        """Start a thread; where the system has none left, work in the caller's."""
        with self._changed:
            self._running += 1
        run = (copy_context().run, self._run, work)
        thread = threading.Thread(target=run[0], args=run[1:], name="ace-branch", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._run(work)

    def __enter__(self) -> "Branches":
        """Begin with none."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all; raises their first error, unless there is one already."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
        if error is None and self._errors:
            raise self._errors[0]

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # the message is kept, whatever it is
            self._errors.append(error)
        finally:
            self._room.give_back(1)
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
