"""What the program of a peer does: it reads requests from its input, a line of JSON each, runs the
sessions that they name, and answers in lines of JSON.

Standard library only: it runs in the peer's environment.
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
    """A session: its graph, and the seconds that each node takes."""

    session: str
    graph: Nodes
    seconds: float


class Peer(Protocol):
    """An engine that keeps its state in a file. Thread-safe."""

    def run(self, job: Job) -> dict[str, str]:
        """Run a session to its end; the outputs of its nodes."""

    def resume(self, job: Job) -> dict[str, str]:
        """Bring a session to its end in whose midst an earlier process was killed."""


def serve(peer: Peer) -> None:
    """Until the input ends; standard output belongs to the answers."""
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
    """As many at the same time as there are clients."""
    if len(jobs) == 1:
        return [run(jobs[0])]
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(run, jobs))
