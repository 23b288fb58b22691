"""A real small model plans a session: it is asked for JSON by the schema of a plan, which it obeys."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
)
from tests.model.test_session_with_a_real_model import TENANT, app

__all__ = ["app"]

pytestmark = pytest.mark.model

RUNTIME = {"kind": "openai", "temperature": 0, "max_tokens": 400, "seed": 1}
AGENTS = [
    {"agent_uuid": "planner", "agent_type": "planning", "runtime": RUNTIME},
    {
        "agent_uuid": "writer",
        "agent_description": "Writes one sentence.",
        "runtime": {"kind": "openai", "temperature": 0, "max_tokens": 24},
    },
]


def test_the_session_runs_the_plan_of_the_model(app: App) -> None:
    by = {"updated_by": "test"}
    app.records.create(
        COORDINATION, TENANT, (TENANT, "c"), lambda *_: {"agents": AGENTS, **by}, parent_key=None
    )
    task = {
        "task_name": "t",
        "initial_task_query": "A sentence about the sea.",
        "plan": True,
        "plan_limits": {"steps": 1},
        **by,
    }
    app.records.create(TASK, TENANT, ("c", "t"), lambda *_: task, parent_key=(TENANT, "c"))
    session = execute_procedure(app, TENANT, Start("c", "t"))
    queue: Any = app.queue
    while queue.waiting:
        run_step(app, queue.waiting.pop(0))
    ended: Any = app.records.get(SESSION, TENANT, session.key, consistent=True)
    agents = list(app.records.children(SESSION_AGENT, TENANT, session.key, consistent=True))
    runs = list(app.records.children(SESSION_RUN, TENANT, session.key, consistent=True))
    assert ended.status == "completed", (ended.logs, [each.async_task for each in runs])
    assert [(each.agent_uuid, each.state) for each in agents] == [
        ("planner", "completed"),
        ("writer", "completed"),
    ]
    plan = (snapshot(agents) or {})["plan"]
    assert [(each["id"], each["agent"], each["after"]) for each in plan["steps"]] == [
        ("s1", "writer", [])
    ]
    assert all(run.async_task["usage"]["output_tokens"] > 0 for run in runs)
