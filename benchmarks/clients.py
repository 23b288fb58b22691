"""Measure the local server with many concurrent clients: errors and growth of memory.

The server is `ace serve` in a process of its own on loopback; the clients run in this process. The
run stops by itself: `make bench ARGS="--only clients"`.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks import sessions
from benchmarks.homes import Home
from benchmarks.server import Server, resident
from benchmarks.table import Row

CLIENTS, SECONDS, WARM_UP = 200, 60.0, 15.0
STARTS = 0.2  # of all requests; the others read
SESSION = """query($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) {
  status task { taskName } sessionAgents { agentUuid state agentOutput } sessionRuns { runUuid }
      } }"""
LIST = """query($c: String) { sessionList(coordinationUuid: $c, limit: 20) {
  sessionList { sessionUuid status task { taskName } } nextCursor } }"""


@dataclass
class Load:
    """The state that all clients share: where they send requests, and the results."""

    http: httpx.AsyncClient
    url: str
    keys: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    async def send(self, document: str, **variables: Any) -> Any:
        """Return the data of the answer, or None after counting an error."""
        begun = time.monotonic()
        try:
            response = await self.http.post(
                self.url, json={"query": document, "variables": variables}
            )
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            self.errors[type(error).__name__] += 1
            return None
        self.seconds.append(time.monotonic() - begun)
        for error in answer.get("errors", ()):
            self.errors[error["extensions"]["code"]] += 1
        return None if "errors" in answer else answer["data"]

    async def client(self, until: float) -> None:
        """Run one client, which sometimes starts a session and otherwise reads sessions."""
        while time.monotonic() < until:
            if random.random() < STARTS or not self.started:
                data = await self.send(sessions.START, **self.keys)
                self.answers["starts"] += 1
                if data:
                    self.started.append(
                        data["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"]
                    )
            elif random.random() < 0.5:
                await self.send(SESSION, c=self.keys["c"], s=random.choice(self.started))
                self.answers["reads"] += 1
            else:
                await self.send(LIST, c=self.keys["c"])
                self.answers["reads"] += 1


def measure() -> Iterator[Row]:
    with TemporaryDirectory() as folder:
        started = Server(Home(), Path(folder) / "journal", Path(folder) / "log")
        with closing(started) as server:
            load, grown, before = asyncio.run(_run(server.url, server.pid))
    told = ", ".join(f"{count} {name}" for name, count in load.errors.items()) or "0"
    yield Row(
        f"{CLIENTS} clients for {SECONDS:.0f} s, mixed reads and starts: errors · growth of memory",
        "0 · ≤ 50 MB",
        f"{told} · {grown:.0f} MB",
        f"{load.answers['starts']} starts and {load.answers['reads']} reads, median"
        f" {median(load.seconds):.1f} s; resident set after {WARM_UP:.0f} s {before:.0f} MB, the"
        " sessions themselves included",
    )


async def _run(url: str, pid: int) -> tuple[Load, float, float]:
    # before the server closes it
    limits = httpx.Limits(max_connections=CLIENTS, keepalive_expiry=3)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        load = Load(http, url)
        made = await load.send(
            sessions.COORDINATION, agents=[{"agentUuid": each} for each in "abc"]
        )
        coordination = made["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
        actions = {"b": {"predecessors": ["a"]}, "c": {"predecessors": ["b"]}}
        made = await load.send(sessions.TASK, c=coordination, actions=actions)
        load.keys.update(c=coordination, t=made["insertUpdateTask"]["task"]["taskUuid"])
        until = time.monotonic() + SECONDS
        clients = [asyncio.create_task(load.client(until)) for _ in range(CLIENTS)]
        await asyncio.sleep(WARM_UP)
        before = resident(pid, "VmRSS")
        await asyncio.gather(*clients)
        return load, resident(pid, "VmRSS") - before, before
