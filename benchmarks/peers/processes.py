"""Run a peer as an engine: its program runs in another process, in its own environment."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.engines import LONGEST, MIDST
from benchmarks.journal import Journal
from benchmarks.server import ROOT, resident
from benchmarks.stand_in import JOURNAL
from benchmarks.workloads import WARM_UP, Ran, Workload, sinks, verify


@dataclass(frozen=True)
class Peer:
    """A peer: its program, and the Python of its environment."""

    module: str
    python: Path

    @property
    def is_there(self) -> bool:
        """Whether its environment exists."""
        return self.python.exists()


def _environment(name: str) -> Path:
    return ROOT / f".venv-{name}" / "bin" / "python"


PEERS = {
    "LangGraph": Peer("benchmarks.peers.on_langgraph", _environment("langgraph")),
    "DBOS": Peer("benchmarks.peers.on_dbos", _environment("dbos")),
    "one commit a step": Peer("benchmarks.peers.on_sqlite", Path(sys.executable)),
}


@contextmanager
def running(peer: Peer) -> Iterator["Process"]:
    """Yield the peer as an engine."""
    with tempfile.TemporaryDirectory() as folder:
        process = Process(peer, Path(folder))
        try:
            process.run(WARM_UP)
            yield process
        finally:
            process.close()


class Process:
    """An engine that is a program with requests on its input and answers on its output."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer, self._folder = peer, folder
        self.journal = Journal(folder / "journal")
        self._numbers = count()
        self._start()

    def _start(self) -> None:
        log = self._folder / "log"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [self._peer.python, "-m", self._peer.module, self._folder / "state.sqlite"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._folder),
                    "PYTHONPATH": str(ROOT),
                    JOURNAL: str(self.journal.path),
                },
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.answers = float(self._read()["answers"])

    def peak(self) -> float:
        """Return the peak resident set of the program in MB."""
        return resident(self._process.pid, "VmHWM")

    def run(self, workload: Workload) -> Ran:
        """Run a workload; the program measures from the first start to the last end."""
        names = [f"session-{next(self._numbers)}" for _ in range(workload.sessions)]
        self.journal.forget()
        begun = time.perf_counter()
        self._ask(workload, names)
        if workload.killed_at:
            self.journal.wait_for_begin(workload.killed_at, LONGEST)
            time.sleep(MIDST)
            self.close()
            self._start()
            self._ask(workload, names, resume=True)
        answer = self._read()
        seconds = time.perf_counter() - begun if workload.killed_at else answer["seconds"]
        ran = Ran(seconds, self.journal.calls(), answer["outputs"], self.answers)
        verify(workload, ran, names)
        return ran

    def close(self) -> None:
        """Kill the program."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, workload: Workload, names: Sequence[str], *, resume: bool = False) -> None:
        asked = {
            "graph": workload.nodes,
            "seconds": workload.seconds,
            "sessions": names,
            "outputs": sinks(workload.nodes),
            "resume": resume,
        }
        assert self._process.stdin
        print(json.dumps(asked), file=self._process.stdin, flush=True)

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            log = (self._folder / "log").read_text()[-4000:]
            raise RuntimeError(f"{self._peer.module} ended:\n{log}")
        return json.loads(line)
