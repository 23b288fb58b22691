"""Deterministic interleavings: processes stop before every database call; a schedule picks the
next.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from threading import Semaphore, Thread
from typing import Any

from ai_coordination_engine.store.records.repository import Repository
from tests.kit.stage import OneByOne

Work = Callable[[Repository], Any]
Choose = Callable[[Sequence[int]], int]


class Killed(BaseException):
    """The process dies here; none of its code may run any more, including clean-up."""


class Process:
    """Runs work on a repository with its own client, one database call at a time."""

    def __init__(self, records: Repository) -> None:
        records.parallel = OneByOne()
        self.records = records
        self.outcome: Any = None
        self.done = True
        self._killed = False
        self._go, self._stopped = Semaphore(0), Semaphore(0)
        client = next(iter(records.tables.values())).database.client
        client.meta.events.register("before-call.dynamodb.*", self._stop)

    def start(self, work: Work) -> None:
        """Run up to the first call."""
        self.done, self._killed, self.outcome = False, False, None
        # a test that fails leaves it standing
        Thread(target=self._run, args=(work,), daemon=True).start()
        self._stopped.acquire()

    def step(self) -> None:
        """Make the call and run up to the next one."""
        self._go.release()
        self._stopped.acquire()

    def finish(self) -> Any:
        """Run to the end; return what the work returned or raised."""
        while not self.done:
            self.step()
        return self.outcome

    def kill(self) -> None:
        """Die before the next call."""
        self._killed = True
        self.step()

    def _run(self, work: Work) -> None:
        try:
            self.outcome = work(self.records)
        except BaseException as error:  # whatever it was, the test decides
            self.outcome = error
        self.done = True
        self._stopped.release()

    def _stop(self, **_: Any) -> None:
        if self.done:
            return
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed


def play(processes: Sequence[Process], works: Sequence[Work], choose: Choose) -> list[Any]:
    """Run all works as one history; return their outcomes.

    `choose` picks the next among the processes that are still running.
    """
    for process, work in zip(processes, works, strict=True):
        process.start(work)
    while running := [number for number, process in enumerate(processes) if not process.done]:
        processes[choose(running)].step()
    return [process.outcome for process in processes]


def every_schedule() -> Iterator[Choose]:
    """Yield schedules until every order of steps was seen; use each up before taking the next."""
    prefix: list[int] = []
    while True:
        seen: list[tuple[int, Sequence[int]]] = []

        def choose(
            running: Sequence[int],
            prefix: list[int] = prefix,
            seen: list[tuple[int, Sequence[int]]] = seen,
        ) -> int:
            chosen = prefix[len(seen)] if len(seen) < len(prefix) else running[0]
            seen.append((chosen, running))
            return chosen

        yield choose
        while seen and seen[-1][0] == seen[-1][1][-1]:
            seen.pop()
        if not seen:
            return
        last, running = seen.pop()
        prefix = [chosen for chosen, _ in seen] + [running[list(running).index(last) + 1]]


def some_schedules(number: int, seed: int) -> Iterator[Choose]:
    """Yield the two sequential schedules and so many random ones, always the same."""
    yield lambda running: running[0]
    yield lambda running: running[-1]
    random = Random(seed)
    for _ in range(number):
        yield lambda running: random.choice(list(running))


def every_death(process: Process, work: Callable[[], Work], *, limit: int = 20) -> Iterator[int]:
    """Die before each call of the work in turn; yield the number of calls made before each death.

    `work` returns new work each time.
    """
    for calls in count():
        assert calls < limit
        process.start(work())
        for _ in range(calls):
            process.step()
            if process.done:
                return
        process.kill()
        assert isinstance(process.outcome, Killed)
        yield calls
