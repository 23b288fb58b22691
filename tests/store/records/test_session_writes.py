"""What a session writes where other sessions are written too, and what its row leaves to its first
agent to say.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store import meter as metering
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import lists
from ai_coordination_engine.store.records.entities import COORDINATION as COORDINATIONS
from ai_coordination_engine.store.records.entities import SESSION as SESSIONS
from ai_coordination_engine.store.records.lists import read_page
from benchmarks import sessions
from benchmarks.backends import FUNCTIONS
from benchmarks.harness.api import Api, Calls, Worker
from benchmarks.meter import Meter
from tests.kit.api import data
from tests.kit.controls import cancel, pause, resume, retry
from tests.kit.dynamodb_local import Store
from tests.kit.records import COORDINATION, SESSION
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def settings() -> Settings:
    return Settings(auth="local", functions=FUNCTIONS)


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
@pytest.mark.parametrize(
    ("graph", "ends"),
    [
        ({"a": [], "b": ["a"], "c": ["b"]}, 1),
        (sessions.diamond(), 1),
        ({"a": [], "b": [], "c": []}, 3 + 1),
    ],
    ids=["chain", "diamond", "three sinks"],
)
def test_a_sessions_own_row_is_written_when_it_starts_and_when_it_ends(
    app: App, api: Api, worker: Worker, graph: dict[str, list[str]], ends: int
) -> None:
    plan, meter = sessions.Plan.of(api, graph), Meter(app)
    plan.start()
    started = meter.taken().written
    worker.drain()
    ended = meter.taken().written
    # reserved; each of several sinks, the end
    assert (started["sessions"], ended["sessions"]) == (1, ends)
    whole = started + ended
    assert {name: count for name, count in whole.items() if "/" in name} == {
        "sessions/by_tenant": 1,
        "sessions/by_status": 2,
        "sessions/to_watch": 2,
    }


def test_a_list_of_the_few_that_failed_does_not_read_the_many_that_completed(
    api: Api, calls: Calls
) -> None:
    made = [{"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]} for _ in range(2)]
    failed: dict[str, list[str]] = {each["coordinationUuid"]: [] for each in made}
    for number in range(60):
        status = "failed" if number % 6 == 0 else "completed"
        session = SESSION.put(api, made[number % 4 // 2], status=status)
        if status == "failed":
            failed[session["coordinationUuid"]].insert(0, session["sessionUuid"])
    everywhere = sorted(
        [*failed[made[0]["coordinationUuid"]], *failed[made[1]["coordinationUuid"]]], reverse=True
    )
    calls.taken()
    assert listed(api, statuses=["failed"]) == everywhere
    assert calls.taken() == {"Query": 4, "BatchGetItem": 1}  # the shards of the index, and ten rows
    for each in made:
        assert (
            listed(api, statuses=["failed", "paused"], **each) == failed[each["coordinationUuid"]]
        )
    pages, cursor = [], None
    while cursor or not pages:
        found = data(
            api,
            "sessionList",
            "{ sessionList { sessionUuid } nextCursor total }",
            statuses=["failed"],
            limit=3,
            cursor=cursor,
        )
        pages.append([each["sessionUuid"] for each in found["sessionList"]])
        cursor = found["nextCursor"]
        assert found["total"] == 10
    assert [len(each) for each in pages] == [3, 3, 3, 1]
    assert [each for page in pages for each in page] == everywhere


def test_a_list_of_one_coordination_by_status_does_not_read_past_the_many_of_others(
    api: Api, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_READ", 20)
    few, many = (
        {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]} for _ in range(2)
    )
    sessions = [
        SESSION.put(api, few, status=status) for status in ("failed", "completed", "failed")
    ]
    for _ in range(30):
        SESSION.put(api, many, status="failed")
    calls.taken()
    page = data(
        api,
        "sessionList",
        "{ sessionList { sessionUuid } nextCursor total }",
        statuses=["failed"],
        **few,
    )
    assert page == {
        "sessionList": [{"sessionUuid": sessions[number]["sessionUuid"]} for number in (2, 0)],
        "nextCursor": None,
        "total": 2,
    }
    assert calls.taken() == {"Query": 2}


@pytest.mark.parametrize("grows", [False, True])
def test_a_list_by_status_goes_on_whether_its_coordination_is_short_or_not(
    api: Api, monkeypatch: pytest.MonkeyPatch, grows: bool
) -> None:
    made = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    sessions = [SESSION.put(api, made, status="failed")["sessionUuid"] for _ in range(7)]
    found, cursor = [], None
    while cursor or not found:
        page = data(
            api,
            "sessionList",
            "{ sessionList { sessionUuid } nextCursor }",
            statuses=["failed"],
            limit=2,
            cursor=cursor,
            **made,
        )
        found += [each["sessionUuid"] for each in page["sessionList"]]
        cursor = page["nextCursor"]
        if grows:  # its rows are more than one request reads from now on
            monkeypatch.setattr(metering, "MAX_PAGE", 1)
    assert found == sessions[::-1]


def listed(api: Api, **arguments: Any) -> list[str]:
    rows = data(api, "sessionList", "{ sessionList { sessionUuid } }", **arguments)["sessionList"]
    return [each["sessionUuid"] for each in rows]


def test_lists_over_indexes_of_keys_are_paged_and_counted(store: Store) -> None:
    records, tenant = store.records, f"tenant {uuid4()}"
    records.create(COORDINATIONS, tenant, (tenant, "c"), lambda parent, new: {}, parent_key=None)
    for number in range(9):
        status = {"status": "failed" if number % 2 else "completed"}
        key = ("c", f"s{number}")
        records.create(
            SESSIONS,
            tenant,
            key,
            lambda parent, new, status=status: status,
            parent_key=(tenant, "c"),
        )  # type: ignore[misc]
    pages: list[list[str]] = []
    cursor = None
    while cursor or not pages:
        page = read_page(
            records,
            SESSIONS,
            tenant,
            {"statuses": ["failed"]},
            limit=3,
            cursor=cursor,
            with_total=True,
        )
        pages.append([each.session_uuid for each in page.records])
        cursor = page.next_cursor
        assert page.total == 4
    assert pages == [["s7", "s5", "s3"], ["s1"]]
    second = read_page(records, SESSIONS, tenant, {}, limit=5, page_number=2, with_total=True)
    assert ([each.session_uuid for each in second.records], second.total) == (
        ["s3", "s2", "s1", "s0"],
        9,
    )


def test_whatever_changes_a_status_changes_where_the_session_is_listed(
    stage: Stage, client: Api
) -> None:
    plan = stage.define({"a": "", "b": "a"}, actions={"b": {"user_in_the_loop": "ann"}})
    session = stage.start(plan)
    controls: list[tuple[str, Callable[[], object], str]] = [
        ("start", lambda: None, "dispatched"),
        ("pause", lambda: pause(stage, session), "paused"),
        ("resume", lambda: resume(stage, session), "dispatched"),
        ("run", stage.drain, "in_progress"),
        ("pause again", lambda: pause(stage, session), "paused"),
        ("resume again", lambda: resume(stage, session), "in_progress"),
        ("cancel", lambda: cancel(stage, session), "cancelled"),
        ("retry", lambda: retry(stage, session), "in_progress"),
        (
            "by hand",
            lambda: SESSION.put(client, key_of(session), status="timeout", **uuid_of(session)),
            "timeout",
        ),
    ]
    for what, act, status in controls:
        act()
        assert seen(client, session) == (status, [status]), what


def key_of(session: Session) -> dict[str, str]:
    return {"coordinationUuid": session.coordination_uuid}


def uuid_of(session: Session) -> dict[str, str]:
    return {"sessionUuid": session.session_uuid}


def seen(client: Api, session: Session) -> tuple[Any, list[str]]:
    """The session's status, and the statuses under which it is listed."""
    key = {"coordinationUuid": session.coordination_uuid}
    status = data(client, "session", "{ status }", **key, sessionUuid=session.session_uuid)[
        "status"
    ]
    every = ["dispatched", "in_progress", "paused", "completed", "failed", "cancelled", "timeout"]
    listed = [
        each
        for each in every
        if data(client, "sessionList", "{ total }", **key, statuses=[each])["total"]
    ]
    return status, listed


def test_a_session_is_in_progress_once_its_first_agent_has_begun(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    assert seen(client, session) == ("dispatched", ["dispatched"])
    while seen(client, session)[0] != "completed":
        message = stage.queue.receive()
        # no time for a second agent
        run_step(stage.app, message.wake, deadline=stage.clock.now().timestamp())
        stage.queue.delete(message)
        if not stage.queue.waiting:
            break
        assert seen(client, session) == ("in_progress", ["in_progress"])
    assert seen(client, session) == ("completed", ["completed"])
