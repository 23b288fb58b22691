"""The turns of processes that write to one SQLite file.

SQLite lets a waiting writer ask again after pauses of up to 100 ms, so processes that write much
would keep others waiting for seconds. Here a writer asks more often, and one that has waited for
some time is the next: it locks the directory of the file, and the others wait while it does.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from threading import Event
from time import monotonic

from ai_coordination_engine.forks import close_in_children

BUSY_SECONDS = 10.0  # until another process has committed
_PATIENCE = 0.02  # seconds; then this process is the next
_TRUST_SECONDS = 1.0  # that others wait for who is the next: it may have been stopped
_FIRST_PAUSE, _LONGEST_PAUSE = 0.000_2, 0.000_5  # seconds


class Turns:
    """The turns of this process; one thread at a time may use them. `file` is in a directory in
    which nothing else is locked as a whole.
    """

    def __init__(self, file: Path) -> None:
        self._directory = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        self._is_open = True
        close_in_children(self)
        try:
            self._nobody_is_next()
        except OSError:  # directories have no locks here
            self.close()
            raise

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that writes. Raises SQLite's error when no turn comes in time.

        The connection's own busy timeout must be 0.
        """
        begun, pause, is_next = monotonic(), _FIRST_PAUSE, False
        try:
            while True:
                waited = monotonic() - begun
                if waited > _PATIENCE and not is_next:
                    is_next = self._lock(fcntl.LOCK_EX)
                is_last = waited > BUSY_SECONDS
                may_begin = is_next or waited > _TRUST_SECONDS or is_last or self._nobody_is_next()
                if may_begin and _begins(connection, is_last):
                    return
                Event().wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            if is_next:
                fcntl.flock(self._directory, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the directory."""
        if self._is_open:
            self._is_open = False
            os.close(self._directory)

    def _nobody_is_next(self) -> bool:
        """Whether no process has waited so long that all others wait for it."""
        if not self._lock(fcntl.LOCK_SH):
            return False
        fcntl.flock(self._directory, fcntl.LOCK_UN)
        return True

    def _lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._directory, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _begins(connection: sqlite3.Connection, is_last: bool) -> bool:
    """Begin, unless another process writes; `is_last` raises the error then."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_last or (error.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
