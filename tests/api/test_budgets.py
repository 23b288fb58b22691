"""The budgets of tasks and coordinations over GraphQL, and of tenants in the settings."""

from typing import Any

import pytest

from ai_coordination_engine import assembly
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api
from tests.kit.api import data, error
from tests.kit.records import COORDINATION, TASK

WRONG = [
    (5, "budget: must be an object."),
    ({}, "budget: needs microUsd, tokens or both."),
    ({"tokens": -1}, "budget.tokens: must be greater than or equal to 0."),
    ({"microUsd": "5"}, "budget.microUsd: must be a whole number."),
    ({"tokens": 1.5}, "budget.tokens: must be a whole number."),
    ({"tokens": 2**53 + 1}, f"budget.tokens: must be less than or equal to {2**53}."),
    (
        {"tokens": 1, "onExceeded": "stop"},
        "budget.onExceeded: must be 'fail', 'pause' or 'fallback'.",
    ),
    ({"tokens": 1, "per": "week"}, "budget.per: must be 'session', 'day' or 'total'."),
]
NO_FALLBACK = (
    "budget.onExceeded: fallback needs an agent with a `fallback` in agentActions; else it takes"
    " fail or pause."
)


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def above(api: Api) -> Any:
    return COORDINATION.put(api, {}, agents=[{"agentUuid": "a"}, {"agentUuid": "f"}])


def task(above: Any, **given: Any) -> dict[str, Any]:
    uuid = above["coordinationUuid"]
    return {"coordinationUuid": uuid, "taskName": "t", "updatedBy": "me", **given}


@pytest.mark.parametrize(("budget", "message"), WRONG)
def test_a_wrong_budget_is_refused_and_nothing_is_written(
    api: Api, above: Any, budget: Any, message: str
) -> None:
    refused = error(api, "insertUpdateTask", **task(above, budget=budget))
    assert (refused["code"], refused["message"]) == ("BAD_USER_INPUT", message)
    given = {"coordinationUuid": above["coordinationUuid"], "updatedBy": "me", "budget": budget}
    assert error(api, "insertUpdateCoordination", **given)["message"] == message
    assert COORDINATION.get(api, above)["budget"] is None


def test_a_fallback_needs_an_agent_that_has_one(api: Api, above: Any) -> None:
    budget = {"tokens": 1, "onExceeded": "fallback"}
    assert error(api, "insertUpdateTask", **task(above, budget=budget))["message"] == NO_FALLBACK
    made = TASK.put(api, above, agentActions={"a": {"fallback": "f"}})
    changed = data(api, "insertUpdateTask", **task(above, budget=budget, taskUuid=made["taskUuid"]))
    assert changed["task"]["budget"] == budget


def test_a_budget_comes_back_as_it_was_given_and_null_removes_it(api: Api, above: Any) -> None:
    budget = {"microUsd": 2**53, "tokens": 0, "onExceeded": "pause", "per": "total"}
    made = TASK.put(api, above, budget=budget)
    assert TASK.get(api, made)["budget"] == budget
    data(api, "insertUpdateTask", **task(above, budget=None, taskUuid=made["taskUuid"]))
    assert TASK.get(api, made)["budget"] is None


def test_a_session_shows_its_budgets(api: Api, above: Any) -> None:
    made = TASK.put(api, above, budget={"tokens": 9})
    key = {"coordinationUuid": above["coordinationUuid"]}
    started = data(
        api,
        "executeProcedureTaskSession",
        "{ procedureTaskSession { session { budgets { scope per onExceeded limitMicroUsd"
        " limitTokens spentMicroUsd spentTokens reservedMicroUsd reservedTokens } } } }",
        **key,
        taskUuid=made["taskUuid"],
        taskQuery="q",
    )
    assert started["procedureTaskSession"]["session"]["budgets"] == [
        {
            "scope": "task",
            "per": "session",
            "onExceeded": "fail",
            "limitMicroUsd": None,
            "limitTokens": 9.0,
            "spentMicroUsd": 0.0,
            "spentTokens": 0.0,
            "reservedMicroUsd": 0.0,
            "reservedTokens": 0.0,
        }
    ]


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"tokens": -1}, "ACE_BUDGETS.acme.tokens: must be greater than or equal to 0."),
        ({}, "ACE_BUDGETS.acme: needs microUsd, tokens or both."),
        ({"tokens": 1, "per": "total"}, "ACE_BUDGETS.acme.per: must be 'day'."),
        (
            {"tokens": 1, "onExceed": "pause"},
            'ACE_BUDGETS.acme: the key "onExceed" is unknown; did you mean "onExceeded"?',
        ),
    ],
)
def test_a_wrong_budget_of_a_tenant_stops_the_start(budget: Any, message: str) -> None:
    with pytest.raises(BadUserInput) as raised:
        assembly.check_budgets(Settings(budgets={"acme": budget}))
    assert raised.value.message == message
