"""Run LangGraph with its SQLite checkpointer: `python -m benchmarks.peers.on_langgraph FILE`.

Each graph becomes a `StateGraph` with the same nodes and edges. `durability="sync"` writes a
checkpoint before the next step begins, as the other engines do. SQLite syncs each commit, which is
its default.
"""

import json
import operator
import sqlite3
import sys
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph

from benchmarks.peers.program import Job, serve
from benchmarks.stand_in import work

MOST_STEPS = 10_000


class State(TypedDict):
    """Outputs of the nodes that have run."""

    outputs: Annotated[dict[str, str], operator.or_]


class LangGraph:
    """Runs a session as a thread of LangGraph."""

    def __init__(self, path: str) -> None:
        self._saver = SqliteSaver(sqlite3.connect(path, check_same_thread=False))
        self._graphs: dict[str, Any] = {}

    def run(self, job: Job) -> dict[str, str]:
        """Run a session from an empty state."""
        return self._invoke(job, {"outputs": {}})

    def resume(self, job: Job) -> dict[str, str]:
        """Continue a session from its last checkpoint."""
        return self._invoke(job, None)

    def _invoke(self, job: Job, state: Any) -> dict[str, str]:
        config = {"configurable": {"thread_id": job.session}, "recursion_limit": MOST_STEPS}
        found = self._compiled(job).invoke(state, config, durability="sync")
        return dict(found["outputs"])

    def _compiled(self, job: Job) -> Any:
        key = json.dumps([job.graph, job.seconds])
        if key not in self._graphs:
            builder = StateGraph(State)
            for node, before in job.graph.items():
                builder.add_node(node, _runs(node, before, job.seconds))
                builder.add_edge(before or START, node)
            self._graphs[key] = builder.compile(checkpointer=self._saver)
        return self._graphs[key]


def _runs(node: str, before: list[str], seconds: float) -> Any:
    def run(state: State, config: RunnableConfig) -> State:
        outputs = [state["outputs"][each] for each in before]
        session = config["configurable"]["thread_id"]
        return {"outputs": {node: work(session, node, outputs, seconds)}}

    return run


if __name__ == "__main__":
    serve(LangGraph(sys.argv[1]))
