"""Run graphs without an engine: one SQLite commit a step, the least that durability costs.

`python -m benchmarks.peers.on_sqlite FILE`. The nodes of a layer run in sequence unless they wait.
"""

import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.peers.program import Job, serve
from benchmarks.stand_in import work
from benchmarks.workloads import layered


class OneCommitAStep:
    """A table of outputs in WAL mode with `synchronous=FULL`."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS outputs (session, node, output,"
            " PRIMARY KEY (session, node))"
        )
        self._lock = threading.Lock()

    def run(self, job: Job) -> dict[str, str]:
        """Run a session layer by layer; nodes with an output are not run again."""
        kept: dict[str, str] = dict(
            self._database.execute(
                "SELECT node, output FROM outputs WHERE session = ?", [job.session]
            ).fetchall()
        )

        def step(node: str) -> None:
            if node in kept:
                return
            output = work(job.session, node, [kept[each] for each in job.graph[node]], job.seconds)
            with self._lock:
                self._database.execute(
                    "INSERT INTO outputs VALUES (?, ?, ?)", [job.session, node, output]
                )
                kept[node] = output

        for layer in layered(job.graph):
            if job.seconds and len(layer) > 1:
                with ThreadPoolExecutor(len(layer)) as pool:
                    list(pool.map(step, layer))
            else:
                for node in layer:
                    step(node)
        return kept

    resume = run


if __name__ == "__main__":
    serve(OneCommitAStep(sys.argv[1]))
