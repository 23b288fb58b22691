"""Run `ace serve --data-dir` in processes that tests kill, with a client."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.kit.commands import ENVIRONMENT

ROOT = Path(__file__).parents[2]
FUNCTIONS = json.dumps({"sleep": "tests.kit.functions:sleep"})

COORDINATION = """mutation($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: "c", coordinationName: "n", agents: $agents,
      updatedBy: "me") {
    coordination { coordinationUuid } } }"""
TASK = """mutation($actions: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "n", agentActions: $actions,
      updatedBy: "me") {
    task { taskUuid } } }"""
START = """mutation($s: String) {
  executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t", sessionUuid: $s,
      taskQuery: "go") {
    procedureTaskSession { sessionUuid } } }"""
WHOLE = """query($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status
  sessionAgents { sessionAgentUuid agentUuid state attempt inDegree }
  sessionRuns { runUuid sessionAgentUuid asyncTask } } }"""


DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


class Servers:
    """Starts `ace serve --data-dir` in processes of their own, one at a time."""

    def __init__(self, log: Path, **variables: str) -> None:
        self._log = log
        command = [sys.executable, "-m", "tests.kit.forked_servers"]
        environment = {**ENVIRONMENT, "ACE_FUNCTIONS": FUNCTIONS, **variables}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def start(self, data_dir: Path) -> tuple[int, str]:
        """Start a server; return its process id and the address of its API."""
        assert self._process.stdin
        print(data_dir, file=self._process.stdin, flush=True)
        said: dict[str, str] = {}
        while not {"PID:", "API:"} <= set(said):
            said.update([self._next()])
        return int(said["PID:"]), said["API:"]

    def wait(self) -> None:
        """Wait for the end of the server."""
        while self._next()[0] != "ENDED":
            pass

    def close(self) -> None:
        """End the process that starts servers."""
        self._process.communicate(timeout=60)

    def _next(self) -> tuple[str, str]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-2000:]
        words = line.split() or [""]
        return words[0], words[-1]


class Server:
    """A running server and a client for it."""

    def __init__(self, servers: Servers, data_dir: Path) -> None:
        self._servers = servers
        self._file = data_dir / "ace.db"
        self._before = _rows(self._file) if self._file.exists() else 0  # it works as it starts
        self.pid, self.url = servers.start(data_dir)
        self._http = httpx.Client(timeout=60)
        self._alive = True

    def data(self, query: str, **variables: Any) -> Any:
        """Return the data of a response without errors; `httpx.TransportError` if the server is
        killed.
        """
        answer = self._http.post(self.url, json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def wait_for_writes(self, number: int) -> None:
        """Wait until the server has written so many rows."""
        for _ in range(12_000):
            threading.Event().wait(0.005)
            if self.count() >= number:
                return
        raise AssertionError(f"{self.count()} writes, and no more")

    def count(self) -> int:
        """Return the number of rows written since the server started."""
        return _rows(self._file) - self._before

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._alive:
            self._alive = False
            os.kill(self.pid, signal.SIGKILL)
            self._servers.wait()

    def close(self) -> None:
        """Kill the server and close the client."""
        self.kill()
        self._http.close()


def _rows(file: Path) -> int:
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        return sum(
            int(connection.execute(text).fetchone()[0])
            for text in (
                'SELECT count(*) FROM "ace-sessions"',
                'SELECT count(*) FROM "ace-session_agents"',
                'SELECT count(*) FROM "ace-session_runs"',
            )
        )


@contextmanager
def serving(data_dir: Path, log: Path) -> Iterator[Server]:
    """Run one server with the settings of this process."""
    with closing(Servers(log)) as servers, closing(Server(servers, data_dir)) as server:
        yield server


def completed(server: Server, session_uuid: str) -> Any:
    """Return the session once it is completed; it must make progress."""
    session: Any = None
    for _ in range(1200):
        session = server.data(WHOLE, s=session_uuid)["session"]
        if session["status"] == "completed":
            return session
        assert session["status"] in ("dispatched", "in_progress"), session
        threading.Event().wait(0.05)
    raise AssertionError(f"does not move: {session}")


def attempts_of(server: Server, session_uuid: str) -> list[str]:
    """Return how the attempts of a completed session of `DIAMOND` ended, one run each."""
    whole = completed(server, session_uuid)
    runs: dict[str, list[Any]] = defaultdict(list)
    for run in whole["sessionRuns"]:
        runs[run["sessionAgentUuid"]].append(run["asyncTask"])
    agents = whole["sessionAgents"]
    assert {(each["agentUuid"], each["state"], each["inDegree"]) for each in agents} == {
        (name, "completed", 0) for name in DIAMOND
    }
    assert len(agents) == len(DIAMOND)
    for each in agents:
        found = {run["attempt"]: run["status"] for run in runs[each["sessionAgentUuid"]]}
        assert sorted(found) == list(range(1, each["attempt"] + 1))
        assert len(found) == len(runs[each["sessionAgentUuid"]])
        assert [attempt for attempt, status in found.items() if status == "completed"] == [
            each["attempt"]
        ]
    return [run["status"] for each in runs.values() for run in each]
