"""WebSocket connections to a real server."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ai_coordination_engine.api.live import protocol
from ai_coordination_engine.entrypoints.local.live import connection, event_stream
from ai_coordination_engine.entrypoints.local.server import Running
from tests.kit.live import LIST, SESSION, diamond, opened, post, streamed
from tests.kit.servers import COORDINATION, START

COORDINATIONS = "{ coordinationList { coordinationList { coordinationUuid } } }"


async def test_a_session_is_shown_now_and_whenever_it_changes_until_it_ends(url: str) -> None:
    await diamond(url)
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(SESSION, s="s")
        assert await socket.receive() == {
            "id": "1",
            "type": "next",
            "payload": {"data": {"session": None}},
        }
        await post(url, START, s="s")
        *before, end = [await socket.receive()]
        while end["type"] == "next":
            before.append(end)
            end = await socket.receive()
        assert end == {"id": "1", "type": "complete"}
        last = (await post(url, SESSION.replace("subscription", "query"), s="s"))["session"]
        assert before[-1]["payload"]["data"]["session"] == last
        assert last["status"] == "completed"
        # the id may be used again, and an ended session is shown once
        await socket.subscribe(SESSION, s="s")
        assert (await socket.receive())["payload"]["data"]["session"] == last
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_queries_and_mutations_work_too(url: str) -> None:
    async with opened(url) as socket:
        await socket.init()
        made = await socket.answer(COORDINATION, agents=[])
        assert made["payload"]["data"]["insertUpdateCoordination"]["coordination"] == {
            "coordinationUuid": "c"
        }
        listed = await socket.answer(COORDINATIONS, id="2")
        assert listed["payload"]["data"]["coordinationList"]["coordinationList"] == [
            {"coordinationUuid": "c"}
        ]


INVALID = [
    "subscription {",
    "subscription { sessions }",
    "subscription { sessionList { total } userInbox { total } }",
    "subscription { sessionList(limit: 5000) { total } }",
    'subscription { sessionList(statuses: ["ended"]) { pageSize } }',
    "subscription($s: String!) { session(coordinationUuid: $s, sessionUuid: $s) { status } }",
    "subscription { sessionList @skip(if: true) { total } }",
]
TOO_COMPLEX = [
    "subscription { " + "sessionList { total } " * 600 + "}",
    "subscription { sessionList(limit: 1000) { sessionList { definition sessionAgents {"
    " whyNotRunning { code } } } } }",
]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        *((each, "BAD_USER_INPUT") for each in INVALID),
        *((each, "TOO_COMPLEX") for each in TOO_COMPLEX),
    ],
)
async def test_what_cannot_be_answered_is_an_error_and_nothing_else(
    url: str, query: str, code: str
) -> None:
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(query)
        error = await socket.receive()
        assert (error["type"], error["id"]) == ("error", "1")
        assert error["payload"][0]["extensions"]["code"] == code
        assert (await socket.answer("{ ping }"))["type"] == "next"  # the same id, right after it


async def test_a_tenant_sees_its_own_sessions_alone(server: Running, url: str) -> None:
    other = url.replace("/graphql", "-other/graphql")
    await diamond(url)
    async with opened(url) as own, opened(other) as foreign:
        for each in (own, foreign):
            await each.init()
            await each.subscribe(LIST)
            assert (await each.receive())["payload"]["data"]["sessionList"]["sessionList"] == []
        await post(url, START, s="s")
        shown = (await own.receive())["payload"]["data"]["sessionList"]["sessionList"]
        assert [each["sessionUuid"] for each in shown] == ["s"]
        await foreign.send({"type": "ping"})
        assert await foreign.receive() == {"type": "pong"}


async def test_the_part_is_that_of_the_first_message_or_of_the_header(url: str) -> None:
    document = """mutation { insertUpdateCoordination(updatedBy: "me") {
      coordination { partId } } }"""
    for headers, payload in (({}, {"Part-Id": "eu"}), ({"Part-Id": "eu"}, {})):
        async with opened(url, additional_headers=headers) as socket:
            await socket.init(payload)
            made = await socket.answer(document)
            assert made["payload"]["data"]["insertUpdateCoordination"]["coordination"] == {
                "partId": "eu"
            }
    async with opened(url, additional_headers={"Part-Id": "eu"}) as socket:
        await socket.send({"type": "connection_init", "payload": {"partId": "us"}})
        assert (await socket.closed())[0] == 4400


async def test_a_client_without_the_subprotocol_is_told(url: str) -> None:
    async with opened(url, subprotocols=None) as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


async def test_an_id_that_is_active_ends_the_connection(url: str) -> None:
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(LIST)
        await socket.subscribe(LIST)
        assert await socket.closed() == (4409, "Subscriber for 1 already exists")


async def test_a_connection_that_does_not_begin_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "INIT_SECONDS", 0.05)
    async with opened(url) as socket:
        await socket.send({"type": "ping"})
        assert await socket.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("frame", [b"\x00", "{", '{"type":"start"}', "[]"])
async def test_frames_that_are_no_messages_end_the_connection(url: str, frame: Any) -> None:
    async with opened(url) as socket:
        await socket.init()
        await socket.send(frame)
        assert (await socket.closed())[0] == 4400


async def test_a_message_above_the_limit_of_a_request_ends_the_connection(url: str) -> None:
    async with opened(url) as socket:
        await socket.init()
        with suppress(ConnectionClosed):  # it may end before all is sent
            await socket.send(json.dumps({"type": "ping", "payload": {"a": "x" * 10_000_000}}))
        assert (await socket.closed())[0] == 1009


async def test_a_connection_has_at_most_100_operations(url: str) -> None:
    async with opened(url) as socket:
        await socket.init()
        for number in range(101):
            await socket.subscribe(LIST, id=str(number))
        found = [await socket.receive() for _ in range(101)]
        (refused,) = [each for each in found if each["type"] == "error"]
        assert refused["id"] == "100"
        assert refused["payload"][0]["extensions"] == {"code": "TOO_COMPLEX", "limit": 100}
        await socket.send({"type": "complete", "id": "7"})
        await socket.subscribe(LIST, id="101")
        assert (await socket.receive())["id"] == "101"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_pages_of_other_sites_get_no_connection(
    url: str, headers: dict[str, str], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(url, additional_headers=headers):
            pass
    assert refused.value.response.status_code == status
    assert capfd.readouterr() == ("", "")


async def test_a_page_with_a_host_that_resolves_to_this_machine_gets_no_connection(
    server: Running,
) -> None:
    port = int(server.url.split(":")[2].split("/")[0])
    with pytest.raises(InvalidStatus) as refused:
        async with opened(f"http://evil.example:{port}/graphql", host="127.0.0.1", port=port):
            pass
    assert refused.value.response.status_code == 400


async def test_pages_of_this_machine_get_one(url: str) -> None:
    async with opened(url, additional_headers={"Origin": "http://localhost:3000"}) as socket:
        await socket.init()


async def test_a_completed_operation_sends_nothing_more(url: str) -> None:
    await diamond(url)
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(LIST)
        await socket.receive()
        await socket.send({"type": "complete", "id": "1"})
        await socket.send({"type": "complete", "id": "unknown"})
        await socket.answer("{ ping }", id="2")
        await post(url, START, s="s")
        await socket.answer("{ ping }", id="3")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await socket.receive()


async def test_only_graphql_has_a_websocket(server: Running) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
        async with opened(server.url.replace("graphql", "health")):
            pass
    assert isinstance(refused.value, InvalidStatus)
    assert refused.value.response.status_code in (403, 404)


async def test_connections_and_streams_are_bounded(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(event_stream, "MOST_STREAMS", 1)
    async with opened(url) as socket, streamed(url, LIST) as stream:
        await socket.init()
        await stream.next()
        with pytest.raises(InvalidStatus) as refused:
            async with opened(url):
                pass
        assert refused.value.response.status_code == 503
        async with streamed(url, LIST) as second:
            assert second.response.status_code == 503
    async with opened(url) as socket:
        await socket.init()
