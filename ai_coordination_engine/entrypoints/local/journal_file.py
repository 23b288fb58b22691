"""The file of a journal: lines are written as a whole or not at all, by one process, for its
owner's eyes alone.
"""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ai_coordination_engine.observability import logger

_NAME = "journal.jsonl"


class DataDirError(Exception):
    """The data directory cannot be used; the message says why and what to do."""


class Unwritable(Exception):
    """The system takes no more of the journal, and says why; what was to be written has left no
    trace in it.
    """


class JournalFile:
    """The journal in `data_dir`, which is locked against a second process until it is closed.

    What does not end with a line break was torn off by a kill and never acknowledged: it is not
    read, and cut off.
    """

    def __init__(self, data_dir: Path) -> None:
        _make_private(data_dir)
        self.path = data_dir / _NAME
        # closed with the journal
        self._lock = open(data_dir / "lock", "w", opener=_private)  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise DataDirError(
                f"{data_dir} is in use by another server; stop it or choose another directory."
            ) from error
        self._file: int | None = None
        self._length = 0  # of the lines that were written as a whole
        self._torn = False  # whether there may be something after them

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers, from 1 on."""
        self._length = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    self._length += len(line)
                    yield number, line

    def rewrite(self, lines: Iterable[str]) -> None:
        """Put these lines in the place of those that were read, which stay where there is no room
        for the new ones.
        """
        new = self.path.with_suffix(".new")
        try:
            with open(new, "w", encoding="utf-8", opener=_private) as file:
                file.writelines(line + "\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
                length = file.tell()
            new.replace(self.path)
            self._length = length
        except OSError as error:
            new.unlink(missing_ok=True)
            logger.warning("the journal cannot be rewritten", extra={"reason": error.strerror})

    def open(self) -> None:
        """Be ready to append."""
        self._file = _private(str(self.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.ftruncate(self._file, self._length)

    def append(self, text: str) -> None:
        """Write a line; raises `Unwritable` when the system does not take all of it."""
        if self._file is None:
            raise Unwritable("it is closed")
        line = text.encode() + b"\n"
        try:
            if self._torn:
                os.ftruncate(self._file, self._length)
            self._torn = True
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            # else the next line tries that again, and is refused where it fails
            with suppress(OSError):
                os.ftruncate(self._file, self._length)
                self._torn = False
            raise Unwritable(error.strerror or str(error)) from error
        self._torn = False
        self._length += len(line)

    def close(self) -> None:
        """Release the directory."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.close()


def has_data(data_dir: Path) -> bool:
    """Whether a server has kept its state there."""
    return (data_dir / _NAME).is_file()


def _make_private(data_dir: Path) -> None:
    """Make the directory, or take everybody else's rights to it away; raises `DataDirError` where
    that may do harm.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataDirError(
            f"{data_dir} is not a directory, or lies below a file; choose another."
        ) from error
    if not stat.S_IMODE(data_dir.stat().st_mode) & 0o077:
        return
    if any(data_dir.iterdir()) and not has_data(data_dir):
        raise DataDirError(
            f"{data_dir} is open to others and holds other files. Choose a directory for this data"
            f" alone, or close this one: chmod 700 {data_dir}"
        )
    try:
        data_dir.chmod(0o700)
    except PermissionError as error:
        raise DataDirError(
            f"{data_dir} is open to others and belongs to somebody else; choose another."
        ) from error


def _private(path: str, flags: int) -> int:
    """Open a file that is its owner's alone."""
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(file, 0o600)
    return file
