"""Run workloads on an engine, and on ours: `ace serve` and GraphQL over HTTP."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from benchmarks import sessions
from benchmarks.homes import HOMES, Home
from benchmarks.journal import Journal
from benchmarks.server import Client, Server
from benchmarks.workloads import CLIENTS, WARM_UP, Ran, Workload, sinks, verify

ENOUGH = 20.0  # seconds that an engine may take for a workload before its last repeat
LONGEST = 400.0  # seconds, of a run
MIDST = 0.1  # seconds of an agent's work until its engine is killed
START = """mutation($c: String!, $t: String!, $s: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t, sessionUuid: $s) {
    procedureTaskSession { sessionUuid } } }"""
STATUS = """query($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) { status logs updatedAt } }"""
OUTPUT = """query($s: String!, $a: String!) {
  sessionAgentList(sessionUuid: $s, agentUuid: $a, limit: 1) {
    sessionAgentList { agentOutput } } }"""


class Engine(Protocol):
    """Runs workloads. A run with wrong results raises `Wrong`."""

    def run(self, workload: Workload) -> Ran:
        """Run a workload once, all sessions concurrently; kill the engine at `killed_at`."""

    def peak(self) -> float:
        """Return the peak resident set of its processes in MB."""


def side_by_side(engines: Mapping[str, Engine], workload: Workload) -> dict[str, list[Ran]]:
    """Return the runs of each engine.

    Engines run in turn, up to `repeats` times. An engine that has spent `ENOUGH` seconds on the
    workload is not run again.
    """
    found: dict[str, list[Ran]] = {name: [] for name in engines}
    taken = dict.fromkeys(engines, 0.0)
    for _ in range(workload.repeats):
        for name, engine in engines.items():
            if taken[name] < ENOUGH:
                begun = time.monotonic()
                found[name].append(engine.run(workload))
                taken[name] += time.monotonic() - begun
    return found


@contextmanager
def served(name: str) -> Iterator["Ace"]:
    """Yield our engine on the named home."""
    with tempfile.TemporaryDirectory() as folder, HOMES[name](Path(folder)) as home:
        ace = Ace(home, Path(folder))
        try:
            ace.run(WARM_UP)
            yield ace
        finally:
            ace.client.close()
            ace.server.close()


class Ace:
    """Our engine, `ace serve` on a home."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._home, self._folder = home, folder
        self.journal = Journal(folder / "journal")
        self._plans: dict[str, dict[str, str]] = {}
        self._numbers = count()
        self._start_server()

    def _start_server(self) -> None:
        self.server = Server(self._home, self.journal.path, self._folder / "ace.log")
        self.client = Client(self.server.url)

    def peak(self) -> float:
        """Return the peak of the server and its workers in MB, without an emulator of AWS."""
        return self.server.peak()

    def run(self, workload: Workload) -> Ran:
        """Run a workload; the time is from the first request to the last completing write."""
        keys = self._plan(workload)
        names = [f"session-{next(self._numbers)}" for _ in range(workload.sessions)]
        self.journal.forget()
        begun = time.time()
        self._start(keys, names)
        if workload.killed_at:
            self.journal.wait_for_begin(workload.killed_at, LONGEST)
            time.sleep(MIDST)
            self.client.close()
            self.server.close()
            self._start_server()
        self.journal.wait_for_ends(len(workload.nodes) * len(names), LONGEST)
        ended = max(self._ended(keys["c"], name) for name in names)
        ran = Ran(
            ended - begun,
            self.journal.calls(),
            {name: self._outputs(workload, name) for name in names},
            self.server.answers,
        )
        verify(workload, ran, names)
        return ran

    def _start(self, keys: dict[str, str], names: Sequence[str]) -> None:
        if len(names) == 1:
            self.client.data(START, **keys, s=names[0])
            return

        def start(share: Sequence[str]) -> None:
            with closing(Client(self.server.url)) as client:
                for name in share:
                    client.data(START, **keys, s=name)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(start, [names[each::CLIENTS] for each in range(CLIENTS)]))

    def _plan(self, workload: Workload) -> dict[str, str]:
        """Return coordination and task of a workload; create them for its first run."""
        if workload.what not in self._plans:
            runtime = {"kind": "function", "name": "stand_in", "seconds": workload.seconds}
            several = {name: each for name, each in workload.graph.items() if each.copies > 1}
            agents = [
                {"agentUuid": name, "runtime": runtime | {"copies": name in several}}
                for name in workload.graph
            ]
            made = self.client.data(sessions.COORDINATION, agents=agents)
            coordination = made["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
            actions = {
                name: {"predecessors": list(agent.after)}
                for name, agent in workload.graph.items()
                if agent.after
            }
            subtasks = [
                {"agentUuid": name, "subtaskQuery": str(number)}
                for name, agent in several.items()
                for number in range(agent.copies)
            ]
            made = self.client.data(
                sessions.TASK, c=coordination, actions=actions, subtasks=subtasks
            )
            task = made["insertUpdateTask"]["task"]["taskUuid"]
            self._plans[workload.what] = {"c": coordination, "t": task}
        return self._plans[workload.what]

    def _ended(self, coordination: str, name: str) -> float:
        """Wait for the end of a session; return the time of its completing write."""
        end = time.monotonic() + LONGEST
        session: Any = {}
        while time.monotonic() < end:
            session = self.client.data(STATUS, c=coordination, s=name)["session"]
            if session["status"] == "completed":
                return datetime.fromisoformat(session["updatedAt"]).timestamp()
            if session["status"] == "failed":
                raise RuntimeError(session["logs"])
            time.sleep(0.01)
        raise TimeoutError(f"{name} does not end: {session}")

    def _outputs(self, workload: Workload, name: str) -> dict[str, str]:
        """Return the outputs of the sinks."""
        found = {}
        for sink in sinks(workload.nodes):
            listed = self.client.data(OUTPUT, s=name, a=sink)["sessionAgentList"]
            (agent,) = listed["sessionAgentList"]
            found[sink] = agent["agentOutput"]
        return found
