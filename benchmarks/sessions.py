"""Create coordinations, tasks and sessions for measuring, through GraphQL as clients do."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.records.entities import SESSION
from benchmarks.harness.api import Api

LOOK_AGAIN_SECONDS = 0.05
TENANT = "acme"
Graph = Mapping[str, Sequence[str]]
"""Maps each agent to its predecessors."""

COORDINATION = """mutation($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationName: "benchmark", agents: $agents, updatedBy: "benchmark") {
    coordination { coordinationUuid } } }"""
TASK = """mutation($c: String!, $actions: JSONCamelCase, $subtasks: [JSONCamelCase],
    $plan: Boolean, $budget: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: $c, taskName: "t", initialTaskQuery: "begin",
      agentActions: $actions, plan: $plan, budget: $budget,
    subtaskQueries: $subtasks, updatedBy: "benchmark") { task { taskUuid } } }"""
START = """mutation($c: String!, $t: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t) { procedureTaskSession {
      sessionUuid } } }"""


def chain(length: int) -> Graph:
    """Return a chain of agents: 1 → 1 → …."""
    return {f"a{number}": [f"a{number - 1}"] if number else [] for number in range(length)}


def diamond() -> Graph:
    """Return a graph of five agents: 1 → 2 → 1 → 1."""
    return {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]}


def layers(count: int, width: int) -> Graph:
    """Return layers of agents, each of which waits for the whole layer before."""
    return {
        f"a{layer}-{place}": [f"a{layer - 1}-{each}" for each in range(width)] if layer else []
        for layer in range(count)
        for place in range(width)
    }


FAN: Graph = {"first": [], "middle": ["first"], "last": ["middle"]}
"""1 → as many subtasks as `middle` has → 1."""


@contextmanager
def client(app: App) -> Iterator[Api]:
    """Yield a GraphQL client."""
    with asyncio.Runner() as runner:
        yield Api(app, runner, TENANT)


@dataclass(frozen=True)
class Plan:
    """A task that can be started."""

    api: Api
    coordination_uuid: str
    task_uuid: str

    @classmethod
    def of(
        cls,
        api: Api,
        graph: Graph,
        seconds: float = 0,
        *,
        runtimes: Mapping[str, Mapping[str, Any]] | None = None,
        more: Mapping[str, Mapping[str, Any]] | None = None,
        subtasks: Mapping[str, int] | None = None,
        budget: Mapping[str, Any] | None = None,
        **runtime: Any,
    ) -> "Plan":
        """Create a task with the agents of `graph`, which take `seconds` each.

        `runtimes`, `more` (keys of actions) and `subtasks` override this for single agents.
        """
        usual = {"kind": "function", "name": "sleep", "seconds": seconds, **runtime}
        agents = [
            {"agentUuid": each, "runtime": {**usual, **(runtimes or {}).get(each, {})}}
            for each in graph
        ]
        made = api.data(COORDINATION, agents=agents)["insertUpdateCoordination"]["coordination"][
            "coordinationUuid"
        ]
        extra = more or {}
        actions = {
            each: {"predecessors": list(before), **extra.get(each, {})}
            for each, before in graph.items()
            if before or each in extra
        }
        several = [
            {"agentUuid": each} for each, count in (subtasks or {}).items() for _ in range(count)
        ]
        saved = api.data(TASK, c=made, actions=actions, subtasks=several, budget=budget)
        task = saved["insertUpdateTask"]["task"]["taskUuid"]
        return cls(api, made, task)

    @classmethod
    def planned(cls, api: Api, graph: Graph) -> "Plan":
        """Create a task whose planning agent answers this graph as its plan."""
        runtime = {"kind": "function", "name": "echo"}
        agents = [
            {"agentUuid": "planner", "agentType": "planning", "runtime": runtime},
            *({"agentUuid": each, "runtime": runtime} for each in graph),
        ]
        made = api.data(COORDINATION, agents=agents)["insertUpdateCoordination"]["coordination"][
            "coordinationUuid"
        ]
        steps = [
            {"id": each, "agent": each, "after": list(before)} for each, before in graph.items()
        ]
        plan = {"schema": "ace.plan/1", "steps": steps, "final": steps[-1]["id"]}
        asked = [{"agentUuid": "planner", "subtaskQuery": json.dumps(plan)}]
        task = api.data(TASK, c=made, subtasks=asked, plan=True)["insertUpdateTask"]["task"]
        return cls(api, made, task["taskUuid"])

    def start(self) -> str:
        """Start a session; return its uuid."""
        data = self.api.data(START, c=self.coordination_uuid, t=self.task_uuid)
        return str(data["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"])

    def run(self, timeout: float = 120) -> tuple[str, float]:
        """Run a session; return its uuid and the seconds from the request to its completing write.

        A worker must be running.
        """
        app = self.api.app
        begun = app.clock.now()
        session_uuid = self.start()
        return session_uuid, (self.ended(session_uuid, timeout) - begun).total_seconds()

    def ended(self, session_uuid: str, timeout: float = 120) -> datetime:
        """Wait for the end of a session; return the time of its completing write."""
        app = self.api.app
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < timeout:
            # Polling takes time from the worker, so poll less often in long sessions.
            time.sleep(max(LOOK_AGAIN_SECONDS, waited / 50))
            session: Any = app.records.get(SESSION, TENANT, (self.coordination_uuid, session_uuid))
            if session.status == "completed":
                return session.updated_at  # type: ignore[no-any-return]
            if session.status == "failed":
                raise RuntimeError(session.logs)
        raise TimeoutError(f"the session did not end within {timeout} s")
