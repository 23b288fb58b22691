"""The local server is killed again and again while it works; what it had acknowledged happens all the same."""

import json
import os
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.integration.test_cli import ACE, ENVIRONMENT

ROOT = Path(__file__).parents[2]
SESSIONS, KILLS = 100, 20
EACH = SESSIONS // KILLS
FEWEST, SESSION_WRITES = 15, 20  # writes of a server until it is killed; of a session, at the least
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
SLEEP = {"kind": "function", "name": "sleep", "seconds": 0.01}
FUNCTIONS = json.dumps({"sleep": "tests.functions:sleep"})

COORDINATION = """mutation($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: "c", coordinationName: "n", agents: $agents, updatedBy: "me") {
    coordination { coordinationUuid } } }"""
TASK = """mutation($actions: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "n", agentActions: $actions, updatedBy: "me") {
    task { taskUuid } } }"""
START = """mutation($s: String) {
  executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t", sessionUuid: $s, taskQuery: "go") {
    procedureTaskSession { sessionUuid } } }"""
WHOLE = """query($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status
  sessionAgents { sessionAgentUuid agentUuid state attempt inDegree }
  sessionRuns { runUuid sessionAgentUuid asyncTask } } }"""


class Server:
    """`ace serve --data-dir`, as a process of its own."""

    def __init__(self, data_dir: Path, log: Path) -> None:
        command = [*ACE, "serve", "--port", "0", "--data-dir", str(data_dir)]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**ENVIRONMENT, "ACE_FUNCTIONS": FUNCTIONS},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout
        lines = (line.split() for line in self.process.stdout)
        url = next((words[-1] for words in lines if words[:1] == ["API:"]), None)
        assert url, log.read_text()[-2000:]
        self._url, self._http = url, httpx.Client(timeout=60)
        self._journal = (data_dir / "journal.jsonl").open("rb")
        self._journal.seek(0, os.SEEK_END)
        self._written = 0

    def data(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors; raises `httpx.TransportError` when the server is killed meanwhile."""
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
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def close(self) -> None:
        """Nobody asks it any more."""
        self.kill()
        self._http.close()
        self._journal.close()


@contextmanager
def serving(data_dir: Path, log: Path) -> Iterator[Server]:
    server = Server(data_dir, log)
    try:
        yield server
    finally:
        server.close()


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
def test_a_server_killed_twenty_times_completes_a_hundred_sessions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    random = Random(3)
    with serving(data_dir, log) as server:
        server.data(COORDINATION, agents=[{"agentUuid": name, "runtime": SLEEP} for name in DIAMOND])
        server.data(TASK, actions={name: {"predecessors": before} for name, before in DIAMOND.items()})
    names = [f"session-{number}" for number in range(SESSIONS)]
    owed: list[str] = []
    repeated = writes = 0
    with ThreadPoolExecutor(EACH) as pool:
        for life in range(KILLS):
            with serving(data_dir, log) as server:
                asked = [*owed, *names[life * EACH : (life + 1) * EACH]]
                starts = {each: pool.submit(start, server, each) for each in asked}
                left = (life + 1) * EACH * SESSION_WRITES - writes
                server.wait_for_writes(random.randrange(FEWEST, max(left, FEWEST + 1)))
                server.kill()
                writes += server.count()
                owed = unanswered(starts)
                repeated += len(owed)
    with serving(data_dir, log) as server:
        for session in owed:
            assert start(server, session)
        attempts = Counter(attempt for name in names for attempt in attempts_of(server, name))
    with capsys.disabled():
        print(f"\n{KILLS} kills: {repeated} starts repeated, {attempts['lost']} attempts lost")  # noqa: T201
    assert set(attempts) == {"completed", "lost"}


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
        assert [attempt for attempt, status in found.items() if status == "completed"] == [each["attempt"]]
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
