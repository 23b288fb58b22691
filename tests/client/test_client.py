"""The client against a real server on loopback."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from ai_coordination_engine.client import AsyncClient, Client, NotFound, operations
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings

TENANT = "acme"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        yield running.page


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A client of a tenant with a task `t`: `a`, then `b`, for which ann answers."""
    with Client(url, tenant=TENANT) as client:
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
        yield client


def test_a_session_is_started_watched_answered_and_waited_for(client: Client) -> None:
    started = client.start("c", "t", "go")
    seen = []
    for view in client.watch("c", started.session_uuid):
        seen.append([each.state for each in view.session_agents])
        if view.waiting:
            (question,) = client.inbox("ann")
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


def test_a_session_is_watched_over_a_websocket(url: str, client: Client) -> None:
    started = client.start("c", "t", "go")
    address = f"{url.replace('http', 'ws')}graphql"
    with Client(url, tenant=TENANT, websocket_url=address) as watching:
        seen = []
        for view in watching.watch("c", started.session_uuid):
            seen.append([each.state for each in view.session_agents])
            for question in view.waiting:
                client.answer(question, "yes")
    assert seen[-1] == ["completed", "completed"]
    assert ["completed", "wait_for_user_input"] in seen
    assert [one for one, other in pairwise(seen) if one == other] == []


def test_what_does_not_exist_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no-such") as raised:
        client.session("c", "no-such")
    assert raised.value.code == "NOT_FOUND"
