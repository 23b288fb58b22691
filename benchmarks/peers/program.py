"""Run a peer as a program: read requests from standard input and write answers, as JSON lines.

Uses the standard library only: it runs in the peer's environment.
"""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.workloads import CLIENTS, Nodes


@dataclass(frozen=True)
class Job:
    """A session: its id, its graph, and how many seconds each node takes."""

    session: str
    graph: Nodes
    seconds: float


class Peer(Protocol):
    """An engine with its state in a file. Thread-safe."""

    def run(self, job: Job) -> dict[str, str]:
        """Run a session to its end; return the outputs of its nodes."""

    def resume(self, job: Job) -> dict[str, str]:
        """Continue a session after its process was killed; return the outputs of its nodes."""


def serve(peer: Peer) -> None:
    """Answer requests until the input ends. Standard output carries only the answers."""
    out, sys.stdout = sys.stdout, sys.stderr

    def say(**answer: Any) -> None:
        print(json.dumps(answer), file=out, flush=True)

    say(answers=time.monotonic())
    for line in sys.stdin:
        asked = json.loads(line)
        jobs = [Job(each, asked["graph"], asked["seconds"]) for each in asked["sessions"]]
        begun = time.perf_counter()
        outputs = _all(peer.resume if asked["resume"] else peer.run, jobs)
        seconds = time.perf_counter() - begun
        wanted = asked["outputs"]
        say(
            seconds=seconds,
            outputs={
                job.session: {node: found[node] for node in wanted}
                for job, found in zip(jobs, outputs, strict=True)
            },
        )


def _all(run: Any, jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Run the jobs, as many concurrently as there are clients."""
    if len(jobs) == 1:
        return [run(jobs[0])]
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(run, jobs))
