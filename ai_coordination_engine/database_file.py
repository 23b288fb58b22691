"""One SQLite file, in which the store, the queue and the large values of one machine lie: many
readers, one transaction of writers at a time.

Works that several threads hand in at the same time are committed together, so that a disk is
waited for once.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ai_coordination_engine.errors import Unavailable

T = TypeVar("T")
Durability = Literal["full", "process", "none"]
"""What a commit survives: the loss of power, the death of the process, or neither."""
VERSION = 1
_APPLICATION = 0x41434521  # "ACE!", of the header of the file
_SYNCHRONOUS: dict[Durability, str] = {"full": "FULL", "process": "NORMAL", "none": "OFF"}
_BUSY_SECONDS = 10.0  # until another process has committed
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
# what may pass ("Result and Error Codes", SQLite)
_PASSING = {
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
}


_STOPPING = "The server is stopping; try again in a moment."


class FileError(Exception):
    """The file cannot be used; the message says why and what to do."""


class _Work(Generic[T]):
    """What one thread wants done in a transaction, and what came of it."""

    def __init__(self, call: Callable[[sqlite3.Connection], T]) -> None:
        self._call = call
        self.is_done = False
        self._result: list[T] = []
        self._error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it; an error that is none of SQLite's is kept for its thread, for nothing was
        written.
        """
        try:
            self._result = [self._call(connection)]
        except sqlite3.Error:
            raise
        except Exception as error:
            self._error = error

    def end(self, error: Exception | None = None) -> None:
        """The transaction has been committed, or has failed."""
        self._error = error or self._error
        self.is_done = True

    def result(self) -> T:
        """What came of it; raises its error."""
        if self._error is not None:
            raise self._error
        return self._result[0]


class DatabaseFile:
    """The file at `path`, made when it does not exist. Thread-safe.

    Every method raises `Unavailable` when the disk is full, refuses, or another process holds the
    file for too long; nothing is written then. The constructor raises `FileError`.
    """

    def __init__(self, path: Path, durability: Durability = "full") -> None:
        self.path = path
        self._synchronous = _SYNCHRONOUS[durability]
        self._closed = False
        self._waiting: deque[_Work[Any]] = deque()
        self._turn = threading.Lock()
        self._mine = threading.local()
        self._readers: list[sqlite3.Connection] = []  # the one that was used last is taken first
        try:
            self._make_private()
            self._writer = self._connected()
        except (sqlite3.Error, OSError) as error:
            raise _of_opening(path, error) from error
        try:
            self._check()
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; within `together` it sees what was written there."""
        if (mine := self._own()) is not None:
            yield mine
            return
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._connected()
        try:
            self._check_open()
            yield connection
        except sqlite3.Error as error:
            raise self._failure(error) from error
        finally:
            self._put_back(connection)

    def write(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Do `call` in a transaction and return what it returns, once that is committed.

        An error that `call` raises itself is raised here; it must not have written anything then.
        """
        if (mine := self._own()) is not None:
            return self._in_own(mine, call)
        work = _Work(call)
        self._waiting.append(work)
        with self._turn:
            if not work.is_done:
                self._commit_waiting()
        return work.result()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that this thread reads and writes meanwhile is one transaction; nothing is
        written when an error leaves the context.
        """
        if self._own() is not None:
            yield
            return
        with self._turn:
            self._begin()
            self._mine.connection, self._mine.failure = self._writer, None
            try:
                yield
                if self._mine.failure is not None:
                    raise self._mine.failure
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failure(error) from error
            finally:
                self._mine.connection = None
                self._roll_back()

    def close(self) -> None:
        """Wait for the transaction that runs, and close the file."""
        with self._turn:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            self._writer.close()

    # Inside

    def _own(self) -> sqlite3.Connection | None:
        """The transaction that this thread is in."""
        return getattr(self._mine, "connection", None)

    def _in_own(self, mine: sqlite3.Connection, call: Callable[[sqlite3.Connection], T]) -> T:
        """A part of a transaction, which fails as a whole when SQLite refuses one."""
        try:
            return call(mine)
        except sqlite3.Error as error:
            self._mine.failure = self._failure(error)
            raise self._mine.failure from error

    def _commit_waiting(self) -> None:
        """One transaction for all that wait. Whoever has the turn does the others' work, too."""
        works = [self._waiting.popleft() for _ in range(len(self._waiting))]
        failure: Exception | None = Unavailable(_STOPPING)
        try:
            self._begin()
            for each in works:
                each.run(self._writer)
            self._writer.execute("COMMIT")
            failure = None
        except sqlite3.Error as error:
            failure = self._failure(error)
        except Unavailable as error:
            failure = error
        finally:
            self._roll_back()
            for each in works:
                each.end(failure)

    def _begin(self) -> None:
        self._check_open()
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _roll_back(self) -> None:
        """Undo what was not committed, if there is any."""
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(_STOPPING)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._readers.append(connection)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection

    def _make_private(self) -> None:
        """The files that SQLite makes beside it have the same mode."""
        self.path.touch(mode=0o600)
        self.path.chmod(0o600)

    def _check(self) -> None:
        """See that the file is ours, and of a version that this one reads; raises `FileError`."""
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise FileError(f"{self.path} is another program's; choose another directory.")
        if version > VERSION:
            raise FileError(
                f"{self.path} was written by a newer version; use that, or another directory."
            )
        if not tables:
            self._writer.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._writer.execute(f"PRAGMA user_version = {VERSION}")

    def _failure(self, error: sqlite3.Error) -> Exception:
        """An error of SQLite as one of ours; what we have no word for stays as it is."""
        if self._closed:
            return Unavailable(_STOPPING)
        if _name(error) in _DAMAGED:
            return Unavailable(f"{self.path} is damaged: restore it from a backup.")
        if _name(error) not in _PASSING:
            return error
        return Unavailable(
            f"The data directory takes no changes ({error}); reads go on, and changes do once"
            " there is room."
        )


def _of_opening(path: Path, error: Exception) -> FileError:
    if isinstance(error, OSError):
        return FileError(f"{path} cannot be used: {error.strerror or error}.")
    if _name(error) in _DAMAGED:
        return FileError(
            f"{path} is damaged, or none of the engine's: restore it from a backup, or choose"
            " another directory."
        )
    return FileError(f"{path} cannot be used: {error}.")


def _name(error: BaseException) -> str:
    """The primary name of an error of SQLite ("Result and Error Codes")."""
    found = str(getattr(error, "sqlite_errorname", ""))
    return "_".join(found.split("_")[:2])
