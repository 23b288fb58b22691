"""The file of the journal: written by one process, line by line, and readable by its owner only."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ai_coordination_engine.entrypoints.local.data_dir import (
    JOURNAL,
    lock,
    make_private,
    private,
)
from ai_coordination_engine.observability import logger


class Unwritable(Exception):
    """The operating system refused to write a line; the message says why. The file is unchanged."""


class JournalFile:
    """The journal file in `data_dir`, which stays locked against other processes until `close`.

    An incomplete last line, left by a killed process, was never acknowledged: it is ignored and
    removed.
    """

    def __init__(self, data_dir: Path) -> None:
        make_private(data_dir)
        self.path = data_dir / JOURNAL
        self._lock = lock(data_dir)
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
            with open(new, "w", encoding="utf-8", opener=private) as file:
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
        self._file = private(str(self.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
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
