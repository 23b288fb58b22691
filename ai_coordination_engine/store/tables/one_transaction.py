"""Run calls to the store that belong together in one transaction of an SQLite file."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.store.tables.parallel import Parallel

T = TypeVar("T")


class OneTransaction(Parallel):
    """Runs the requests one after the other in the caller's thread; what they write in a file is
    one transaction.
    """

    waits = False
    has_transactions = True

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Run `calls` and return their results in order.

        All are run. If some failed, raises the error of the first of them; what the others wrote
        is kept.
        """
        return [calls[0]()] if len(calls) == 1 else self._in_one(calls)

    def together(self, call: Callable[[], T]) -> T:
        """Run a call in one transaction."""
        return self._in_one([call])[0]

    def afterwards(self, call: Callable[[], None]) -> None:
        """Run `call` once the transaction of this thread is committed."""
        self._file.afterwards(call)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._file.is_together

    def _in_one(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        results: list[T] = []
        errors: list[Exception] = []
        with self._file.together():
            for call in calls:
                try:
                    results.append(call())
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]
        return results
