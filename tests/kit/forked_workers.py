"""Run `ace worker` in processes that tests kill, each forked from one that has imported everything.

As a program, it reads a data directory from each line of stdin and runs a worker of it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.kit.commands import ENVIRONMENT
from tests.kit.servers import FUNCTIONS, ROOT


class Workers:
    """Starts `ace worker` in processes of their own."""

    def __init__(self, log: Path, **variables: str) -> None:
        self.log = log
        self._alive: set[int] = set()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.forked_workers"],
                cwd=ROOT,
                env={**ENVIRONMENT, "ACE_FUNCTIONS": FUNCTIONS, **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def start(self, data_dir: Path) -> int:
        """Start a worker; return its process id once it takes messages."""
        assert self._process.stdin
        assert self._process.stdout
        print(data_dir, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("Worker "):
                pid = int(line.split()[1])
                self._alive.add(pid)
                return pid
        raise AssertionError(self.log.read_text()[-2000:])

    def kill(self, pid: int) -> None:
        """Kill a worker with SIGKILL."""
        self._alive.remove(pid)
        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the workers, and end the process that starts them."""
        for pid in [*self._alive]:
            self.kill(pid)
        self._process.communicate(timeout=60)


def work_for_each() -> None:
    """Run a worker for each line."""
    from ai_coordination_engine.entrypoints.cli import worker_command  # noqa: F401
    from ai_coordination_engine.entrypoints.cli.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.argv = ["ace", "worker", "--data-dir", line.removesuffix("\n")]
            main()


if __name__ == "__main__":
    work_for_each()
