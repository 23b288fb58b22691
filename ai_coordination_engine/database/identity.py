"""Notice that an open file was deleted, replaced or overwritten: changes to it would be lost."""

import os
from contextlib import suppress
from pathlib import Path

FORMAT = slice(18, 20)  # "Database File Format", SQLite: the file format version numbers
WITH_LOG, WITHOUT_LOG = b"\x02\x02", b"\x01\x01"


def files_of(path: Path) -> tuple[Path, Path, Path]:
    """The file, its log (WAL) and the index of the log."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


class Identity:
    """The files that SQLite has opened for `path`. `log_bytes`: the size of the log when `problem`
    looked.
    """

    def __init__(self, path: Path) -> None:
        self.log_bytes = 0
        self._file, self._log, self._index = map(_numbers, map(os.fspath, files_of(path)))
        self._descriptor = _descriptor_of(*self._file[1:])

    def problem(self) -> str | None:
        """Return what has happened to the files, or None."""
        for each in (self._file, self._index, self._log):
            name, device, number = each
            try:
                now = os.stat(name)  # a Path costs three times as much
            except OSError as error:
                return _said(name, f"cannot be found any more ({error.strerror})")
            if (now.st_dev, now.st_ino) != (device, number):
                return _said(name, "was replaced by another file")
            self.log_bytes = now.st_size
        if self._is_overwritten():
            with suppress(OSError):
                os.truncate(self._log[0], 0)  # SQLite would add it to the other content
            return _said(self._file[0], "was overwritten by another file")
        return None

    def _is_overwritten(self) -> bool:
        """Whether the file has the content of a copy, which has no log, or none yet."""
        if self._descriptor is None:
            return False
        try:
            header = os.pread(self._descriptor, FORMAT.stop - FORMAT.start, FORMAT.start)
            if header == WITH_LOG:
                return False
            found = os.fstat(self._descriptor)
        except OSError:  # SQLite has closed it, and it is that of something else
            return False
        return (found.st_dev, found.st_ino) == self._file[1:]


def _numbers(name: str) -> tuple[str, int, int]:
    found = os.stat(name)
    return name, found.st_dev, found.st_ino


def _descriptor_of(device: int, number: int) -> int | None:
    """SQLite's own descriptor of a file; None where the system does not list them.

    A descriptor of ours would do harm: when it is closed, SQLite loses its locks (fcntl(2)).
    """
    with suppress(OSError):
        for name in os.listdir("/dev/fd"):
            with suppress(OSError):  # that of the list itself is closed
                found = os.fstat(int(name))
                if (found.st_dev, found.st_ino) == (device, number):
                    return int(name)
    return None


def _said(name: str, what: str) -> str:
    return (
        f"{name} {what} while the server runs, and changes would be lost. Stop the server, and put"
        " the file back or restore it from a backup."
    )
