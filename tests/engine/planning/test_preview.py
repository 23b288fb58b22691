"""A dry run: what it says is what a start does, and it does nothing."""

from typing import Any

import pytest

from ai_coordination_engine.domain.planning import NO_FALLBACK
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.preview import plan_session, preview
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Coordination, Task
from benchmarks.harness.api import Calls
from tests.kit.records import items
from tests.kit.stage import TENANT, Stage, stage_of

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def test_a_dry_run_reads_two_records_and_does_nothing(stage: Stage, app: App, calls: Calls) -> None:
    keys = stage.define(DIAMOND)
    before, _ = items(app), calls.taken()
    found = plan_session(app, TENANT, *keys)
    assert found is not None
    assert found.layers == [["a"], ["b", "c"], ["d"]]
    assert calls.taken() == {"GetItem": 2}
    assert items(app) == before
    assert stage.queue.sent == []


def test_the_layers_are_those_in_which_the_session_runs(stage: Stage, app: App) -> None:
    keys = stage.define(DIAMOND)
    found = plan_session(app, TENANT, *keys)
    assert found is not None
    agents = stage.agents(stage.start(keys).session_uuid)
    assert [uuid for layer in found.layers for uuid in layer] == [
        each.agent_uuid for each in agents
    ]


def test_what_does_not_exist_has_no_dry_run(stage: Stage, app: App) -> None:
    keys = stage.define(DIAMOND)
    assert plan_session(app, TENANT, keys[0], "ghost") is None
    assert plan_session(app, TENANT, "ghost", keys[1]) is None
    assert plan_session(app, "other", *keys) is None


SETTINGS = Settings(
    openai_endpoints={
        "default": OpenAIEndpoint(base_url="http://127.0.0.1:9/v1", model="small"),
        "bare": OpenAIEndpoint(base_url="http://127.0.0.1:9/v1"),
    },
    default_runtime={"kind": "openai"},
)


def of(agents: list[dict[str, Any]], **task: Any) -> Any:
    return preview(SETTINGS, Coordination("t", "c", agents=agents), Task("c", "t", **task))


def test_a_model_is_called_by_the_name_that_its_agent_its_endpoint_or_the_default_gives() -> None:
    runtimes: list[Any] = [
        None,
        {"kind": "openai"},
        {"kind": "openai", "model": "large"},
        {"kind": "openai", "endpoint": "bare"},
        {"kind": "openai", "endpoint": "elsewhere"},
        {"kind": "function", "name": "echo", "model": "none"},
        {"kind": "http", "url": "https://agent.example/"},
    ]
    agents = [
        {"agent_uuid": str(at), **({"runtime": each} if each else {})}
        for at, each in enumerate(runtimes)
    ]
    assert of(agents).model_calls == {"small": 2, "large": 1, "bare": 1, "elsewhere": 1}


@pytest.mark.parametrize(
    ("query", "own", "missing"),
    [
        (None, None, ["{topic}"]),
        (None, '{"topic": "bees"}', []),
        ("{}", '{"topic": "bees"}', ["{topic}"]),
        ('{"topic": "ants"}', None, []),
    ],
)
def test_the_query_is_that_of_the_start_or_else_of_the_task(
    query: str | None, own: str | None, missing: list[str]
) -> None:
    coordination = Coordination("t", "c", agents=[{"agent_uuid": "a"}])
    subtasks = [{"agent_uuid": "a", "subtask_query": "About {topic}"}]
    task = Task("c", "t", subtask_queries=subtasks, initial_task_query=own)
    warnings = preview(SETTINGS, coordination, task, query).warnings
    assert [each.split()[1] for each in warnings] == missing


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"subtask_queries": [{"agent_uuid": "gone"}]}, "names the agent 'gone'"),
        ({"agent_actions": {"a": {"predecessors": ["a"]}}}, "wait for each other: a -> a"),
        (
            {"agent_actions": {"b": {"predecessors": ["a"], "join": "quorum", "quorum": 2}}},
            "2 of 1 can never be reached",
        ),
    ],
)
def test_a_task_that_cannot_be_started_is_refused_like_its_start(
    task: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadUserInput, match=message):
        of([{"agent_uuid": "a"}, {"agent_uuid": "b"}], **task)


@pytest.mark.parametrize("own", [[], [{"agent_uuid": "a"}]])
def test_a_dry_run_warns_of_a_plan_that_has_nothing_to_fall_back_on(own: list[Any]) -> None:
    agents = [{"agent_uuid": "p", "agent_type": "planning"}, {"agent_uuid": "a"}]
    task = Task("c", "t", plan=True, plan_fallback="static", subtask_queries=own)
    found = preview(Settings(), Coordination("", "c", agents=agents), task)
    assert (NO_FALLBACK in found.warnings) is not bool(own)
