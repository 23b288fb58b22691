"""Run DBOS with its system database in SQLite: `python -m benchmarks.peers.on_dbos FILE`.

A session is an async workflow and a node is a step. The steps of a layer run concurrently with
`asyncio.gather`, as its documentation shows. The file is in WAL mode, which is several times
as fast as its default. SQLite syncs each commit, which is its default.
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
    """Run one node."""
    return await work_async(session, node, outputs, seconds)


@DBOS.workflow()
async def session(name: str, graph: Nodes, seconds: float) -> dict[str, str]:
    """Run a session layer by layer: a replay must start the steps in the same order."""
    done: dict[str, str] = {}
    for layer in layered(graph):
        found = await asyncio.gather(
            *(step(name, node, [done[each] for each in graph[node]], seconds) for node in layer)
        )
        done.update(zip(layer, found, strict=True))
    return done


class Dbos:
    """Runs a session as a workflow with its id."""

    def run(self, job: Job) -> dict[str, str]:
        """Start a workflow and wait for it."""
        with SetWorkflowID(job.session):
            handle = DBOS.start_workflow(session, job.session, job.graph, job.seconds)
        return handle.get_result()

    def resume(self, job: Job) -> dict[str, str]:
        """Wait for the workflow, which `DBOS.launch` has recovered."""
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
