"""The processes that share a data directory: which of them live, and how they wake each other.

Each process has a file in `DIR/processes` that it keeps locked. The operating system releases the
lock when the process ends, however it ends: a file without a lock is that of a dead process. A
stopped process keeps its lock, and no reused process id is mistaken for it. Beside it is a FIFO to
which the others write when there are new messages.
"""

import fcntl
import json
import os
import secrets
import select
import threading
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.database.names import CHANGES, PROCESSES
from ai_coordination_engine.entrypoints.local.data_dir import private, read_object
from ai_coordination_engine.forks import close_in_children

_WAKE = ".wake"  # of the name of a FIFO
_NEW = ".new"  # of a file that is not locked yet
_MOST_WAKES = 65_536  # the capacity of a FIFO (pipe(7), Linux)


@dataclass(frozen=True)
class Dead:
    """A process that has ended. This process holds its lock until `Processes.forget`. `stopped`: it
    was told to, and did not wait for all of its work.
    """

    name: str
    pid: int
    lock: IO[str]
    stopped: bool = False


class Processes:
    """The processes that share a data directory; this one is called `name`. Thread-safe.

    `name` is never used again. `settings` are shown to the others, if they are given. Raises
    `OSError` when the directory cannot be written.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, Any] | None = None) -> None:
        self._folder = data_dir / PROCESSES
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.name = secrets.token_hex(4)
        self.leaves_work = False
        self._fifos: dict[str, int] = {}  # of the other processes; -1: it has none
        self._changing = threading.Lock()
        self._fifo = self._make_fifo()
        self._register({"pid": os.getpid(), "settings": settings})

    def others(self) -> dict[str, int]:
        """The names of the other processes that live, with their process ids (0: not known)."""
        return {name: _pid(about) for name, about in self._living()}

    def pids(self) -> list[int]:
        """The ids of all processes that live, this one included; not those that are unknown."""
        return [os.getpid(), *filter(None, self.others().values())]

    def settings_of_others(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the process id and the settings of each other process that lives and shows them."""
        for _, about in self._living():
            if isinstance(shown := about.get("settings"), dict):
                yield _pid(about), shown

    def dead(self) -> Iterator[Dead]:
        """Yield each process that has ended and that no other process looks after."""
        for name, about, lock in self._each():
            if lock is not None:
                yield Dead(name, _pid(about), lock, bool(about.get("stopped")))

    def forget(self, dead: Dead) -> None:
        """Remove the files of a dead process."""
        with self._changing:
            self._close_fifo(dead.name)
        self._remove(dead.name)
        dead.lock.close()

    def wake_others(self) -> None:
        """Wake the other processes that wait for messages."""
        with self._changing:
            for fifo in self._fifos.values():
                if fifo >= 0:
                    with suppress(OSError):  # it is full: that one does not wait; or it is dead
                        os.write(fifo, b".")

    def wait(self) -> bool:
        """Wait until another process, or `stop_waiting`, wakes this one; False if none can."""
        return self._fifo is not None and bool(self._fifo.read(_MOST_WAKES))

    def stop_waiting(self) -> None:
        """End `wait`, also when nobody has waited for so long that the FIFO is full."""
        if self._fifo is not None and select.select((), (self._fifo,), (), 0)[1]:
            self._fifo.write(b".")

    def close(self) -> None:
        """Stop being one of the processes. If this one `leaves_work`, another looks after it."""
        if self.leaves_work:
            self._say({"pid": os.getpid(), "stopped": True})
        else:
            self._remove(self.name)
        self._lock.close()
        if self._fifo is not None:
            self._fifo.close()
        self._forget_fifos(())

    # Inside

    def _register(self, about: Mapping[str, Any]) -> None:
        """Lock the file before others see it."""
        path = self._folder / (self.name + _NEW)
        lock = open(path, "w", opener=private)  # noqa: SIM115
        fcntl.flock(lock, fcntl.LOCK_EX)
        close_in_children(lock)
        self._lock = lock
        self._say(about)
        path.rename(self._folder / self.name)

    def _say(self, about: Mapping[str, Any]) -> None:
        """Write what others read of this process."""
        text = json.dumps(about).encode()
        with suppress(OSError):  # the disk is full: nobody reads its id
            os.ftruncate(self._lock.fileno(), 0)
            os.pwrite(self._lock.fileno(), text, 0)

    def _make_fifo(self) -> IO[bytes] | None:
        """The FIFO of this process; None where there are none: it looks for messages by itself."""
        path = self._folder / (self.name + _WAKE)
        try:
            os.mkfifo(path, 0o600)
        except OSError:
            return None
        # for reading and writing: so it never ends
        fifo = open(path, "r+b", buffering=0)  # noqa: SIM115
        close_in_children(fifo)
        return fifo

    def _living(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the name of each other process that lives, and what it says of itself."""
        for name, about, lock in self._each():
            if lock is None:
                yield name, about
            else:
                lock.close()

    def _each(self) -> Iterator[tuple[str, Mapping[str, Any], IO[str] | None]]:
        """Yield the name of each other process, what it says of itself, and the lock of a dead
        one.
        """
        names = {each for each in os.listdir(self._folder) if "." not in each} - {self.name}
        self._forget_fifos(names)
        for name in sorted(names):
            try:
                lock = open(self._folder / name)  # noqa: SIM115
            except FileNotFoundError:  # it has just ended
                continue
            is_dead = _locked(lock)
            about = read_object(lock)  # its last words, if it is dead
            if not is_dead:
                lock.close()
                self._open_fifo(name)
                yield name, about, None
            elif not (self._folder / name).exists():  # another process has looked after it
                lock.close()
            else:
                close_in_children(lock)
                yield name, about, lock

    def _open_fifo(self, name: str) -> None:
        with self._changing:
            if name not in self._fifos:
                try:
                    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                    self._fifos[name] = os.open(self._folder / (name + _WAKE), flags)
                except OSError:
                    self._fifos[name] = -1

    def _forget_fifos(self, living: Container[str]) -> None:
        with self._changing:
            for name in [each for each in self._fifos if each not in living]:
                self._close_fifo(name)

    def _close_fifo(self, name: str) -> None:
        fifo = self._fifos.pop(name, -1)
        if fifo >= 0:
            os.close(fifo)

    def _remove(self, name: str) -> None:
        for of in (_WAKE, CHANGES, ""):
            (self._folder / (name + of)).unlink(missing_ok=True)


def _locked(lock: IO[str]) -> bool:
    """Lock the file of another process; False while that lives."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _pid(about: Mapping[str, Any]) -> int:
    pid = about.get("pid")
    return pid if isinstance(pid, int) else 0
