"""Simulated crashes at chosen points, and deterministic interleaving of several workers."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kit.stage import Stage


class Crash(BaseException):
    """The process dies here; no code may catch it."""


deaths = [0]
"""The number of crash points that were tried: histories in which a process died."""
dying = [""]
"""How processes are being made to die now: at each call in turn, or at random ones."""
histories = [0]
"""The number of random histories that ended as required."""
repeats = [0]
"""The number of attempts that were executed although a run of the agent was completed."""


class Tripwire:
    """Raises `Crash` at the points with these numbers, and from then on until it is revived."""

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

    def alone(self, name: str) -> None:
        """Cross the boundary where nobody else can come."""
        self(name)

    def revive(self) -> None:
        """Let a new process take over."""
        self._dead = False


class Refusals:
    """Raises what `reach` raises: deaths, and refusals of the database, and does nothing else.

    `beside`: what happens instead where others may come, too.
    """

    def __init__(
        self, reach: Callable[[str], None], beside: Callable[[str], None] | None = None
    ) -> None:
        self._reach, self._beside = reach, beside or reach

    def __call__(self, name: str) -> None:
        self._beside(name)

    def alone(self, name: str) -> None:
        """Cross the boundary where nobody else can come."""
        self._reach(name)


@contextmanager
def tripping(stage: "Stage", *at: int) -> Iterator[Tripwire]:
    """Let the stage crash at the points with these numbers while the context is open."""
    tripwire = Tripwire(*at)
    stage.boundary.reach, dying[0] = tripwire, "each"
    try:
        yield tripwire
    finally:
        dying[0] = ""
        stage.boundary.reach = lambda name: None
        deaths[0] += bool(tripwire.trips)


def _held() -> threading.Lock:
    """A lock that is released once for each time that it is acquired from now on."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Turns:
    """Runs workers concurrently, but one side effect at a time, in an order that `random` draws.

    The store makes each call atomic, so this covers all interleavings, and they can be repeated.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._mine = threading.local()
        self._go: dict[int, threading.Lock] = {}  # locks are cheaper than semaphores
        self._back = _held()
        self._errors: list[BaseException] = []

    def pause(self) -> None:
        """Let other workers go first; returns at once outside a worker."""
        number = getattr(self._mine, "number", None)
        if number is not None:
            self._back.release()
            self._go[number].acquire()

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        """Run all workers to their end; raises the first error."""
        self._errors = []
        self._go = {number: _held() for number in range(len(workers))}
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
