"""The client against a real server on loopback."""

import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_coordination_engine.client import (
    AgentKey,
    AsyncClient,
    Client,
    Conflict,
    NotFound,
    Retries,
    SessionKey,
    SessionView,
    operations,
)
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings

TENANT = "acme"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        yield running.page


def save(client: Client) -> None:
    client.send(
        operations.insert_update_coordination(
            coordination_uuid="c",
            agents=[{"agentUuid": "a"}, {"agentUuid": "b"}],
            updated_by="me",
        )
    )
    client.send(
        operations.insert_update_task(
            coordination_uuid="c",
            task_uuid="t",
            task_name="T",
            agent_actions={"b": {"predecessors": ["a"], "userInTheLoop": "ann"}},
            updated_by="me",
        )
    )


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A client of a tenant with a task `t`: `a`, then `b`, for which ann answers."""
    with Client(url, tenant=TENANT) as client:
        save(client)
        yield client


def test_a_session_is_started_watched_answered_and_waited_for(client: Client) -> None:
    started = client.start("c", "t", "go")
    seen = []
    for view in client.watch("c", started.session_uuid):
        seen.append([each.state for each in view.session_agents])
        if view.waiting:
            (question,) = (
                each for each in client.inbox("ann") if each.session_uuid == view.session_uuid
            )
            assert question.agent_input == "Output of a:\ngo\n\ngo"
            client.answer(question, "yes")
    assert seen[-1] == ["completed", "completed"]
    assert ["completed", "wait_for_user_input"] in seen
    ended = client.wait("c", started.session_uuid, timeout=10)
    output = ended.session_agents[1].agent_output
    assert (ended.status, output) == (
        "completed",
        "Output of a:\ngo\n\ngo\n\nAnswer of the user:\nyes",
    )


async def test_the_same_with_async(url: str, client: Client) -> None:
    async with AsyncClient(url, tenant=TENANT) as same:
        started = await same.start("c", "t", "go")
        async for view in same.watch("c", started.session_uuid):
            for question in view.waiting:
                await same.answer(question, "yes")
        ended = await same.wait("c", started.session_uuid, timeout=10)
    assert ended == client.session("c", started.session_uuid)
    assert ended.status == "completed"


@pytest.mark.parametrize("over", ["events", "websocket"])
def test_a_session_is_watched_without_asking_again(
    url: str, client: Client, over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = client.start("c", "t", "go")
    address = f"{url.replace('http', 'ws')}graphql" if over == "websocket" else None
    with Client(url, tenant=TENANT, websocket_url=address) as watching:
        monkeypatch.setattr(watching, "_post", None)
        seen = []
        for view in watching.watch("c", started.session_uuid):
            seen.append([each.state for each in view.session_agents])
            for question in view.waiting:
                client.answer(question, "yes")
    assert seen[-1] == ["completed", "completed"]
    assert ["completed", "wait_for_user_input"] in seen
    assert [one for one, other in pairwise(seen) if one == other] == []


def test_who_watches_sees_the_present_state_when_the_server_comes_back(tmp_path: Path) -> None:
    found = queue.SimpleQueue[SessionView]()

    def watch() -> None:
        for view in watching.watch("c", started.session_uuid):
            found.put(view)

    settings = Settings(auth="local")
    with serving(settings, port=0, data_dir=tmp_path) as running:
        url = running.url
        with Client(url) as client:
            save(client)
            started = client.start("c", "t", "go")
        watching = Client(url, retries=Retries(first=0.05))
        thread = threading.Thread(target=watch)
        thread.start()
        while not (view := found.get(timeout=20)).waiting:
            pass
    with serving(settings, port=httpx.URL(url).port, data_dir=tmp_path):
        with Client(url) as client:
            client.answer(view.waiting[0], "yes")
        while not (view := found.get(timeout=20)).has_ended:
            pass
        thread.join(20)
    watching.close()
    assert (view.status, thread.is_alive()) == ("completed", False)


def test_what_does_not_exist_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no-such") as raised:
        client.session("c", "no-such")
    assert raised.value.code == "NOT_FOUND"


@pytest.mark.parametrize("part", ["eu", "ü"])
def test_a_part_is_a_tenant_of_its_own(url: str, client: Client, part: str) -> None:
    with Client(url, tenant=f"{TENANT}#{part}") as other:
        made = other.send(operations.insert_update_coordination(updated_by="me"))
        assert made.partition_key == f"{TENANT}#{part}"
        assert [each.id for each in other.records(operations.coordination_list())] == [made.id]
    assert made.id not in [each.id for each in client.records(operations.coordination_list())]


def test_a_list_goes_over_all_pages(client: Client) -> None:
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        client.send(operations.insert_update_coordination(coordination_name=name, updated_by="me"))
    pages = operations.coordination_list(coordination_name="page-", limit=2)
    assert [each.coordination_name for each in client.records(pages)] == names[::-1]


def test_null_is_sent_and_what_is_not_given_is_not(client: Client) -> None:
    def described(**given: Any) -> tuple[str | None, str | None]:
        made = client.send(
            operations.insert_update_coordination(coordination_uuid="n", updated_by="me", **given)
        )
        return made.coordination_name, made.coordination_description

    assert described(coordination_name="N", coordination_description="D") == ("N", "D")
    assert described(coordination_name="M") == ("M", "D")
    assert described(coordination_description=None) == ("M", None)


def test_a_time_has_a_zone(client: Client) -> None:
    with pytest.raises(ValueError, match="time zone"):
        operations.backfill_task_schedule(
            task_uuid="t", schedule_uuid="s", from_=datetime(2026, 1, 1), to=datetime.now(UTC)
        )


def test_a_wait_ends_in_time(client: Client) -> None:
    started = client.start("c", "t", "go")
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=f"{started.session_uuid} is [a-z_]+ after 0.3 s"):
        client.wait("c", started.session_uuid, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    with pytest.raises(NotFound):
        client.wait("c", "no-such", timeout=5)


def test_a_start_that_is_sent_twice_is_one_session(client: Client) -> None:
    first = client.start("c", "t", "go", session_uuid="mine")
    assert client.start("c", "t", "go", session_uuid="mine") == first
    assert first.session_uuid == "mine"


def test_a_session_is_steered(client: Client) -> None:
    session = client.session("c", client.start("c", "t", "go").session_uuid)
    assert client.pause(session).status == "paused"
    assert client.resume(session).status in ("dispatched", "in_progress")
    assert client.cancel(session).status == "cancelled"
    assert client.cancel(session).status == "cancelled"
    assert client.retry(session).status in ("in_transit", "in_progress", "dispatched")
    copied = client.fork(session, task_query="again")
    assert copied.session_uuid != session.session_uuid
    assert copied.task_query == "again"
    assert {
        each.session_uuid for each in client.sessions(task_uuid="t", coordination_uuid="c")
    } >= {
        session.session_uuid,
        copied.session_uuid,
    }
    agent = AgentKey(session.session_uuid, session.session_agents[0].session_agent_uuid)
    with pytest.raises(Conflict):
        client.rerun(agent)
    started = client.start("c", "t", "go")
    assert client.cancel(started).status == "cancelled"
    assert client.rerun(client.session("c", started.session_uuid).session_agents[0]).status in (
        "in_transit",
        "in_progress",
        "dispatched",
    )
    assert client.cancel(SessionKey("c", started.session_uuid)).status == "cancelled"


async def test_an_agent_is_asked(url: str, client: Client) -> None:
    async with AsyncClient(url, tenant=TENANT) as same:
        asked = await same.ask("c", "How are you?", agent_uuid="a")
        async for view in same.watch("c", asked.session_uuid):
            if view.session_agents[0].state == "completed":
                break
        parts = [part async for part in same.output(asked)]
    assert view.session_agents[0].agent_output == "How are you?"
    assert ("".join(each.delta for each in parts), parts[-1].done) == ("How are you?", True)
    with pytest.raises(NotFound, match="the session agent no-such"):
        next(client.output(AgentKey(asked.session_uuid, "no-such")))
