"""Where a process dies, how often one did, and whose turn it is among several."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kit.stage import Stage


class Crash(BaseException):
    """The process dies here; nobody may catch it."""


deaths = [0]
"""How many histories died at some point so far: the crash points that the tests tried."""
histories = [0]
"""How many random histories ended as they must."""
repeats = [0]
"""How many attempts were executed again although a run of the same agent said completed."""


class Tripwire:
    """Dies at the points with these numbers, and stays dead until it is revived."""

    def __init__(self, *trip_at: int) -> None:
        self.points = 0
        self.trips = 0
        self._trip_at = trip_at
        self._dead = False

    def __call__(self, name: str) -> None:
        if not self._dead:
            self.points += 1
            if self.points in self._trip_at:
                self._dead = True
                self.trips += 1
        if self._dead:
            raise Crash(name)

    def revive(self) -> None:
        """A new process takes over."""
        self._dead = False


@contextmanager
def tripping(stage: "Stage", *at: int) -> Iterator[Tripwire]:
    """The stage with crashes at the points with these numbers."""
    tripwire = Tripwire(*at)
    stage.boundary.reach = tripwire
    try:
        yield tripwire
    finally:
        stage.boundary.reach = lambda name: None
        deaths[0] += bool(tripwire.trips)


class Turns:
    """Runs workers at the same time, one side effect at a time; `random` draws whose turn it is.

    The store makes each call atomic, so that these are all the interleavings there are; and they
    can be repeated.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._mine = threading.local()
        self._go: dict[int, threading.Semaphore] = {}
        self._back = threading.Semaphore(0)
        self._errors: list[BaseException] = []

    def pause(self) -> None:
        """Let others go first; returns at once outside a worker."""
        number = getattr(self._mine, "number", None)
        if number is not None:
            self._back.release()
            self._go[number].acquire()

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        """Run all of them to their end; raises the first error of any."""
        self._errors = []
        self._go = {number: threading.Semaphore(0) for number in range(len(workers))}
        alive = {
            number: threading.Thread(target=self._work, args=(number, work), daemon=True)
            for number, work in enumerate(workers)
        }
        for thread in alive.values():
            thread.start()
        while self._go:
            number = self._random.choice(sorted(self._go))
            self._go[number].release()
            self._back.acquire()
        for thread in alive.values():
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, number: int, work: Callable[[], None]) -> None:
        self._mine.number = number
        self._go[number].acquire()
        try:
            work()
        except BaseException as error:
            self._errors.append(error)
        finally:
            del self._go[number]
            self._back.release()
