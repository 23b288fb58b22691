"""Notice that an open file was deleted or replaced: changes to it would be lost."""

import os
from pathlib import Path


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
        return None


def _numbers(name: str) -> tuple[str, int, int]:
    found = os.stat(name)
    return name, found.st_dev, found.st_ino


def _said(name: str, what: str) -> str:
    return (
        f"{name} {what} while the server runs, and changes would be lost. Stop the server, and put"
        " the file back or restore it from a backup."
    )
