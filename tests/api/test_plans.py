"""The dry run of a task over the API."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from tests.kit.api import data, error
from tests.kit.records import COORDINATION, TASK

AGENTS = [{"agentUuid": name} for name in ("list_it", "visit-1", "sumUp", "idle")]
ACTIONS = {
    "visit-1": {"predecessors": ["list_it"], "map": {"over": "list_it"}},
    "sumUp": {"predecessors": ["visit-1"], "conditions": {"visit-1": "cities"}},
}


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def keys(api: Api) -> Any:
    above = COORDINATION.put(api, {}, agents=AGENTS)
    subtasks = [{"agentUuid": "list_it", "subtaskQuery": "Cities of {country}"}]
    task = TASK.put(api, above, subtaskQueries=subtasks, agentActions=ACTIONS)
    return {name: task[name] for name in TASK.keys}


def test_a_dry_run_names_agents_by_their_uuids_byte_for_byte(api: Api, keys: Any) -> None:
    assert data(api, "planSession", **keys, taskQuery='{"country": "Peru"}') == {
        "layers": [["list_it"], ["visit-1"], ["sumUp"]],
        "width": 1,
        "criticalPath": ["list_it", "visit-1", "sumUp"],
        "agentCalls": {"list_it": 1, "visit-1": None, "sumUp": 1},
        "modelCalls": {},
        "warnings": [
            'agents[2]: the agent "sumUp" has no subtask, so it gets the query itself.',
            "agentActions.sumUp.conditions.visit-1: cities can never hold. sumUp never runs.",
            'agents[3]: the agent "idle" does not run: it has no subtask and no action, and nobody'
            " waits for it.",
        ],
        "tokens": None,
        "costMicroUsd": None,
    }


def test_what_is_wrong_with_a_query_is_told(api: Api, keys: Any) -> None:
    first, *_ = data(api, "planSession", **keys)["warnings"]
    assert first == (
        "subtaskQueries[0].subtaskQuery: {country} of agent list_it has no value: the query is not"
        " a JSON object with values, and no predecessor is called so."
    )


def test_nobody_sees_what_does_not_exist_or_belongs_to_others(api: Api, keys: Any) -> None:
    assert data(api, "planSession", **{**keys, "taskUuid": "ghost"}) is None
    assert data(api, "planSession", **{**keys, "taskUuid": "no\0id"}) is None
    assert data(api.as_tenant("stranger"), "planSession", **keys) is None


def test_a_task_that_cannot_be_started_is_an_error(api: Api, keys: Any) -> None:
    COORDINATION.put(api, {}, coordinationUuid=keys["coordinationUuid"], agents=AGENTS[1:])
    found = error(api, "planSession", **keys)
    assert found["code"] == "BAD_USER_INPUT"
    assert "names the agent 'list_it', which its coordination does not have" in found["message"]
