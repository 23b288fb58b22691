"""The log of a file (WAL): sync what was committed to the disk, after others may write already.

SQLite's own sync (`synchronous = FULL`) is a part of the commit, during which no other process and
no other thread can write. Here a commit ends without it, and is acknowledged after the sync: what
is acknowledged is on the disk, with all commits before it, and one sync is enough for all commits
of its moment ("Write-Ahead Logging", SQLite: a log that was not synced loses its last commits,
nothing else).
"""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from ai_coordination_engine.database.identity import files_of

_CLOSED = -1
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class NotSynced(Exception):
    """The disk has not taken the log, and it is not known what of it is there.

    Another try would say nothing: the system has forgotten which pages it did not write
    (fsync(2)), and what is written after a gap is lost with it.
    """


class Log:
    """The log of an open file. Thread-safe. `syncs`: it is to survive a power failure."""

    def __init__(self, path: Path, *, syncs: bool) -> None:
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._file, self._syncs = _CLOSED, syncs
        self._failure = os.strerror(errno.EBADF)  # why it cannot be synced, once it is closed
        if syncs:
            # SQLite keeps no locks on this one, so that closing it does no harm (fcntl(2))
            self._file = os.open(files_of(path)[1], os.O_RDONLY | os.O_CLOEXEC)
            sync_directory(path.parent)  # the log may be new

    def written(self) -> int:
        """Count a commit, while nobody else of this process writes; return its number."""
        self._written += 1
        return self._written

    def sync(self, commit: int) -> None:
        """Wait until a commit is on the disk; 0 is none. Raises `NotSynced`, from then on always,
        but for what was synced before.
        """
        if self._synced >= commit or not self._syncs:
            return
        with self._syncing:
            if self._synced < commit:
                self._sync_now()

    def close(self) -> None:
        """Sync and close the log."""
        with suppress(NotSynced):  # those that wait for it meet the error
            self.sync(self._written)
        with self._syncing:
            self._close()

    def _sync_now(self) -> None:
        if self._file == _CLOSED:
            raise NotSynced(self._failure)
        last = self._written
        try:
            _sync(self._file)
        except OSError as error:
            self._failure = error.strerror or str(error)
            self._close()
            raise NotSynced(self._failure) from error
        self._synced = last

    def _close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED


def sync_directory(path: Path) -> None:
    """Let what was made in a directory survive a power failure. Raises `OSError`."""
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
