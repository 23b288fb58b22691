"""Enforce the deadline of one attempt, whatever the attempt is waiting for."""

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


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
os.register_at_fork(after_in_child=_idle.clear)  # a forked child has none of these threads


def run_within(seconds: float, call: Callable[[], T]) -> T:
    """Return or raise what `call` does; raises `DeadlinePassed` after `seconds`, or at once if not
    positive.

    The call runs in a daemon thread, since an executor's thread would keep the process from
    exiting. The thread has the caller's context variables, so its log lines carry the same ids.
    """
    if seconds <= 0:
        raise DeadlinePassed(seconds)
    submitted = _Call(call)
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    thread.submit(submitted)
    return submitted.result(seconds)
