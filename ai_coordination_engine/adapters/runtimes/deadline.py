"""Enforce the deadline of one attempt, whatever the attempt is waiting for."""

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from math import inf
from queue import SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

from ai_coordination_engine.stand_ins import Replaced, is_overdue, stand_in

T = TypeVar("T")
_NO_THREAD_SECONDS = 1.0  # until another one is tried, where the system has none left


class DeadlinePassed(Exception):
    """The call did not finish in time. It may still be running: Python cannot stop a thread."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"did not finish within {max(seconds, 0):.3g} s")


class _Call(Generic[T]):
    """A call for another thread, with the caller's context variables, and its result."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call, self._context = call, copy_context()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def run(self) -> None:
        """Make the call and keep its result or error."""
        try:
            self._result = [self._context.run(self._call)]
        except BaseException as error:  # the caller's thread raises it
            self._error = error

    def end(self) -> None:
        """Let the caller go on."""
        self._ended.release()

    def result(self, seconds: float) -> T:
        """Wait for the end; return or raise what the call does. Raises `DeadlinePassed`."""
        if not self._ended.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
            raise DeadlinePassed(seconds)
        if self._error is not None:
            raise self._error
        return self._result[0]


class _Thread:
    """A daemon thread that makes one call after another; while it waits, it is in `_idle`."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call[object]] = SimpleQueue()
        threading.Thread(target=self._run, name="agent-attempt", daemon=True).start()

    def submit(self, call: "_Call[T]") -> None:
        self._calls.put(call)  # type: ignore[arg-type]

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            call.run()
            _idle.append(self)
            call.end()
            del call  # nothing of it is kept until the next one


_idle: list[_Thread] = []
"""The one that was used last is taken first."""


class _Watched:
    """A call that a thread makes itself, until when it may take, and what goes on if it takes
    longer.
    """

    __slots__ = ("go_on", "until")

    def __init__(self, until: float, go_on: Callable[[], None]) -> None:
        self.until, self.go_on = until, go_on


class _Watchdog:
    """Lets another thread go on in place of each one whose call passes its deadline."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._watched: set[_Watched] = set()
        self._next = inf  # when it looks again
        self._has_thread = False

    def begin(self, seconds: float, go_on: Callable[[], None]) -> _Watched:
        """Watch a call from now on."""
        watched = _Watched(monotonic() + seconds, go_on)
        with self._changed:
            if watched.until < self._next:
                self._look_at(watched.until)
            self._watched.add(watched)
        return watched

    def end(self, watched: _Watched) -> bool:
        """Watch a call no longer; whether it has ended in time."""
        with self._changed:
            is_in_time = watched in self._watched
            self._watched.discard(watched)
        return is_in_time

    def _look_at(self, moment: float) -> None:
        if not self._has_thread:
            threading.Thread(target=self._run, name="ace-deadlines", daemon=True).start()
            self._has_thread = True
        self._next = moment
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(max(min(self._next - monotonic(), threading.TIMEOUT_MAX), 0))
                now = monotonic()
                for each in [each for each in self._watched if each.until <= now]:
                    self._replace(each, now)
                self._next = min((each.until for each in self._watched), default=inf)

    def _replace(self, watched: _Watched, now: float) -> None:
        """Let another thread go on; later, if the system has no thread now."""
        try:
            threading.Thread(target=watched.go_on, name="ace-step", daemon=True).start()
        except RuntimeError:
            watched.until = now + _NO_THREAD_SECONDS
        else:
            self._watched.discard(watched)


_watchdog = _Watchdog()


def _forget_threads() -> None:
    """Begin anew in a forked child, which has none of these threads."""
    global _watchdog  # noqa: PLW0603
    _idle.clear()
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_forget_threads)


def run_within(seconds: float, call: Callable[[], T]) -> T:
    """Return or raise what `call` does; raises `DeadlinePassed` after `seconds`, or at once if not
    positive.

    In a thread that another one may replace, the call runs in that thread, and it raises `Replaced`
    after `seconds`. Elsewhere it runs in a daemon thread, since an executor's thread would keep the
    process from exiting. It has the caller's context variables, so its log lines carry the same
    ids.
    """
    if seconds <= 0 or is_overdue():
        raise DeadlinePassed(seconds)
    go_on = stand_in()
    return _beside(seconds, call) if go_on is None else _watched(seconds, call, go_on)


def _watched(seconds: float, call: Callable[[], T], go_on: Callable[[], None]) -> T:
    watched = _watchdog.begin(seconds, go_on)
    try:
        return copy_context().run(call)
    finally:
        if not _watchdog.end(watched):
            raise Replaced


def _beside(seconds: float, call: Callable[[], T]) -> T:
    submitted = _Call(call)
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    thread.submit(submitted)
    return submitted.result(seconds)
