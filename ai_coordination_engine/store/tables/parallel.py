"""Run independent calls to the store and the queue at the same time, in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class Parallel:
    """A pool of threads for single requests.

    A call that runs in the pool must not use the pool: with all threads waiting, it would not end.
    `waits`: a request waits for another machine, so that an event loop must not make it.
    """

    waits: ClassVar[bool] = True
    has_transactions: ClassVar[bool] = False

    def __init__(self, threads: int = 32) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ace-io")

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Run `calls`, the first in the caller's thread, and return their results in order.

        Waits until all have ended. If some failed, raises the error of the first of them.
        """
        if len(calls) == 1:
            return [calls[0]()]
        others = [self._pool.submit(copy_context().run, call) for call in calls[1:]]
        futures = [*map(_ended, calls[:1]), *others]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def beside(self, works: Sequence[Callable[[], object]], threads: int = 8) -> None:
        """Run larger pieces of work at the same time; each of them may use `run`.

        All of them are run, even if some fail; then the first error is raised.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix="ace-work") as pool:
            futures = [pool.submit(work) for work in works]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise errors[0]

    def pair(self, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        """Run two calls with results of different types."""
        one, two = self.run([first, second])
        return one, two

    def together(self, call: Callable[[], T]) -> T:
        """Run a call whose writes belong together. Where there are transactions, it is one, and
        returns after the commit; else each write is a request as ever.

        When it raises an error, what it wrote before is kept.
        """
        return call()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Run `call` once what this thread has written is committed: now, outside a transaction."""
        call()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction, which is committed or repeated as a whole."""
        return False


def _ended(call: Callable[[], T]) -> "Future[T]":
    """Run a call in this thread."""
    future: Future[T] = Future()
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
    return future
