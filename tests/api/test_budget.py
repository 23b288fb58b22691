"""A request that uses up its budget while it is executed ends with `TOO_COMPLEX`."""

from collections.abc import Callable
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store import meter
from ai_coordination_engine.store.records import lists
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    Entity,
)
from ai_coordination_engine.store.records.session_status import status_key
from benchmarks.harness.api import Api, Calls
from tests.kit.api import data
from tests.kit.records import TASK, World

CYCLE = "sessionAgents { session { sessionAgents { session { sessionAgents { agentUuid } } } } }"
ONE = "query($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) { %s } }"
LARGE = 1_700  # two pages, whichever of two lists is read first
BIG = "x" * 100_000


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set another budget for requests."""

    def set_to(**limits: Any) -> None:
        given = real(**limits)
        monkeypatch.setattr(meter, "Budget", lambda: given)
        monkeypatch.setattr("ai_coordination_engine.api.execution.MUTATION_ANSWER", given.answer)

    real = meter.Budget
    return set_to


def session_of(api: Api, agents: int, runs: int = 0) -> dict[str, str]:
    """Create a session with so many agents and runs; return the variables of `ONE`."""
    above, session = f"c-{api.tenant}", f"s-{api.tenant}"
    put(api, COORDINATION, [(api.tenant, above, {})])
    put(api, SESSION, [(above, session, {"task_uuid": "t", "status": "completed"})])
    each = range(max(agents, runs))
    put(
        api,
        SESSION_AGENT,
        [
            (session, f"a{n:05}", {"agent_uuid": f"a{n}", "state": "completed"})
            for n in each[:agents]
        ],
    )
    put(api, SESSION_RUN, [(session, f"r{n:05}", {"agent_uuid": f"a{n}"}) for n in each[:runs]])
    return {"c": above, "s": session}


def put(api: Api, entity: Entity, rows: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Write rows in stored form: their key and further attributes."""
    table, now = api.app.records.table(entity), api.app.clock.now()
    common = {"partition_key": api.tenant, "created_at": now, "updated_at": now}
    if entity.parent is SESSION:
        common["coordination_uuid"] = f"c-{api.tenant}"
    table.put_many(
        [
            table.model(hash_value, range_value, **common, **values)
            for hash_value, range_value, values in rows
        ]
    )


def refusal(answer: dict[str, Any]) -> str:
    """Return the message of a query that was ended: it has one error and no data."""
    (error,) = answer["errors"]
    assert (answer["data"], error["extensions"], "path" in error) == (
        None,
        {"code": "TOO_COMPLEX"},
        False,
    )
    return str(error["message"])


def test_a_session_of_thousands_is_read_with_all_below_it(api: Api, calls: Calls) -> None:
    session = session_of(api, LARGE, LARGE)
    calls.taken()
    found = api.data(
        ONE % "sessionAgents { agentUuid state } sessionRuns { agentUuid }", **session
    )["session"]
    assert [each["agentUuid"] for each in found["sessionAgents"]] == [
        f"a{each}" for each in range(LARGE)
    ]
    assert len(found["sessionRuns"]) == LARGE
    assert calls.taken() == {"GetItem": 1, "Query": 4}
    message = refusal(api.send(ONE % CYCLE, **session))
    assert message.startswith(
        "the request was ended: it costs more than 150,000 units; ask for less at a time: "
    )
    # the cycle reads nothing twice
    assert calls.taken() == {"GetItem": 1, "Query": 2, "BatchGetItem": 1}


def test_a_small_cycle_is_answered_from_what_was_read(api: Api, calls: Calls) -> None:
    session = session_of(api, 3)
    calls.taken()
    found = api.data(ONE % CYCLE, **session)["session"]
    assert str(found).count("agentUuid") == 27
    assert calls.taken() == {"GetItem": 1, "Query": 1, "BatchGetItem": 1}


def test_aliases_of_a_record_read_it_and_its_blobs_once(api: Api, calls: Calls) -> None:
    world = World(api)
    data(
        api,
        "insertUpdateTask",
        coordinationUuid=world["coordinationUuid"],
        taskUuid=world["taskUuid"],
        taskName="t",
        taskDescription=BIG,
        subtaskQueries=[{"agentUuid": "a", "subtaskQuery": BIG}],
        updatedBy="ann",
    )
    read = []
    client = api.app.records.blobs._client()  # type: ignore[attr-defined]
    client.meta.events.register("before-call.s3.GetObject", lambda **_: read.append(1))
    calls.taken()
    fields = " ".join(
        f"a{each}: task(coordinationUuid: $c, taskUuid: $t) {{ taskDescription x: taskDescription"
        " subtaskQueries }"
        for each in range(40)
    )
    variables = {"c": world["coordinationUuid"], "t": world["taskUuid"]}
    found = api.data(f"query($c: String!, $t: String!) {{ {fields} }}", **variables)
    assert all(each["x"] == each["taskDescription"] == BIG for each in found.values())
    assert (calls.taken(), len(read)) == ({"GetItem": 1}, 2)
    fields = " ".join(f"a{each}: taskDescription" for each in range(210))
    source = (
        f"query($c: String!, $t: String!) {{ task(coordinationUuid: $c, taskUuid: $t) {{ {fields}"
        " } }"
    )
    assert "it answers more than 20,000,000 bytes" in refusal(api.send(source, **variables))


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"cost": 1_000}, "costs more than 1,000 units"),
        ({"read": 3_000}, "reads more than 3,000 bytes"),
        ({"answer": 1_000}, "answers more than 1,000 bytes"),
        ({"seconds": 0}, "takes more than 0 seconds"),
    ],
)
def test_a_query_ends_with_whatever_is_spent_first(
    limits: dict[str, Any], why: str, api: Api, budget: Callable[..., None]
) -> None:
    session = session_of(api, 100)
    document = ONE % "sessionAgents { agentUuid sessionUuid session { status } }"
    assert len(api.data(document, **session)["session"]["sessionAgents"]) == 100
    budget(**limits)
    assert refusal(api.send(document, **session)).startswith(
        f"the request was ended: it {why}; ask for less"
    )


WRITES = """mutation($d: String) {
  a: insertUpdateCoordination(coordinationUuid: "a", coordinationDescription: $d,
      updatedBy: "ann") {
    coordination { coordinationUuid } }
  b: insertUpdateCoordination(coordinationUuid: "b", coordinationDescription: $d,
      updatedBy: "ann") {
    coordination { coordinationUuid coordinationDescription } }
  c: insertUpdateCoordination(coordinationUuid: "c", coordinationDescription: $d,
      updatedBy: "ann") {
    coordination { coordinationUuid } } }"""


def test_a_mutation_says_what_was_carried_out(api: Api, budget: Callable[..., None]) -> None:
    budget(answer=1_000)
    answer = api.send(WRITES, d="x" * 2_000)
    assert answer["data"] == {
        "a": {"coordination": {"coordinationUuid": "a"}},
        "b": None,
        "c": None,
    }
    told = [
        (error["path"], error["extensions"]["code"], error["message"].split(":")[0])
        for error in answer["errors"]
    ]
    assert told == [
        (["b"], "TOO_COMPLEX", "this field was carried out, and only its answer is missing"),
        (["c"], "TOO_COMPLEX", "this field was not carried out"),
    ]
    written = data(api, "coordinationList", "{ coordinationList { coordinationUuid } }")[
        "coordinationList"
    ]
    assert sorted(each["coordinationUuid"] for each in written) == ["a", "b"]


def test_a_write_is_paid_for_by_its_requests_and_never_stopped(
    api: Api, budget: Callable[..., None]
) -> None:
    budget(cost=700)  # to create is two requests, 500 units
    answer = api.send(WRITES, d="x")
    assert answer["data"] == {
        "a": {"coordination": {"coordinationUuid": "a"}},
        "b": {"coordination": {"coordinationUuid": "b", "coordinationDescription": "x"}},
        "c": None,
    }
    (error,) = answer["errors"]
    assert (error["path"], error["message"].split(":")[0]) == (
        ["c"],
        "this field was not carried out",
    )


def test_what_a_write_costs_does_not_take_its_answer_away(
    api: Api, budget: Callable[..., None]
) -> None:
    world = World(api)
    task = {"coordinationUuid": world["coordinationUuid"], "taskUuid": world["taskUuid"]}
    budget(cost=400)
    document = """mutation($coordinationUuid: String!, $taskUuid: String!) {
      a: executeProcedureTaskSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid) {
        procedureTaskSession { session { status } } }
      b: executeProcedureTaskSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid) {
        procedureTaskSession { sessionUuid } } }"""
    answer = api.send(document, **task)
    assert answer["data"] == {
        "a": {"procedureTaskSession": {"session": {"status": "dispatched"}}},
        "b": None,
    }
    (error,) = answer["errors"]
    assert (error["path"], error["message"].split(":")[0]) == (
        ["b"],
        "this field was not carried out",
    )


# Lists


def blobs_of(api: Api, count: int) -> dict[str, str]:
    """Create a coordination whose tasks have large descriptions; the oldest matches the search."""
    world = World(api)
    for each in range(count):
        TASK.put(api, world, taskDescription=("needle" if each == 0 else "hay") + BIG)
    return {"coordinationUuid": world["coordinationUuid"]}


def test_a_filter_on_blobs_reads_no_more_than_the_request_may(
    api: Api, budget: Callable[..., None]
) -> None:
    where = {**blobs_of(api, 8), "taskDescription": "needle", "limit": 1}
    budget(read=800_000)
    cursor, pages, found = None, 0, []
    while pages == 0 or cursor:
        answer = api.send(FIND, **where, cursor=cursor)
        page = answer["data"]["taskList"]
        if page["nextCursor"]:
            assert answer["extensions"]["warnings"] == [EARLY]
        found += page["taskList"]
        cursor, pages = page["nextCursor"], pages + 1
    # four large texts a page are half of what a request may read
    assert (len(found), pages) == (1, 3)
    budget(read=150_000)
    assert "it reads more than 150,000 bytes" in refusal(api.send(FIND, **where))


FIND = """query($coordinationUuid: String, $taskDescription: String, $limit: Int, $cursor: String) {
  taskList(coordinationUuid: $coordinationUuid, taskDescription: $taskDescription,
      limit: $limit, cursor: $cursor) {
    taskList { taskUuid } nextCursor } }"""
EARLY = (
    "tasks: the page ends early, for many records do not pass the filters; go on with nextCursor,"
    " or narrow the filters"
)


@pytest.mark.parametrize("statuses", [None, ["failed"]])
@pytest.mark.parametrize("limit", [1, 10])
def test_a_short_page_of_all_sessions_makes_no_request_too_many(
    limit: int, statuses: list[str] | None, api: Api, calls: Calls
) -> None:
    failed = {"status": "failed", "task_uuid": "t"}
    names = [f"s{number:03}" for number in range(150)]
    put(
        api,
        SESSION,
        [
            ("c", each, {**failed, "by_status": status_key(api.tenant, each, "failed")})
            for each in names
        ],
    )
    calls.taken()
    find = (
        "query($n: Int, $s: [String]) { sessionList(limit: $n, statuses: $s) { sessionList {"
        " sessionUuid } } }"
    )
    found = api.data(find, n=limit, s=statuses)["sessionList"]["sessionList"]
    assert [each["sessionUuid"] for each in found] == [
        f"s{149 - number:03}" for number in range(limit)
    ]
    queries = 1 if statuses is None else 4  # shards
    assert calls.taken() == {"Query": queries, "BatchGetItem": 1}


def test_a_total_is_counted_without_reading_and_up_to_a_bound(
    api: Api, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(api, 120)
    find = (
        "query($s: String) { sessionAgentList(sessionUuid: $s, limit: 10, pageNumber: 2) { %s } }"
    )
    calls.taken()
    assert api.data(find % "total", s=session["s"]) == {"sessionAgentList": {"total": 120}}
    assert calls.taken() == {"Query": 3}  # one skips, one reads the page, one counts
    page = api.data(find % "sessionAgentList { agentUuid }", s=session["s"])["sessionAgentList"][
        "sessionAgentList"
    ]
    assert [each["agentUuid"] for each in page] == [f"a{each}" for each in range(10, 20)]
    monkeypatch.setattr(lists, "MAX_COUNTED", 119)
    answer = api.send(find % "total", s=session["s"])
    assert answer["data"] == {"sessionAgentList": {"total": 119}}
    told = "session agents: total is at least 119; beyond that nothing is counted"
    assert answer["extensions"]["warnings"] == [told]


def test_a_total_of_a_filtered_list_ends_where_reading_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(api, 30)
    find = """query($s: String, $n: Int) {
      sessionAgentList(sessionUuid: $s, states: ["completed"], limit: 10, pageNumber: $n) {
        total } }"""
    assert api.data(find, **session, n=2) == {"sessionAgentList": {"total": 30}}
    monkeypatch.setattr(lists, "MAX_READ", 25)
    answer = api.send(find, **session, n=2)
    assert answer["data"] == {"sessionAgentList": {"total": 25}}
    assert answer["extensions"]["warnings"] == [
        "session agents: total is at least 25; beyond that nothing is counted"
    ]
    (error,) = api.send(find, **session, n=4)["errors"]
    assert error["extensions"] == {"code": "TOO_COMPLEX"}
    assert error["message"].startswith(
        "pageNumber 4 lies beyond what is read for one page of a filtered list; go on with"
    )


COUNTS = (
    "sessionAgentList(sessionUuid: $s, limit: 1) { total }",
    "sessionAgentList(sessionUuid: $s, limit: 1, pageNumber: 300) { sessionAgentList { state } }",
    "sessionList(coordinationUuid: $c, limit: 1) { total }",
    "sessionList(coordinationUuid: $c, limit: 1, pageNumber: 300) { sessionList { status } }",
    "sessionList(limit: 1) { total }",
    "sessionList(limit: 1, pageNumber: 300) { sessionList { status } }",
)


@pytest.mark.only_on("dynamodb")  # on SQLite requests are made one after the other
def test_counts_that_are_asked_for_at_once_keep_to_one_budget(api: Api) -> None:
    """Concurrent counts charge the budget only when each has its result."""
    session = session_of(api, 300)
    put(api, SESSION, [(session["c"], f"s{n}", {"status": "completed"}) for n in range(299)])
    counted: list[int] = []

    def count(parsed: Any, **_: Any) -> None:
        counted.append(parsed["ScannedCount"])

    events = api.app.records.table(SESSION).database.client.meta.events
    events.register("after-call.dynamodb.Query", count)
    for count_one in COUNTS:
        query = count_one.replace("$c", f'"{session["c"]}"').replace("$s", f'"{session["s"]}"')
        counted.clear()
        assert api.data(f"{{ {query} }}")
        one = sum(counted)
        assert 299 <= one <= 380  # of either shard a few more than half
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ai_coordination_engine.api.crud.LIST", 0)  # paid sooner or later
            less = meter.Budget(cost=1_200 + 2 * one * meter.COUNTED)
            patch.setattr(meter, "Budget", lambda given=less: given)
            counted.clear()
            six = " ".join(f"a{n}: {query}" for n in range(6))
            assert "it costs more than" in refusal(api.send(f"{{ {six} }}"))
        assert sum(counted) < 3 * one + 20, query
    events.unregister("after-call.dynamodb.Query", count)


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
def test_the_total_of_a_long_list_in_shards_is_counted_little_further_than_it_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(api, 0)
    put(api, SESSION, [(session["c"], f"s{n}", {"status": "completed"}) for n in range(600)])
    monkeypatch.setattr(lists, "MAX_COUNTED", 200)
    counted: list[int] = []

    def count(parsed: Any, **_: Any) -> None:
        counted.append(parsed["ScannedCount"])

    events = api.app.records.table(SESSION).database.client.meta.events
    events.register("after-call.dynamodb.Query", count)
    answer = api.send(
        f'{{ sessionList(coordinationUuid: "{session["c"]}", limit: 1) {{ total }} }}'
    )
    events.unregister("after-call.dynamodb.Query", count)
    assert answer["data"] == {"sessionList": {"total": 200}}
    told = "sessions: total is at least 200; beyond that nothing is counted"
    assert answer["extensions"]["warnings"] == [told]
    assert counted == [2, 2, 129, 129]  # of either shard its half, and four standard deviations
