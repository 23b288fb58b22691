"""What the processes of a data directory tell each other of changes: topics, through FIFOs.

A process has a FIFO in `DIR/processes` while somebody watches in it. The others find it with one
look at the directory, and write the topics of what they have committed, and the texts that their
agents are writing, one a line.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from select import PIPE_BUF
from time import time_ns
from typing import IO

from ai_coordination_engine.database.names import CHANGES, PROCESSES
from ai_coordination_engine.forks import close_in_children

_NEW = ".new"  # of a FIFO that is not open yet
_ALL = b"\n"  # in place of a topic: anything may have changed
_WRITTEN = b"-\n"  # in place of a topic: nothing, as far as nothing else is told
_TEXT = "+"  # before a line that is no topic: a part of what an agent writes
_PAUSE = 0.01  # seconds: what is told in the meantime is read at once
_SETTLED = 50_000_000  # nanoseconds; changes of a directory that are closer may have the same time
Hear = Callable[[Sequence[str] | None], None]
"""Called with topics that have changed. None: anything may have changed."""


class ChangeFifos:
    """Tells other processes, and hears what they tell this one, `name`. Thread-safe.

    Nothing waits: what does not fit into a FIFO is lost, and its process takes that as "anything
    may have changed". A process without a name hears nothing.
    """

    def __init__(self, data_dir: Path, name: str) -> None:
        self._folder = data_dir / PROCESSES
        self._path = str(self._folder)
        self._name = name + CHANGES if name else ""
        self._others: Sequence[Path] = ()
        self._seen = 0  # when the folder had changed as `_others` was read
        self._own: tuple[IO[bytes], int] | None = None  # for reading, for writing
        self._was_told = False
        self.hear_texts: Callable[[Sequence[str]], None] = lambda _: None
        """Called with what the others have told by `tell_texts`."""

    @property
    def is_hearing(self) -> bool:
        """Whether this process hears what the others tell."""
        return self._own is not None

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches in another process: one look at the directory."""
        try:
            changed_at = os.stat(self._path).st_mtime_ns
        except OSError:
            return False
        if changed_at != self._seen:
            self._look(changed_at)
        return bool(self._others)

    @property
    def was_watched(self) -> bool:
        """What `is_watched` was when it was asked last, such as at the commit of this moment."""
        return bool(self._others)

    def tell(self, topics: Iterable[str] | None) -> None:
        """Tell the other processes in which somebody watches. None: anything may have changed."""
        self._tell([_ALL] if topics is None else [*_parts(topics)])

    def tell_of_commit(self) -> None:
        """Tell them that this process has written; most of it is nothing that anybody watches."""
        self._tell([_WRITTEN])

    def tell_texts(self, lines: Iterable[str]) -> None:
        """Tell them parts of what an agent writes: lines without line breaks, that may be lost."""
        self._tell([*_parts(_TEXT + each for each in lines)])

    def was_told(self) -> bool | None:
        """Whether another process has told anything since the last call; None: it cannot."""
        was, self._was_told = self._was_told, False
        return was if self._own is not None else None

    def begin(self, hear: Hear) -> None:
        """Hear what the others tell, in a thread, until `end`; where there are FIFOs."""
        if self._name:
            self._was_told = False
            try:
                self._own = self._made()
                reading = threading.Thread(
                    target=self._read, args=(self._own[0], hear), name="ace-changes", daemon=True
                )
                reading.start()
            except (OSError, RuntimeError):  # no FIFOs here; or no thread can be started now
                self.end()

    def end(self) -> None:
        """Hear nothing more."""
        own, self._own = self._own, None
        if own is not None:
            (self._folder / self._name).unlink(missing_ok=True)
            with suppress(OSError):  # it is full, or the thread has ended: it does not wait
                os.write(own[1], _ALL)
            os.close(own[1])

    # Inside

    def _tell(self, parts: Sequence[bytes]) -> None:
        if parts and self.is_watched:
            for each in self._others:
                with suppress(OSError):  # it is full; or nobody reads it: its process is dead
                    _write(each, parts)

    def _look(self, changed_at: int) -> None:
        now = time_ns()
        with suppress(FileNotFoundError):  # the directory was deleted
            names = os.listdir(self._folder)
            others = [each for each in names if each.endswith(CHANGES) and each != self._name]
            self._others = [self._folder / each for each in others]
            self._seen = changed_at if now - changed_at > _SETTLED else 0

    def _made(self) -> tuple[IO[bytes], int]:
        """Make the FIFO of this process. It gets its name when it can be written to."""
        path = self._folder / (self._name + _NEW)
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        fifo = open(_opened(path, os.O_RDONLY), "rb", buffering=0)  # noqa: SIM115
        close_in_children(fifo)
        writing = _opened(path, os.O_WRONLY)  # so it has no end while this process hears
        os.set_blocking(fifo.fileno(), True)
        path.rename(self._folder / self._name)
        return fifo, writing

    def _read(self, fifo: IO[bytes], hear: Hear) -> None:
        capacity = _capacity(fifo)
        with fifo:
            while (text := fifo.read(capacity)) and self._own and self._own[0] is fifo:
                lines = text.decode("utf-8", "surrogatepass").split("\n")[:-1]
                # a page may hold one write alone, of little more than its half
                is_whole = "" not in lines and len(text) < capacity // 2 - PIPE_BUF
                self._pass_on(lines, hear, is_whole=is_whole)
                threading.Event().wait(_PAUSE)

    def _pass_on(self, lines: Sequence[str], hear: Hear, *, is_whole: bool) -> None:
        topics = [each for each in lines if not each.startswith(_TEXT)]
        if topics or not is_whole:
            self._was_told = True
            hear([*dict.fromkeys(topics)] if is_whole else None)
        if texts := [each[1:] for each in lines if each.startswith(_TEXT)]:
            self.hear_texts(texts)


def _parts(topics: Iterable[str]) -> Iterator[bytes]:
    """The lines of topics, in parts that a FIFO takes whole or not at all."""
    part = b""
    for each in topics:
        line = each.encode("utf-8", "surrogatepass") + b"\n"
        if len(line) > PIPE_BUF or line.count(b"\n") > 1:
            line = _ALL
        if len(part) + len(line) > PIPE_BUF:
            yield part
            part = b""
        part += line
    if part:
        yield part


def _write(path: Path, parts: Iterable[bytes]) -> None:
    fifo = _opened(path, os.O_WRONLY)
    try:
        for each in parts:
            os.write(fifo, each)
    finally:
        os.close(fifo)


def _opened(path: Path, how: int) -> int:
    return os.open(path, how | os.O_NONBLOCK | os.O_CLOEXEC)


def _capacity(fifo: IO[bytes]) -> int:
    """The bytes that a FIFO takes (pipe(7), Linux); elsewhere nothing is sure to be whole."""
    if hasattr(fcntl, "F_GETPIPE_SZ"):
        return fcntl.fcntl(fifo, fcntl.F_GETPIPE_SZ)
    return PIPE_BUF
