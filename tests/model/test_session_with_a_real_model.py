"""Two `openai` agents through the whole engine, with a real model and an AWS in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from ai_coordination_engine.bootstrap import build_app, create_queue_and_bucket, create_tables
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.graph.inputs import given
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
)

pytestmark = pytest.mark.model

TENANT = "acme"
RUNTIME = {"kind": "openai", "temperature": 0, "max_tokens": 48}
AGENTS = [
    {
        "agent_uuid": "writer",
        "agent_name": "Writer",
        "runtime": {**RUNTIME, "instructions": "Write one sentence."},
    },
    {
        "agent_uuid": "critic",
        "agent_name": "Critic",
        "runtime": {**RUNTIME, "instructions": "Judge the sentence."},
    },
]
TASK_VALUES = {
    "task_name": "A sentence",
    "initial_task_query": "The sea in winter",
    "subtask_queries": [
        {"agent_uuid": "writer", "subtask_query": "Write about the sea in winter."},
        {"agent_uuid": "critic", "subtask_query": "Is this sentence any good?"},
    ],
    "agent_actions": {"writer": {"predecessors": []}, "critic": {"predecessors": ["writer"]}},
}


class Wakes:
    """A fake of `ports.Queue` with a list."""

    def __init__(self) -> None:
        self.waiting: list[Wake] = []

    def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
        self.waiting.extend(wakes)

    def dead_letter(self, wake: Wake) -> None:
        raise AssertionError("nothing dies here")


@pytest.fixture
def app(model_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    endpoint = OpenAIEndpoint(base_url=model_url, model="smollm2")
    with mock_aws():
        settings = create_queue_and_bucket(
            Settings(auth="local", openai_endpoints={"default": endpoint})
        )
        create_tables(settings)
        yield replace(build_app(settings), queue=Wakes())


def worked_off(app: App, agents: Sequence[Any], task: Any) -> Session:
    """Start a session of a task and process every wake-up."""
    records, by = app.records, {"updated_by": "test"}
    records.create(
        COORDINATION, TENANT, (TENANT, "c-1"), lambda *_: {"agents": agents, **by}, parent_key=None
    )
    records.create(
        TASK, TENANT, ("c-1", "t-1"), lambda *_: {**task, **by}, parent_key=(TENANT, "c-1")
    )
    session = execute_procedure(app, TENANT, Start("c-1", "t-1"))
    assert isinstance(app.queue, Wakes)
    while app.queue.waiting:
        run_step(app, app.queue.waiting.pop(0))
    return session


def test_a_session_of_two_models_completes_and_counts_its_tokens(app: App) -> None:
    session_uuid = worked_off(app, AGENTS, TASK_VALUES).session_uuid
    records = app.records
    assert records.get(SESSION, TENANT, ("c-1", session_uuid)).status == "completed"

    listed = records.table(SESSION_AGENT).query_all(TENANT, session_uuid)
    agents = {each.agent_uuid: each for each in listed}
    assert {name: each.state for name, each in agents.items()} == {
        "writer": "completed",
        "critic": "completed",
    }
    assert agents["writer"].agent_output.strip()
    assert agents["critic"].agent_output.strip()
    assert given(app, [agents["critic"]], Budget()) == {
        agents["critic"].session_agent_uuid: (
            f"Output of Writer:\n{agents['writer'].agent_output}\n\nIs this sentence any good?"
        )
    }

    runs = list(records.table(SESSION_RUN).query_all(TENANT, session_uuid))
    assert sorted(each.agent_uuid for each in runs) == ["critic", "writer"]
    # the critic goes on with the writer's thread
    assert len({each.thread_uuid for each in runs}) == 1
    for run in runs:
        usage = run.async_task["usage"]
        assert run.async_task["status"] == "completed"
        assert usage["model"] == "smollm2"
        assert 0 < usage["output_tokens"] <= RUNTIME["max_tokens"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_session_runs_the_plan_that_a_model_makes(app: App) -> None:
    """The model is asked for JSON by the schema of a plan, and obeys."""
    runtime = {
        "kind": "openai",
        "instructions": "Plan with one step for the writer.",
        "temperature": 0,
        "max_tokens": 400,
        "frequency_penalty": 0.5,  # else so small a model says the same for ever
    }
    agents = [
        {"agent_uuid": "planner", "agent_type": "planning", "runtime": runtime},
        {
            "agent_uuid": "writer",
            "agent_description": "Writes one sentence.",
            "runtime": {**RUNTIME, "instructions": "Write one sentence."},
        },
    ]
    task = {
        "task_name": "t",
        "initial_task_query": "A sentence about the sea.",
        "plan": True,
        "plan_limits": {"steps": 1},
    }
    session = worked_off(app, agents, task)
    key = session.key
    made = list(app.records.children(SESSION_AGENT, TENANT, key, consistent=True))
    assert [(each.agent_uuid, each.state) for each in made] == [
        ("planner", "completed"),
        ("writer", "completed"),
    ]
    plan = (snapshot(made) or {})["plan"]
    assert [(each["id"], each["agent"], each["after"]) for each in plan["steps"]] == [
        ("s1", "writer", [])
    ]
    ended: Any = app.records.get(SESSION, TENANT, key, consistent=True)
    assert ended.status == "completed"


def test_a_model_chooses_by_the_schema_who_answers(app: App) -> None:
    desk = {"agent_uuid": "desk", "agent_type": "triage", "runtime": {**RUNTIME, "max_tokens": 300}}
    content = {"agents": [desk, *AGENTS], "updated_by": "test"}
    app.records.create(COORDINATION, TENANT, (TENANT, "c-2"), lambda *_: content, parent_key=None)
    asked = ask(app, TENANT, Question("c-2", "Write about the sea in winter."))
    assert isinstance(app.queue, Wakes)
    while app.queue.waiting:
        run_step(app, app.queue.waiting.pop(0))

    agents = list(app.records.table(SESSION_AGENT).query_all(TENANT, asked.session_uuid))
    runs = app.records.table(SESSION_RUN).query_all(TENANT, asked.session_uuid)
    choice = {run.agent_uuid: run.async_task for run in runs}["desk"]["choice"]
    assert set(choice) == {"agent", "reason", "query"}
    names = [each.agent_uuid for each in agents]
    if choice["agent"] in ("writer", "critic"):
        assert names == ["desk", choice["agent"]]
        assert [each.state for each in agents] == ["completed", "completed"]
        assert agents[1].agent_output.strip()
    else:  # it is a small model: the structure counts
        assert names == {"none": ["desk"], "ask_user": ["desk", "desk"]}[choice["agent"]]
