"""A home that needs no network reads by key in the event loop, without a thread."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from inspect import isawaitable
from pathlib import Path

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.record_loaders import READ_IN_LOOP
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION
from benchmarks.harness.api import Api

NEW = """mutation { insertUpdateCoordination(coordinationName: "c", updatedBy: "t") {
  coordination { coordinationUuid } } }"""
ONE = "query($c: String!) { coordination(coordinationUuid: $c) { coordinationName } }"


@pytest.fixture
def local_app(settings: Settings, tmp_path: Path) -> Iterator[App]:
    with closing(DatabaseFile(tmp_path / "ace.db", "none")) as file:
        yield local_bootstrap.build_local_app(settings, file)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The functions that ran in a thread."""
    ran: list[object] = []
    to_thread = asyncio.to_thread

    async def counted(function: object, *args: object, **kwargs: object) -> object:
        ran.append(function)
        return await to_thread(function, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "to_thread", counted)
    return ran


def test_get_by_key_needs_no_thread(local_app: App, threads: list[object]) -> None:
    with asyncio.Runner() as runner:
        api = Api(local_app, runner)
        made = api.data(NEW)["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
        threads.clear()

        assert api.data(ONE, c=made) == {"coordination": {"coordinationName": "c"}}
        assert api.data(ONE, c=str(new_uuid(local_app.clock.now()))) == {"coordination": None}
    assert threads == []


@pytest.mark.only_on("dynamodb")  # SQLite is read without a thread
def test_get_by_key_over_a_network_uses_a_thread(api: Api, threads: list[object]) -> None:
    made = api.data(NEW)["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    threads.clear()

    assert api.data(ONE, c=made) == {"coordination": {"coordinationName": "c"}}
    assert len(threads) == 1


def test_many_reads_of_a_request_leave_the_loop(local_app: App) -> None:
    async def read() -> tuple[list[bool], list[object]]:
        loader = Context(local_app, "acme").loaders.of(SESSION)
        found = [loader.one(("c", f"s{number}")) for number in range(READ_IN_LOOP + 2)]
        again = loader.one(("c", "s0"))
        waits = [isawaitable(each) for each in (*found, again)]
        return waits, [await each if isawaitable(each) else each for each in found]

    waits, records = asyncio.run(read())
    assert waits == [*[False] * READ_IN_LOOP, True, True, False]
    assert records == [None] * (READ_IN_LOOP + 2)


def test_record_of_another_tenant_is_not_found_in_the_loop(local_app: App) -> None:
    with asyncio.Runner() as runner:
        api = Api(local_app, runner)
        made = api.data(NEW)["insertUpdateCoordination"]["coordination"]["coordinationUuid"]

        assert api.as_tenant("other").data(ONE, c=made) == {"coordination": None}
        assert local_app.records.get(COORDINATION, "other", ("acme", made)) is None
