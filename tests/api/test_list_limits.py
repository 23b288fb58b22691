"""A list refuses limits, pages, cursors and filter values that are out of range."""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.records import lists
from benchmarks.harness.api import Api
from tests.kit.api import code, data, error
from tests.kit.records import CASES, COORDINATION, SESSION, SESSION_AGENT, TASK, Case

every_record = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@every_record
@pytest.mark.parametrize("limit", [0, -1, 1001, 10**9, -(2**31), 10**12])
def test_a_limit_out_of_range_is_refused(case: Case, limit: int, api: Api) -> None:
    assert code(api, f"{case.name}List", limit=limit) == "BAD_USER_INPUT"


@every_record
@pytest.mark.parametrize("number", [0, -1, 10**9, 2**31 - 1, 10**12])
def test_a_page_number_out_of_range_is_refused(case: Case, number: int, api: Api) -> None:
    assert code(api, f"{case.name}List", pageNumber=number) == "BAD_USER_INPUT"


def test_the_limits_are_said(api: Api) -> None:
    assert error(api, "taskList", limit=0)["message"] == "limit must be from 1 to 1000."
    assert error(api, "taskList", pageNumber=0)["message"] == "pageNumber starts at 1."
    far = "pageNumber reaches beyond 10000 records; go on with nextCursor instead."
    assert error(api, "taskList", pageNumber=202)["message"] == far
    assert data(api, "taskList", pageNumber=201)["taskList"] == []


@every_record
@pytest.mark.parametrize("cursor", ["x", "%%%", "null", "WyJhIl0", "é", "A" * 5_000_000])
def test_a_damaged_cursor_is_refused(case: Case, cursor: str, api: Api) -> None:
    assert code(api, f"{case.name}List", cursor=cursor) == "BAD_USER_INPUT"


def test_a_cursor_serves_its_own_query_only(api: Api) -> None:
    parent = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    for _ in range(7):
        TASK.put(api, parent)
    cursor = data(api, "taskList", **parent, limit=2)["nextCursor"]
    assert len(data(api, "taskList", **parent, limit=5, cursor=cursor)["taskList"]) == 5
    for other, field, arguments in (
        (api, "taskList", {}),
        (api, "taskList", {**parent, "taskName": "t"}),
        (api, "sessionList", parent),
        (api, "coordinationList", {}),
        (api.as_tenant("somebody else"), "taskList", parent),
    ):
        refused = error(other, field, **arguments, cursor=cursor)
        assert refused["message"] == "cursor belongs to another query; start again without it."
        assert refused["code"] == "BAD_USER_INPUT"
    assert code(api, "taskList", **parent, cursor=cursor, pageNumber=2) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("field", "name"),
    [("sessionList", "statuses"), ("taskScheduleList", "statuses"), ("sessionAgentList", "states")],
)
@pytest.mark.parametrize("word", ["nobody", "", None, "Active", "active "])
def test_an_unknown_status_in_a_filter_is_refused(
    field: str, name: str, word: str | None, api: Api
) -> None:
    assert code(api, field, **{name: ["initial", word]}) == "BAD_USER_INPUT"


def test_a_page_that_would_cost_too_much_ends_early_and_goes_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_READ", 4)
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    made = [SESSION.put(api, above, userId="ann" if each == 0 else "bob") for each in range(6)]
    query = """query($c: String, $cursor: String) {
      sessionList(coordinationUuid: $c, userId: "ann", cursor: $cursor) { sessionList {
          sessionUuid } nextCursor } }"""
    first = api.data(query, c=above["coordinationUuid"])["sessionList"]
    assert first["sessionList"] == []
    second = api.data(query, c=above["coordinationUuid"], cursor=first["nextCursor"])["sessionList"]
    assert second == {"sessionList": [{"sessionUuid": made[0]["sessionUuid"]}], "nextCursor": None}


def test_a_walk_through_sessions_ends_early_and_goes_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_READ", 4)
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    made = []
    for each in range(5):
        session = SESSION.put(api, above)
        keys = {**above, "sessionUuid": session["sessionUuid"]}
        made.append(SESSION_AGENT.put(api, keys, notes=str(each))["sessionAgentUuid"])
    query = """query($c: String, $cursor: String) {
      sessionAgentList(coordinationUuid: $c, cursor: $cursor) {
        sessionAgentList { sessionAgentUuid } nextCursor } }"""
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = api.data(query, c=above["coordinationUuid"], cursor=cursor)["sessionAgentList"]
        found += [each["sessionAgentUuid"] for each in page["sessionAgentList"]]
        cursor, pages = page["nextCursor"], pages + 1
    assert found == made[::-1]
    assert pages == 3
