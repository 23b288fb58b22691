"""Read the file to which the agent of a comparison logs its calls, from outside the engine."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import workloads

LOOK_AGAIN_SECONDS = 0.002


class Journal:
    """Reads the calls since the last `forget`. Reading puts no load on the engine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(0o600)
        self._to = 0
        self._lines: list[str] = []

    def forget(self) -> None:
        """Ignore the calls until now: they belong to earlier runs."""
        self._look()
        self._lines = []

    def calls(self) -> list[workloads.Call]:
        """Return the calls of this run."""
        self._look()
        return workloads.calls(self._lines)

    def wait_for_ends(self, count: int, timeout: float) -> None:
        """Return when so many calls have ended; raises `TimeoutError`."""
        self._wait(lambda: sum(line.startswith("-") for line in self._lines) >= count, timeout)

    def wait_for_begin(self, node: str, timeout: float) -> None:
        """Return when a node runs; raises `TimeoutError`."""
        self._wait(lambda: any(line.split()[2] == node for line in self._lines), timeout)

    def _wait(self, done: Callable[[], bool], timeout: float) -> None:
        end = time.monotonic() + timeout
        while not (self._look() and done()):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{len(self._lines)} log lines within {timeout:.0f} s, and no more"
                )
            time.sleep(LOOK_AGAIN_SECONDS)

    def _look(self) -> bool:
        """Read on; return whether there was something new."""
        if self.path.stat().st_size == self._to:
            return False
        with self.path.open("rb") as file:
            file.seek(self._to)
            whole, line_break, _ = file.read().rpartition(b"\n")
        self._to += len(whole) + len(line_break)
        self._lines += whole.decode().splitlines()
        return bool(whole)
