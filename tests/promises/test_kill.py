"""The local server is killed again and again while it works; what it had acknowledged happens all
the same.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.entrypoints.cli.test_cli import ENVIRONMENT

ROOT = Path(__file__).parents[2]
SESSIONS, KILLS = 50, 10
EACH = SESSIONS // KILLS
FEWEST, SESSION_WRITES = 15, 20  # writes of a server until it is killed; of a session, at the least
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
SLEEP = {"kind": "function", "name": "sleep", "seconds": 0.01}
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


class Servers:
    """Starts `ace serve --data-dir` in processes of their own, one at a time."""

    def __init__(self, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "tests.kit.forked_servers"]
        environment = {**ENVIRONMENT, "ACE_FUNCTIONS": FUNCTIONS}
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
        """The process of a server, and the address of its API."""
        assert self._process.stdin
        print(data_dir, file=self._process.stdin, flush=True)
        said: dict[str, str] = {}
        while not {"PID:", "API:"} <= set(said):
            said.update([self._next()])
        return int(said["PID:"]), said["API:"]

    def wait(self) -> None:
        """Until the server has ended."""
        while self._next()[0] != "ENDED":
            pass

    def close(self) -> None:
        """Start no more."""
        self._process.communicate(timeout=60)

    def _next(self) -> tuple[str, str]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-2000:]
        words = line.split() or [""]
        return words[0], words[-1]


class Server:
    """One that serves the data directory."""

    def __init__(self, servers: Servers, data_dir: Path) -> None:
        self._servers = servers
        self.pid, self._url = servers.start(data_dir)
        self._http = httpx.Client(timeout=60)
        self._journal = (data_dir / "journal.jsonl").open("rb")
        self._journal.seek(0, os.SEEK_END)
        self._written = 0
        self._alive = True

    def data(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors; raises `httpx.TransportError` when the server is
        killed meanwhile.
        """
        answer = self._http.post(self._url, json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def wait_for_writes(self, number: int) -> None:
        """Until the server has written so much since it started: its journal says how far it is."""
        for _ in range(12_000):
            threading.Event().wait(0.005)
            if self.count() >= number:
                return
        raise AssertionError(f"{self._written} writes, and no more")

    def count(self) -> int:
        """The writes until now."""
        self._written += self._journal.read().count(b"\n")
        return self._written

    def kill(self) -> None:
        """End the process without a chance to tidy up."""
        if self._alive:
            self._alive = False
            os.kill(self.pid, signal.SIGKILL)
            self._servers.wait()

    def close(self) -> None:
        """Nobody asks it any more."""
        self.kill()
        self._http.close()
        self._journal.close()


@contextmanager
def serving(data_dir: Path, log: Path) -> Iterator[Server]:
    """One server; its limits are those of this process."""
    with closing(Servers(log)) as servers, closing(Server(servers, data_dir)) as server:
        yield server


def start(server: Server, session: str) -> bool:
    """Whether the start was acknowledged before the server died."""
    try:
        server.data(START, s=session)
    except httpx.TransportError:
        return False
    return True


def unanswered(starts: dict[str, Future[bool]]) -> list[str]:
    return [session for session, answered in starts.items() if not answered.result()]


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_server_killed_ten_times_completes_fifty_sessions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Servers(tmp_path / "log")) as servers:
        attempts, repeated = killed_again_and_again(
            lambda: closing(Server(servers, tmp_path / "data"))
        )
    with capsys.disabled():
        print(f"\n{KILLS} kills: {repeated} starts repeated, {attempts['lost']} attempts lost")  # noqa: T201
    assert set(attempts) == {"completed", "lost"}


def killed_again_and_again(
    serving: Callable[[], AbstractContextManager[Server]],
) -> tuple[Counter[str], int]:
    """How the attempts of all sessions ended, and how many starts were repeated."""
    random = Random(3)
    with serving() as server:
        server.data(
            COORDINATION, agents=[{"agentUuid": name, "runtime": SLEEP} for name in DIAMOND]
        )
        server.data(
            TASK, actions={name: {"predecessors": before} for name, before in DIAMOND.items()}
        )
    names = [f"session-{number}" for number in range(SESSIONS)]
    owed: list[str] = []
    repeated = writes = 0
    with ThreadPoolExecutor(EACH) as pool:
        for life in range(KILLS):
            with serving() as server:
                asked = [*owed, *names[life * EACH : (life + 1) * EACH]]
                starts = {each: pool.submit(start, server, each) for each in asked}
                left = (life + 1) * EACH * SESSION_WRITES - writes
                server.wait_for_writes(random.randrange(FEWEST, max(left, FEWEST + 1)))
                server.kill()
                writes += server.count()
                owed = unanswered(starts)
                repeated += len(owed)
    with serving() as server:
        assert all(start(server, session) for session in owed)
        return Counter(attempt for name in names for attempt in attempts_of(server, name)), repeated


def attempts_of(server: Server, session_uuid: str) -> list[str]:
    """How the attempts of a session ended, one run each, once it is completed."""
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


def completed(server: Server, session_uuid: str) -> Any:
    """The session once it is completed; it must move on meanwhile."""
    session: Any = None
    for _ in range(1200):
        session = server.data(WHOLE, s=session_uuid)["session"]
        if session["status"] == "completed":
            return session
        assert session["status"] in ("dispatched", "in_progress"), session
        threading.Event().wait(0.05)
    raise AssertionError(f"does not move: {session}")
