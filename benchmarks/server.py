"""Run `ace serve` in another process, and call its API over HTTP."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.homes import Home
from benchmarks.stand_in import JOURNAL

ROOT = Path(__file__).parents[1]
KEPT_SECONDS = 3.0  # before the server closes a connection that is idle
SERVE = ("serve", "--port", "0")
# util-linux; ends the server when this process is killed
DIES_TOO = ("setpriv", "--pdeathsig", "KILL", "--")
OF_THE_CALLER = ("AWS_", "ACE_", "OPENAI_")


class Server:
    """A running `ace serve`. `begun` and `answers` are moments of the monotonic clock."""

    def __init__(self, home: Home, journal: Path, log: Path) -> None:
        self.begun = time.monotonic()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*DIES_TOO, Path(sys.executable).with_name("ace"), *SERVE, *home.options],
                env=_environment() | dict(home.environment) | {JOURNAL: str(journal)},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout
        told = (line.split()[-1] for line in self._process.stdout if line.startswith("API:"))
        self.url = next(told, "")
        if not self.url:
            raise RuntimeError(f"ace serve did not start:\n{log.read_text()[-4000:]}")
        with closing(Client(self.url)) as client:
            client.data("{ ping }")
        self.answers = time.monotonic()

    @property
    def pid(self) -> int:
        """Process id of the server; it may have child processes."""
        return self._process.pid

    def peak(self) -> float:
        """Return the sum of the peak resident sets of its processes, MB (Linux: proc(5), VmHWM)."""
        return sum(resident(pid, "VmHWM") for pid in processes(self.pid))

    def cpu(self) -> float:
        """Return the CPU time of its processes so far in seconds (Linux: proc(5), stat)."""
        return sum(_cpu(pid) for pid in processes(self.pid))

    def close(self) -> None:
        """Kill all its processes; they clean up nothing."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()


class Client:
    """A GraphQL client with a persistent connection. Not thread-safe."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=120)
        self._used = time.monotonic()

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def data(self, document: str, **variables: Any) -> Any:
        """Return the data of a response; raises `RuntimeError` when it has errors."""
        if time.monotonic() - self._used > KEPT_SECONDS:
            self.close()
        body = json.dumps({"query": document, "variables": variables})
        self._connection.request(
            "POST", self._path, body.encode(), {"content-type": "application/json"}
        )
        answer = json.loads(self._connection.getresponse().read())
        self._used = time.monotonic()
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]


def resident(pid: int, which: str) -> float:
    """Return the resident set of a process in MB: `VmRSS` (now) or `VmHWM` (peak)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) / 1024


def processes(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    below: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        below += [each for child in path.read_text().split() for each in processes(int(child))]
    return [pid, *below]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # in user and system mode


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_CALLER)}
    functions = json.dumps({"stand_in": "benchmarks.functions:stand_in"})
    return own | {"ACE_FUNCTIONS": functions, "PYTHONPATH": str(ROOT)}
