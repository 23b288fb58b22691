"""Concurrent and repeated calls: one record, one session, and a coded error for all others."""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api, Worker
from tests.kit.api import code, data, send
from tests.kit.records import COORDINATION, SESSION, TASK, World, items, valid


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


@pytest.fixture
def apis(app: App, tenant: str) -> Iterator[list[Api]]:
    with (
        asyncio.Runner() as one,
        asyncio.Runner() as two,
        asyncio.Runner() as three,
        asyncio.Runner() as four,
    ):
        yield [Api(app, runner, tenant) for runner in (one, two, three, four)]


def at_once(apis: list[Api], send_one: Callable[[Api, int], Any]) -> list[Any]:
    barrier = Barrier(len(apis))

    def run(number: int) -> Any:
        barrier.wait()
        return send_one(apis[number], number)

    with ThreadPoolExecutor(len(apis)) as pool:
        return list(pool.map(run, range(len(apis))))


@pytest.mark.parametrize("case", [COORDINATION, TASK, SESSION], ids=lambda case: case.name)
def test_writers_of_one_new_record_make_one_record(
    case: Any, api: Api, apis: list[Api], world: World
) -> None:
    arguments = {**valid(f"insertUpdate{case.title}", world), case.uuid: "new"}
    answers = at_once(apis, lambda one, number: send(one, f"insertUpdate{case.title}", **arguments))
    codes = [
        answered["errors"][0]["extensions"]["code"] for answered in answers if "errors" in answered
    ]
    assert set(codes) <= {"CONFLICT"}
    assert len(codes) < len(apis)
    parents = {name: world[name] for name in case.parents}
    assert [each[case.uuid] for each in case.list(api, **parents)].count("new") == 1


def test_writers_of_one_record_all_succeed_and_one_is_the_last(
    api: Api, apis: list[Api], world: World
) -> None:
    keys = {"coordinationUuid": world["coordinationUuid"], "sessionUuid": world["sessionUuid"]}
    at_once(
        apis,
        lambda one, number: data(
            one, "insertUpdateSession", **keys, updatedBy=f"w{number}", userId=f"w{number}"
        ),
    )
    session = SESSION.get(api, world)
    assert session["updatedBy"] == session["userId"]
    assert session["taskQuery"] == "q"


@pytest.fixture
def start(world: World) -> dict[str, Any]:
    return {
        "coordinationUuid": world["coordinationUuid"],
        "taskUuid": world["taskUuid"],
        "sessionUuid": "chosen",
        "taskQuery": "go",
    }


def whole(api: Api, start: dict[str, Any]) -> Any:
    selection = "{ status sessionAgents { agentUuid state agentOutput } sessionRuns { agentUuid } }"
    keys = {name: start[name] for name in ("coordinationUuid", "sessionUuid")}
    return data(api, "session", selection, **keys)


COMPLETED = {
    "status": "completed",
    "sessionAgents": [
        {"agentUuid": "a", "state": "completed", "agentOutput": "s"},
        {"agentUuid": "b", "state": "completed", "agentOutput": "Output of a:\ns\n\ngo"},
    ],
    "sessionRuns": [{"agentUuid": "a"}, {"agentUuid": "b"}],
}


def but_watch(item: str) -> str:
    """Return an item without the time of its next sweep and its confirmation.

    A repeated start sets both, because it completes what the first one may have left undone.
    """
    return re.sub(r"'(watch_at|unconfirmed)': {'[NS]': '[^']+'}(, )?", "", item)


def test_a_start_sent_twice_starts_one_session(
    api: Api, app: App, start: dict[str, Any], worker: Worker
) -> None:
    first = data(api, "executeProcedureTaskSession", **start)
    before = {name: list(map(but_watch, rows)) for name, rows in items(app).items()}
    assert data(api, "executeProcedureTaskSession", **start) == first
    assert {name: list(map(but_watch, rows)) for name, rows in items(app).items()} == before
    worker.drain()
    assert whole(api, start) == COMPLETED
    done = items(app)
    assert data(api, "executeProcedureTaskSession", **start) == first
    worker.drain()
    assert items(app) == done


def test_starts_sent_at_once_start_one_session(
    api: Api, apis: list[Api], start: dict[str, Any], worker: Worker
) -> None:
    answers = at_once(apis, lambda one, number: send(one, "executeProcedureTaskSession", **start))
    codes = [
        answered["errors"][0]["extensions"]["code"] for answered in answers if "errors" in answered
    ]
    assert codes == []
    worker.drain()
    assert whole(api, start) == COMPLETED


@pytest.mark.parametrize("name", ["taskQuery", "userId", "inputFiles", "taskUuid"])
def test_another_start_under_the_same_uuid_is_a_conflict(
    name: str, api: Api, app: App, start: dict[str, Any], world: World
) -> None:
    data(api, "executeProcedureTaskSession", **start)
    other = {
        "taskQuery": "x",
        "userId": "x",
        "inputFiles": ["x"],
        "taskUuid": TASK.put(api, world)["taskUuid"],
    }
    before = items(app)
    assert code(api, "executeProcedureTaskSession", **{**start, name: other[name]}) == "CONFLICT"
    assert items(app) == before


def test_a_start_under_the_uuid_of_a_session_that_a_client_made_is_a_conflict(
    api: Api, app: App, start: dict[str, Any], world: World
) -> None:
    before = items(app)
    taken = {**start, "sessionUuid": world["sessionUuid"]}
    assert code(api, "executeProcedureTaskSession", **taken) == "CONFLICT"
    assert items(app) == before
