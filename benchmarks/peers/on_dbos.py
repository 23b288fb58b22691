"""DBOS with its system database in SQLite: `python -m benchmarks.peers.on_dbos FILE`.

A session is a workflow of coroutines, a node a step; the steps of a layer run at the same time, as
its documentation has it (`asyncio.gather`). The file is put into WAL mode first, which is several
times as fast; SQLite syncs each commit, as it does by default.
"""

import asyncio
import sqlite3
import sys
from contextlib import closing

from dbos import DBOS, DBOSConfig, SetWorkflowID

from benchmarks.peers.program import Job, serve
from benchmarks.stand_in import work_async
from benchmarks.workloads import Nodes, layered


@DBOS.step()
async def step(session: str, node: str, outputs: list[str], seconds: float) -> str:
    """One node."""
    return await work_async(session, node, outputs, seconds)


@DBOS.workflow()
async def session(name: str, graph: Nodes, seconds: float) -> dict[str, str]:
    """Layer by layer: steps must begin in an order that a replay repeats."""
    done: dict[str, str] = {}
    for layer in layered(graph):
        found = await asyncio.gather(
            *(step(name, node, [done[each] for each in graph[node]], seconds) for node in layer)
        )
        done.update(zip(layer, found, strict=True))
    return done


class Dbos:
    """A workflow id is a session."""

    def run(self, job: Job) -> dict[str, str]:
        """A new workflow."""
        with SetWorkflowID(job.session):
            handle = DBOS.start_workflow(session, job.session, job.graph, job.seconds)
        return handle.get_result()

    def resume(self, job: Job) -> dict[str, str]:
        """The launch has recovered it already."""
        return dict(DBOS.retrieve_workflow(job.session).get_result())


if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[1])) as database:
        database.execute("PRAGMA journal_mode=WAL")
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": f"sqlite:///{sys.argv[1]}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    serve(Dbos())
