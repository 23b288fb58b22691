"""One SQLite file for the store, the queue and the large values of one machine.

Many readers and one writing transaction at a time. Writes that several threads submit concurrently
are committed together, so that they wait for the disk only once. `store` and `adapters` use it.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeVar

from ai_coordination_engine.database.failures import of_opening, of_serving, without_locks
from ai_coordination_engine.database.identity import Identity
from ai_coordination_engine.database.log import Log, NotSynced
from ai_coordination_engine.database.restored import drop_other_log
from ai_coordination_engine.database.versions import prepare
from ai_coordination_engine.database.work import Work, run
from ai_coordination_engine.database_turns import BUSY_SECONDS, Turns
from ai_coordination_engine.errors import CoordinationError, FileUnusable, Unavailable
from ai_coordination_engine.observability import logger

T = TypeVar("T")
Durability = Literal["full", "process", "none"]
"""What a commit survives: a power failure, the death of the process, or neither."""
_SYNCHRONOUS: dict[Durability, str] = {"full": "FULL", "process": "NORMAL", "none": "OFF"}
_SYNCED_LATER = "PRAGMA synchronous = NORMAL"  # a commit is synced when others may write already
_LOG_BYTES = 16_777_216  # that the log of the file (WAL) keeps, however far readers made it grow
_TAKE_OVER_AFTER = 64  # commits: most of the log is taken over beside them, not in one of them
_LOG_PAGES = 3_000  # after which a commit takes over the rest, so that the log begins anew
_LOG_PAGES_OF_READERS = 1_000  # the same, while readers have made the log too long
_EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
_READERS_MILLISECONDS = 50  # that a try to empty the log waits for readers
_AFTER_A_LONG_READ = 5.0  # seconds until it waits again
_STOPPING = "The server is stopping; try again in a moment."


class DatabaseFile:
    """The file at `path`, which is created when it does not exist. Thread-safe.

    Every method raises `Unavailable`, and writes nothing, when the disk is full or fails, or when
    another process locks the file for too long; and `FileUnusable` once the file was found damaged,
    deleted or replaced. The constructor raises `FileError`. `alone`: no other process works with
    the file, so one of an earlier version may be migrated.
    """

    def __init__(self, path: Path, durability: Durability = "full", *, alone: bool = True) -> None:
        self.path = path
        self._synchronous = _SYNCHRONOUS[durability]
        self.committed: Callable[[], None] = lambda: None  # called after each commit, first
        self._closed = False
        self._problem: str | None = None
        self._waiting: deque[Work[Any]] = deque()
        self._turn = threading.Lock()
        self._mine = threading.local()
        self._readers: list[sqlite3.Connection] = []  # the one that was used last is taken first
        self._look_at_log = 0.0
        self._taking_over = threading.Lock()
        self._version_seen = 0  # of the content, as this process sees it
        try:
            self._make_private()
            drop_other_log(path)
            self._writer = self._connected()
            try:
                prepare(self._writer, path, alone=alone)
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._take_over_rest_after(_LOG_PAGES)
                self._identity = Identity(path)
                self._turns = Turns(path)
                self._log = Log(path, syncs=durability == "full")
                if durability == "full":
                    self._writer.execute(_SYNCED_LATER)
            except BaseException:
                self._writer.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise of_opening(path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reads; within `together` it sees the transaction's own writes."""
        if self._own() is not None:
            with self._part_of_own():
                yield self._writer
            return
        self._check_open()
        connection: sqlite3.Connection | None = None
        try:
            connection = self._reader()
            yield connection
        except sqlite3.Error as error:
            raise self._failure(error) from error
        finally:
            if connection is not None:
                self._put_back(connection)

    def write(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Run `call` in a transaction and return its result, a cursor closed, after the commit.

        An error that `call` raises is raised here, and nothing that it wrote is kept. `call` runs
        again when the transaction fails that it shares with other writes.
        """
        if self.is_together:
            return self._in_own(call)
        work = Work(call)
        self._waiting.append(work)
        with self._turn:
            if not work.is_done:
                self._commit_waiting()
        self._sync(work.commit)
        return work.result()

    @property
    def is_together(self) -> bool:
        """Whether this thread is within `together`."""
        return getattr(self._mine, "together", False)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes of this thread in the context one transaction.

        It begins with the first write. Nothing is written when an error leaves the context.
        """
        if self.is_together:
            yield
            return
        mine, commit = self._mine, 0
        mine.together, mine.connection, mine.failure, mine.afterwards = True, None, None, []
        try:
            yield
            if mine.failure is not None:
                raise mine.failure
            if mine.connection is not None:
                self._commit()
                commit = self._log.written()
        finally:
            mine.together = False
            if mine.connection is not None:
                mine.connection = None
                self._roll_back()
                self._turn.release()
        self._sync(commit)
        for call in mine.afterwards:
            call()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Run `call` once the transaction of this thread is committed: now, outside `together`."""
        if self.is_together:
            self._mine.afterwards.append(call)
        else:
            call()

    def others_wrote(self) -> bool:
        """Whether another process has committed since the last call, or may have."""
        with self._turn:
            self._check_open()
            try:
                (version,) = self._writer.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error as error:
                raise self._failure(error) from error
        before, self._version_seen = self._version_seen, version
        return bool(version != before)

    def problem(self) -> str | None:
        """Return why the file takes no more changes until an operator acts, or None."""
        if self._problem is None and not self._closed:
            lost = self._identity.problem()
            if lost is not None:
                self._give_up(lost)
        return self._problem

    def close(self) -> None:
        """Wait for the running transaction and close the file."""
        with self._taking_over, self._turn:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            self._writer.close()
            self._turns.close()
            self._log.close()

    # Inside

    def _own(self) -> sqlite3.Connection | None:
        """Return the connection of the transaction that this thread is in, or None."""
        return getattr(self._mine, "connection", None)

    def _in_own(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Run a part of a transaction. An error of SQLite, or one after which something is half
        written, makes the whole transaction fail.
        """
        mine = self._mine
        if mine.failure is not None:
            raise mine.failure
        if mine.connection is None:
            self._take_turn()
        with self._part_of_own():
            return run(call, self._writer)

    @contextmanager
    def _part_of_own(self) -> Iterator[None]:
        mine, before = self._mine, self._writer.total_changes
        try:
            yield
        except sqlite3.Error as error:  # maybe SQLite has rolled back what was written before
            mine.failure = self._failure(error)
            raise mine.failure from error
        except Exception as error:
            if self._writer.total_changes != before:
                mine.failure = error
            raise

    def _take_turn(self) -> None:
        """Begin the transaction of this thread and keep the turn until it leaves `together`."""
        self._turn.acquire()
        try:
            self._begin()
        except BaseException:
            self._turn.release()
            raise
        self._mine.connection = self._writer

    def _commit(self) -> None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _take_over_log(self) -> None:
        """Take over what is in the log into the file, while others read and write."""
        if self._taking_over.acquire(blocking=False):
            try:
                with suppress(CoordinationError), self.reading() as connection:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                self._taking_over.release()

    def _sync(self, commit: int) -> None:
        """Wait until a commit is on the disk; 0 is none."""
        if commit:
            self.committed()
        try:
            self._log.sync(commit)
        except NotSynced as error:
            raise self._failure(error) from error
        if commit and commit % _TAKE_OVER_AFTER == 0:
            with suppress(RuntimeError):  # no thread can be started now
                threading.Thread(target=self._take_over_log, name="ace-log", daemon=True).start()

    def _commit_waiting(self) -> None:
        """Commit all submitted writes, also those of other threads: in one transaction, or each in
        its own when that fails.
        """
        works = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not self._end_in_one(works):
            for each in works:
                self._end_in_one([each])

    def _end_in_one(self, works: Sequence[Work[Any]]) -> bool:
        """Run writes in one transaction. False, with nothing written, when one of several fails."""
        failure: Exception | None = Unavailable(_STOPPING)
        has_begun = is_shared = False
        commit = 0
        try:
            self._begin()
            has_begun = True
            for each in works:
                each.run(self._writer)
            self._writer.execute("COMMIT")
            commit, failure = self._log.written(), None
        except Exception as error:
            failure = self._failure(error)
            is_shared = has_begun and len(works) > 1
        finally:
            self._roll_back()
            for each in () if is_shared else works:
                each.end(failure, commit)
        return not is_shared

    def _begin(self) -> None:
        self._check_usable()
        if self._identity.log_bytes > _LOG_BYTES:
            self._shorten_log()
        elif self._log_pages != _LOG_PAGES:
            self._take_over_rest_after(_LOG_PAGES)
        try:
            self._turns.begin(self._writer)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error

    def _shorten_log(self) -> None:
        """Empty a log that readers, one after the other, have kept SQLite from using again. It
        waits for the readers of this moment; the next ones do not need the log.
        """
        if monotonic() < self._look_at_log:
            return
        writer = self._writer
        with suppress(sqlite3.Error):  # the log stays as it is, and the write goes on
            writer.execute(f"PRAGMA busy_timeout = {_READERS_MILLISECONDS}")
            # again, because readers that have just begun may hold what the first try waited for
            is_long = all(writer.execute(_EMPTY_LOG).fetchone()[0] for _ in range(3))
            self._look_at_log = monotonic() + (_AFTER_A_LONG_READ if is_long else 0)
            self._take_over_rest_after(_LOG_PAGES_OF_READERS)
        writer.execute("PRAGMA busy_timeout = 0")

    def _take_over_rest_after(self, pages: int) -> None:
        self._log_pages = pages
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def _roll_back(self) -> None:
        """Roll back an uncommitted transaction, if any."""
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(_STOPPING)

    def _check_usable(self) -> None:
        self._check_open()
        if (problem := self.problem()) is not None:
            raise FileUnusable(problem)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            self._check_usable()
            return self._connected()

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._readers.append(connection)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            connection.close()
            raise without_locks(self.path)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        return connection

    def _make_private(self) -> None:
        """Make the file accessible to its owner only; SQLite gives its other files the
        same mode.
        """
        self.path.touch(mode=0o600)
        self.path.chmod(0o600)

    def _failure(self, error: Exception) -> Exception:
        """Convert an error of SQLite to one of this package, if there is one for it."""
        if self._closed:
            return Unavailable(_STOPPING)
        found = of_serving(self.path, error)
        if isinstance(found, FileUnusable):
            self._give_up(found.message)
        is_lost = isinstance(error, sqlite3.Error) and self.problem() is not None
        return FileUnusable(self._problem or "") if is_lost else found

    def _give_up(self, problem: str) -> None:
        """Take no more writes; the first problem is logged."""
        if self._problem is None:
            self._problem = problem
            logger.critical("the file cannot be used", extra={"reason": problem})
