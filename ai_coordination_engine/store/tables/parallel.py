"""Calls that need not wait for each other, made at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Parallel:
    """A pool for leaf calls to the store and the queue; what runs in it must not use it again."""

    def __init__(self, threads: int = 32) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ace-io")

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """The results of `calls` in their order; waits for all of them, then raises the first
        error.
        """
        if len(calls) == 1:
            return [calls[0]()]
        futures = [self._pool.submit(copy_context().run, call) for call in calls]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def beside(self, works: Sequence[Callable[[], object]], threads: int = 8) -> None:
        """Do whole works at the same time, each of which may use `run`; all have their turn,
        whichever raises.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix="ace-work") as pool:
            futures = [pool.submit(work) for work in works]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise errors[0]

    def pair(self, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        """The results of two calls of different kinds."""
        one, two = self.run([first, second])
        return one, two
