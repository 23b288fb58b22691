"""Measure the time from an agent's completion to its successor's start, in UpdateItem calls."""

import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from benchmarks import backends, functions, sessions
from benchmarks.table import Row

RUNS, UPDATES = 7, 50
SHAPES = {
    "a chain of 10": (sessions.chain(10), 0.0),
    "3 layers × 3": (sessions.layers(3, 3), 0.1),
}
Moments = dict[tuple[str, str], float]


def measure() -> Iterator[Row]:
    if "ministack" not in backends.offered():
        return
    with backends.ministack() as made, backends.working(made) as app, sessions.client(app) as api:
        completed = _completions(app)
        for shape, (graph, seconds) in SHAPES.items():
            plan = sessions.Plan.of(api, graph, seconds)
            updates, waits = _updates(app, sessions.TENANT, plan.run()[0]), []
            for _ in range(RUNS):
                session_uuid = plan.run()[0]
                waits += _waits(session_uuid, graph, completed)
                updates += _updates(app, sessions.TENANT, session_uuid)
            wait, update = median(waits) * 1000, median(updates) * 1000
            yield Row(
                f"hand-off in {shape}, ministack",
                "≤ 6 × one UpdateItem",
                f"{wait / update:.1f} × ({wait:.1f} ms)",
                f"completing write → successor's call, median of {len(waits)}; UpdateItem"
                f" {update:.2f} ms",
            )


def _completions(app: App) -> Moments:
    """Return a map that fills with the moment of each agent's completing write."""
    moments: Moments = {}
    table = app.records.table(SESSION_AGENT)

    def note(parsed: Mapping[str, Any], **_: Any) -> None:
        new = parsed.get("Attributes", {})
        if "session_agent_uuid" in new and new["state"]["S"] == "completed":
            moments[SessionAgent.from_raw_data(new).session_uuid, new["agent_uuid"]["S"]] = (
                time.perf_counter()
            )

    table.database.client.meta.events.register("after-call.dynamodb.UpdateItem", note)
    return moments


def _waits(session_uuid: str, graph: sessions.Graph, completed: Moments) -> list[float]:
    """Return the seconds from the last predecessor's completion to each agent's start."""
    return [
        functions.started[session_uuid, agent]
        - max(completed[session_uuid, each] for each in before)
        for agent, before in graph.items()
        if before
    ]


def _updates(app: App, tenant: str, session_uuid: str) -> list[float]:
    """Return the seconds of sequential conditional UpdateItems on one of the session's agents."""
    table = app.records.table(SESSION_AGENT)
    agent = next(table.query_all(tenant, session_uuid))
    key = (agent.session_uuid, agent.session_agent_uuid)
    seconds = []
    for _ in range(UPDATES):
        begun = time.perf_counter()
        same = SessionAgent.updated_at.set(agent.updated_at)
        table.update(tenant, key, [same], SessionAgent.state == "completed")
        seconds.append(time.perf_counter() - begun)
    return seconds
