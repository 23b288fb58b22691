"""Run an agent in the thread of its step. If it takes longer than it may, another thread goes on.

A thread of its own for each attempt would cost two switches between threads. Python cannot stop a
thread: that of the step stays with the agent, and has nothing more to do with the step.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Replaced(BaseException):
    """Another thread has gone on in place of this one, which must do nothing more."""


class _Own(threading.local):
    stand_in: Callable[[], None] | None = None
    is_overdue = False


_own = _Own()


@contextmanager
def replaceable(stand_in: Callable[[], None] | None) -> Iterator[None]:
    """Let calls with a deadline run in this thread: when one passes it, another thread calls
    `stand_in`, and the call raises `Replaced` here as soon as it returns. None: they do not.
    """
    _own.stand_in = stand_in
    try:
        yield
    finally:
        _own.stand_in = None


def stand_in() -> Callable[[], None] | None:
    """What another thread would call in place of this one, if it may be replaced."""
    return _own.stand_in


@contextmanager
def overdue() -> Iterator[None]:
    """Let the call of the next attempt pass its deadline at once: it has done so in another
    thread.
    """
    _own.is_overdue = True
    try:
        yield
    finally:
        _own.is_overdue = False


@contextmanager
def calling() -> Iterator[None]:
    """What an attempt does until its agent has answered; calls after that have their own time."""
    try:
        yield
    finally:
        _own.is_overdue = False


def is_overdue() -> bool:
    """Whether the next call with a deadline passes it at once."""
    return _own.is_overdue
