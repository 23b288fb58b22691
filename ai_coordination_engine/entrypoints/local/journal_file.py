"""The file of the journal: written by one process, line by line, and readable by its owner only."""

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
    """The operating system refused to write a line; the message says why. The file is unchanged."""


class JournalFile:
    """The journal file in `data_dir`, which stays locked against other processes until `close`.

    An incomplete last line, left by a killed process, was never acknowledged: it is ignored and
    removed.
    """

    def __init__(self, data_dir: Path) -> None:
        _make_private(data_dir)
        self.path = data_dir / _NAME
        # Kept open, and the lock with it, until `close`.
        self._lock = open(data_dir / "lock", "w", opener=_private)  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise DataDirError(
                f"{data_dir} is in use by another server; stop it or choose another directory."
            ) from error
        self._file: int | None = None
        self._length = 0  # bytes of the complete lines
        self._incomplete = False  # whether an incomplete line may follow them

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the complete lines with their numbers, from 1."""
        self._length = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    self._length += len(line)
                    yield number, line

    def rewrite(self, lines: Iterable[str]) -> None:
        """Replace the file by these lines; keeps the old file when there is no space for the new
        one.
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
        """Open the file for appending."""
        self._file = _private(str(self.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.ftruncate(self._file, self._length)

    def append(self, text: str) -> None:
        """Append a line; raises `Unwritable` when it cannot be written completely."""
        if self._file is None:
            raise Unwritable("the file is closed")
        line = text.encode() + b"\n"
        try:
            if self._incomplete:
                os.ftruncate(self._file, self._length)
            self._incomplete = True
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            # If this fails, the next append tries it again first.
            with suppress(OSError):
                os.ftruncate(self._file, self._length)
                self._incomplete = False
            raise Unwritable(error.strerror or str(error)) from error
        self._incomplete = False
        self._length += len(line)

    def close(self) -> None:
        """Release the directory."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.close()


def has_data(data_dir: Path) -> bool:
    """Whether a server has stored data in the directory."""
    return (data_dir / _NAME).is_file()


def _make_private(data_dir: Path) -> None:
    """Create the directory, or remove all access rights of other users.

    Raises `DataDirError` when that could lock others out of files of theirs.
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
            f"{data_dir} is accessible to other users and holds other files. Choose an empty"
            f" directory, or remove their access: chmod 700 {data_dir}"
        )
    try:
        data_dir.chmod(0o700)
    except PermissionError as error:
        raise DataDirError(
            f"{data_dir} is accessible to other users and belongs to one of them; choose another."
        ) from error


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner can read and write."""
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(file, 0o600)
    return file
