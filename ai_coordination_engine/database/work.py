"""A write that waits for its turn."""

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def run(call: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    """Return the result of a write; a cursor is closed first.

    A cursor of `executemany` keeps its statement, which the next write of the same text uses too:
    one that is freed after its turn resets the statement under a write of another thread.
    """
    result = call(connection)
    if isinstance(result, sqlite3.Cursor):
        result.close()
    return result


class Work(Generic[T]):
    """A write that a thread has submitted, and its result."""

    def __init__(self, call: Callable[[sqlite3.Connection], T]) -> None:
        self._call = call
        self.is_done = False
        self.commit = 0  # its number; 0: it was not committed
        self._result: list[T] = []
        self._error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the write. An error is kept for its thread if nothing was written; any other is
        raised.
        """
        self._error = None
        before = connection.total_changes
        try:
            self._result = [run(self._call, connection)]
        except sqlite3.Error:
            raise
        except Exception as error:
            if connection.total_changes != before:
                raise
            self._error = error

    def end(self, error: Exception | None, commit: int) -> None:
        """Mark the write as part of a commit, or as failed with `error`."""
        self._error = error or self._error
        self.commit = commit
        self.is_done = True

    def result(self) -> T:
        """Return the result of the write, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._result[0]
