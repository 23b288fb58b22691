"""What sessions, coordinations and days cost, over GraphQL."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from benchmarks.harness.api import Api
from tests.kit.api import data, error
from tests.kit.stage import Stage, stage_of

COST = "{ microUsd inputTokens outputTokens unpricedRuns }"
ROW = "{ day coordinationUuid agentUuid model microUsd inputTokens runs failedRuns unpricedRuns }"
LIST = f"{{ usageByDayList {ROW} nextCursor }}"
USED = {"input_tokens": 10, "output_tokens": 5, "model": "gpt-4o-mini", "provider": "openai"}
DAY = "2026-11-02"  # of the stage's clock
WHOLE = {"from": f"{DAY}T00:00:00Z", "to": f"{DAY}T23:59:59Z"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, "acme")


def cost(micro_usd: int | None, runs: int, unpriced: int = 0) -> dict[str, Any]:
    return {
        "microUsd": micro_usd,
        "inputTokens": 10 * runs,
        "outputTokens": 5 * runs,
        "unpricedRuns": unpriced,
    }


def of_session(client: Api, session: Any) -> Any:
    key = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    return data(client, "session", f"{{ cost {COST} }}", **key)["cost"]


def of_coordination(client: Api, uuid: str, since: str = "") -> Any:
    field = f'cost(since: "{since}")' if since else "cost"
    return data(client, "coordination", f"{{ {field} {COST} }}", coordinationUuid=uuid)["cost"]


def used(stage: Stage, names: Any, usage: Any = None) -> Any:
    """A session that has ended; its agents used this."""
    agents = {each: lambda _: AgentResult("fine", usage or USED) for each in "ab"}
    stage.runtime.behaviours |= agents
    session = stage.start(names)
    stage.drain()
    return session


def test_a_session_says_what_it_costs_while_it_runs_and_when_it_has_ended(
    stage: Stage, client: Api
) -> None:
    seen = []

    def looks(request: AgentRequest) -> AgentResult:
        seen.append(of_session(client, session))
        return AgentResult("fine", {**USED, "model": "nobody's"})

    stage.runtime.behaviours |= {"a": lambda _: AgentResult("fine", USED), "b": looks}
    session = stage.start(stage.define({"a": "", "b": "a"}))
    assert of_session(client, session) == cost(0, 0)
    stage.drain()
    assert seen == [cost(5, 1)]
    assert of_session(client, session) == cost(5, 2, unpriced=1)


def test_what_has_no_price_costs_null(stage: Stage, client: Api) -> None:
    session = used(stage, stage.define({"a": ""}), {**USED, "provider": "127.0.0.1"})
    assert of_session(client, session) == cost(None, 1, unpriced=1)


def test_an_attempt_that_failed_says_what_it_cost(stage: Stage, client: Api) -> None:
    def fails(request: AgentRequest) -> AgentResult:
        raise AgentFailure("no", usage={**USED, "cachedTokens": 4})

    stage.runtime.behaviours["a"] = fails
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    shown = "status costMicroUsd priceVersion cachedTokens provider model totalTokens"
    key = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    (run,) = data(client, "session", f"{{ sessionRuns {{ {shown} }} }}", **key)["sessionRuns"]
    assert run.pop("priceVersion").startswith("genai-prices ")
    assert run == {
        "status": "failed",
        "costMicroUsd": 4,  # 6 x 0.15 + 4 x 0.075 + 5 x 0.6 = 4.2
        "cachedTokens": 4,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "totalTokens": 15,
    }


def test_a_cost_that_is_no_int_is_in_the_details(stage: Stage, client: Api) -> None:
    usage = {**USED, "input_tokens": 2**31 - 1, "output_tokens": 2**31 - 1, "model": "gpt-4"}
    session = used(stage, stage.define({"a": ""}), usage)
    key = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    shown = "sessionRuns { costMicroUsd asyncTask } cost { microUsd }"
    found = data(client, "session", f"{{ {shown} }}", **key)
    (run,) = found["sessionRuns"]
    assert run["costMicroUsd"] is None
    assert run["asyncTask"]["costMicroUsd"] == found["cost"]["microUsd"] > 2**37


def test_a_coordination_says_what_it_costs_since_a_day(stage: Stage, client: Api) -> None:
    names = stage.define({"a": "", "b": "a"})
    used(stage, names)
    stage.clock.advance(86_400)
    used(stage, names)
    assert of_coordination(client, names[0]) == cost(20, 4)
    assert of_coordination(client, names[0], f"{DAY}T23:00:00Z") == cost(20, 4)
    assert of_coordination(client, names[0], "2026-11-03T00:00:00Z") == cost(10, 2)
    assert of_coordination(client, names[0], "2026-11-04T01:00:00+02:00") == cost(10, 2)
    assert of_coordination(client, names[0], "2026-11-04T00:00:00Z") == cost(0, 0)


def test_usage_is_told_by_day_agent_and_model(stage: Stage, client: Api) -> None:
    names, others = stage.define({"a": "", "b": "a"}), stage.define({"a": ""})
    used(stage, names)
    used(stage, others, {**USED, "model": "nobody's"})
    stage.clock.advance(86_400)
    used(stage, names)
    rows = data(client, "usageByDay", LIST, **{**WHOLE, "to": "2026-11-03T00:00:00Z"})
    told = {
        (each["day"], each["coordinationUuid"], each["agentUuid"], each["model"], each["microUsd"])
        for each in rows["usageByDayList"]
    }
    assert told == {
        (DAY, names[0], "a", "gpt-4o-mini", 5),
        (DAY, names[0], "b", "gpt-4o-mini", 5),
        (DAY, others[0], "a", "nobody's", None),
        ("2026-11-03", names[0], "a", "gpt-4o-mini", 5),
        ("2026-11-03", names[0], "b", "gpt-4o-mini", 5),
    }
    assert rows["nextCursor"] is None
    for given, count in (
        ({"coordinationUuid": others[0]}, 1),
        ({"agentUuid": "a"}, 2),
        ({"model": "gpt-4o-mini"}, 2),
        ({"model": "gpt-4o-mini", "agentUuid": "a", "coordinationUuid": others[0]}, 0),
        ({"coordinationUuid": "nobody"}, 0),
    ):
        assert len(data(client, "usageByDay", LIST, **WHOLE, **given)["usageByDayList"]) == count


def test_pages_of_usage_follow_one_another(stage: Stage, client: Api) -> None:
    work = [stage.define({"a": "", "b": "a"}) for _ in range(3)]
    for day in range(2):
        for each in work:
            used(stage, each)
        stage.clock.advance(86_400 * (1 - day))
    asked = {**WHOLE, "to": "2026-11-04T00:00:00Z", "limit": 5}
    found, cursor, sizes = [], None, []
    while cursor is not None or not sizes:
        page = data(client, "usageByDay", LIST, **asked, cursor=cursor)
        cursor = page["nextCursor"]
        sizes.append(len(page["usageByDayList"]))
        found += [tuple(each.values()) for each in page["usageByDayList"]]
    assert (sizes, len(set(found))) == ([5, 5, 2], 12)
    assert [each[0] for each in found] == [DAY] * 6 + ["2026-11-03"] * 6
    first = data(client, "usageByDay", LIST, **asked)["nextCursor"]
    other = error(client, "usageByDay", **{**asked, "to": WHOLE["to"]}, cursor=first)
    assert other["message"] == "cursor belongs to another query; start again without it."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "2026-11-01T00:00:00Z"}, "to is before from."),
        ({"to": "2027-11-03T00:00:00Z"}, "from and to are more than 366 days apart."),
        ({"limit": 0}, "limit must be from 1 to 1000."),
        ({"limit": 1_001}, "limit must be from 1 to 1000."),
        ({"cursor": "?"}, "cursor is damaged; pass on nextCursor as it came."),
    ],
)
def test_days_that_cannot_be_told_are_bad_input(client: Api, given: Any, message: str) -> None:
    found = error(client, "usageByDay", **{**WHOLE, **given})
    assert found == {"code": "BAD_USER_INPUT", "message": message}


def test_another_tenant_sees_nothing_of_it(stage: Stage, client: Api, api: Api) -> None:
    names = stage.define({"a": ""})
    used(stage, names)
    other = Api(stage.app, api._runner, "other")
    assert data(other, "usageByDay", LIST, **WHOLE)["usageByDayList"] == []
    assert len(data(client, "usageByDay", LIST, **WHOLE)["usageByDayList"]) == 1


def test_a_dry_run_says_what_the_same_agents_used_before(stage: Stage, client: Api) -> None:
    names = stage.define({"a": "", "b": "a"})
    used(stage, names)
    asked = {"coordinationUuid": names[0], "taskUuid": names[1]}
    told = data(client, "planSession", "{ tokens costMicroUsd warnings }", **asked)
    assert (told["tokens"], told["costMicroUsd"]) == (
        {"low": 30, "expected": 30, "high": 30},
        {"low": 10, "expected": 10, "high": 10},
    )
    stage.requests.clear()
    data(client, "planSession", "{ width }", **asked)
    assert stage.requests["Query"] + stage.requests["query"] == 0
