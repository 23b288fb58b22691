"""Subscriptions of the client: server-sent events, a WebSocket, connections that are lost."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import ServerConnection, serve

from ai_coordination_engine.client import (
    NO_RETRIES,
    ApiError,
    AsyncClient,
    Client,
    Forbidden,
    NotOffered,
    Retries,
    TooComplex,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)
from ai_coordination_engine.client.operations import subscribe_agent_output
from ai_coordination_engine.client.server_events import EventReader
from ai_coordination_engine.client.socket_messages import closed
from tests.kit.scripted_socket import (
    COMPLETE,
    TICKS,
    Script,
    next_tick,
    script,
    socket_server,
)

QUICK = Retries(attempts=3, seconds=0.1, first=0.001, longest=0.01)


def event(name: str, data: object = "") -> bytes:
    return f"event: {name}\ndata: {data and json.dumps(data)}\n\n".encode()


def tick(number: int) -> bytes:
    return event("next", {"data": {"tick": number}})


STREAM = (
    b":\n\n"
    + tick(1)
    + b": a comment\r\n\r\n"
    + b'data: {"data": {"tick":\rdata:2}}\revent:next\r\r'
    + 'event: next\ndata: {"data": {"tick": "a\u2028b\x85"}}\n\n'.encode()
    + b"event: other\ndata: 1\n\nevent: next\n\n"
    + event("complete")
)


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_events_are_read_however_they_arrive(size: int) -> None:
    reader = EventReader()
    parts = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    results = [result["data"]["tick"] for part in parts for result in reader.results(part)]
    assert (results, reader.is_complete) == ([1, 2, "a\u2028b\x85"], True)


@pytest.mark.parametrize("data", ["1", "[]", "{", "null"])
def test_an_event_that_is_no_answer_is_an_error(data: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        [*EventReader().results(f"event: next\ndata: {data}\n\n".encode())]


def events(*parts: bytes) -> httpx.Response:
    return httpx.Response(
        200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=b"".join(parts)
    )


Reply = httpx.Response | Exception


def replying(replies: list[Reply]) -> httpx.MockTransport:
    def reply(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept"] == "text/event-stream"
        found = replies.pop(0) if replies else httpx.ConnectError("refused")
        if isinstance(found, Exception):
            raise found
        return found

    return httpx.MockTransport(reply)


def ticks(replies: list[Reply]) -> tuple[list[int], ApiError | None]:
    """Return what a subscription yields, and the error that ends it."""
    seen: list[int] = []
    with Client("http://h", transport=replying(replies), retries=QUICK) as client:
        try:
            seen += client.subscribe(TICKS)
        except ApiError as error:
            return seen, error
    return seen, None


def test_a_stream_ends_when_the_server_completes_it() -> None:
    assert ticks([events(tick(1), tick(2), event("complete"), tick(3))]) == ([1, 2], None)


@pytest.mark.parametrize(
    "lost",
    [
        events(),
        events(tick(2), b"event: next\ndata: {"),
        httpx.ReadError("reset"),
        httpx.Response(503),
    ],
    ids=repr,
)
def test_a_lost_stream_is_opened_again_and_answers_the_present_state(lost: Reply) -> None:
    seen, error = ticks([events(tick(1)), lost, events(tick(3), event("complete"))])
    assert (seen[0], seen[-1], error) == (1, 3, None)


def test_a_stream_that_stays_lost_is_an_error_after_some_time() -> None:
    failing: list[Reply] = [httpx.ConnectError("refused")] * 7
    began = time.monotonic()
    seen, error = ticks([*failing, events(tick(1)), *failing, events(tick(2))])
    assert (seen, type(error)) == ([1, 2], Unreachable)
    assert 0.05 < time.monotonic() - began < 5


def test_a_stream_is_opened_once_if_there_are_no_retries() -> None:
    transport = replying([events(tick(1)), events(tick(2))])
    with Client("http://h", transport=transport, retries=NO_RETRIES) as client:
        results = client.subscribe(TICKS)
        assert next(results) == 1
        with pytest.raises(Unreachable):
            next(results)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (httpx.Response(406, json={"errors": [{"message": "no"}]}), NotOffered),
        (httpx.Response(200, json={"data": {"tick": 1}}), UnexpectedAnswer),
        (httpx.Response(401, json={"message": "Unauthorized"}), Unauthenticated),
        (
            events(
                event(
                    "next",
                    {"errors": [{"message": "no", "extensions": {"code": "TOO_COMPLEX"}}]},
                )
            ),
            TooComplex,
        ),
    ],
)
def test_what_is_refused_is_not_tried_again(reply: Reply, expected: type[ApiError]) -> None:
    seen, error = ticks([reply])
    assert (seen, type(error)) == ([], expected)


def test_a_warning_is_told_once_a_subscription() -> None:
    told: list[str] = []
    answer = event("next", {"data": {"tick": 1}, "extensions": {"warnings": ["old"]}})
    transport = replying([events(answer, answer), events(answer, event("complete"))])
    with Client("http://h", transport=transport, retries=QUICK, on_warning=told.append) as client:
        assert [*client.subscribe(TICKS)] == [1, 1, 1]
    assert told == ["old"]


def test_an_answer_that_was_too_large_for_a_message_is_asked_for() -> None:
    cut = event("next", {"data": {"tick": None}, "extensions": {"truncated": True}})
    asked = []

    def reply(request: httpx.Request) -> httpx.Response:
        if request.headers["accept"] == "text/event-stream":
            return events(tick(1), cut, tick(3), event("complete"))
        asked.append(json.loads(request.content)["query"])
        return httpx.Response(200, json={"data": {"tick": 2}})

    with Client("http://h", transport=httpx.MockTransport(reply), retries=QUICK) as client:
        assert [*client.subscribe(TICKS)] == [1, 2, 3]
    assert asked == ["query { tick }"]


def test_a_text_that_was_too_large_for_a_message_is_not_asked_for_as_a_query() -> None:
    part = {"agentOutput": {"delta": "", "done": True, "attempt": 1}}
    cut = event("next", {"data": part, "extensions": {"truncated": True}})
    transport = replying([events(cut, event("complete"))])
    with Client("http://h", transport=transport, retries=QUICK) as client:
        (found,) = client.subscribe(
            subscribe_agent_output(session_uuid="s", session_agent_uuid="a")
        )
    assert found is not None
    assert (found.delta, found.done) == ("", True)


OPTIONS: dict[str, Any] = {"tenant": "acme#eu", "token": "secret", "retries": QUICK}


class Signing(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["x-signed"] = f"{request.method} {request.url} {request.headers['host']}"
        yield request


def signed(seen: list[str | None]) -> Script:
    def run(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.extend(connection.request.headers.get(name) for name in ("x-signed", "accept"))
        assert json.loads(connection.recv()) == {"type": "connection_init", "payload": {}}
        connection.send('{"type": "connection_ack"}')
        connection.recv()
        connection.send('{"id": "1", "type": "complete"}')

    return run


@pytest.mark.parametrize("with_async", [True, False])
async def test_a_request_to_connect_is_signed(with_async: bool) -> None:
    seen: list[str | None] = []
    with socket_server(signed(seen)) as address:
        if with_async:
            async with AsyncClient("http://h", auth=Signing(), websocket_url=address) as client:
                assert [each async for each in client.subscribe(TICKS)] == []
        else:
            with Client("http://h", auth=Signing(), websocket_url=address) as same:
                assert [*same.subscribe(TICKS)] == []
    host = address.removeprefix("ws://").removesuffix("/live")
    assert seen == [f"GET http://{host}/live {host}", None]


def test_a_websocket_that_is_lost_is_opened_again() -> None:
    first, last = script(next_tick(1), code=1011), script(next_tick(2), COMPLETE, code=1000)
    with (
        socket_server(first, last) as address,
        Client("http://h", websocket_url=address, **OPTIONS) as client,
    ):
        assert [*client.subscribe(TICKS)] == [1, 2]


async def test_a_websocket_that_is_lost_is_opened_again_with_async() -> None:
    first, last = script(next_tick(1), code=1011), script(next_tick(2), COMPLETE, code=1000)
    with socket_server(first, last) as address:
        async with AsyncClient("http://h", websocket_url=address, **OPTIONS) as client:
            assert [each async for each in client.subscribe(TICKS)] == [1, 2]


@pytest.mark.parametrize(
    ("code", "expected", "is_final"),
    [
        (4403, Forbidden, True),
        (4401, Unauthenticated, True),
        (4406, Unreachable, True),
        (1001, Unreachable, False),
        (1006, Unreachable, False),
    ],
)
def test_a_close_code_says_what_went_wrong(
    code: int, expected: type[ApiError], is_final: bool
) -> None:
    error = closed(code, "why")
    assert (type(error), str(error), error.retryable) == (expected, "why", not is_final)


def test_a_close_code_may_come_in_a_ping() -> None:
    told = {"code": 4403, "reason": "Forbidden: not this tenant"}
    refusing = script({"type": "ping", "payload": told}, code=1000)
    with (
        socket_server(refusing) as address,
        Client("http://h", websocket_url=address, **OPTIONS) as client,
        pytest.raises(Forbidden, match="Forbidden: not this tenant"),
    ):
        next(client.subscribe(TICKS))


def test_a_refusal_over_a_websocket_is_not_tried_again() -> None:
    problem = {"message": "deep", "extensions": {"code": "TOO_COMPLEX"}}
    refusing = script({"type": "error", "payload": [problem]}, code=1000)
    with (
        socket_server(refusing) as address,
        Client("http://h", websocket_url=address, **OPTIONS) as client,
        pytest.raises(TooComplex, match="deep"),
    ):
        next(client.subscribe(TICKS))


async def test_who_stops_watching_closes_the_connection() -> None:
    gone = threading.Event()

    def run(connection: ServerConnection) -> None:
        try:
            script(next_tick(1))(connection)
        except Exception:
            gone.set()

    with socket_server(run) as address:
        async with AsyncClient("http://h", websocket_url=address, **OPTIONS) as client:
            results = client.subscribe(TICKS)
            assert await anext(results) == 1
            await results.aclose()
        assert await asyncio.to_thread(gone.wait, 10)


@contextmanager
def redirecting(address: str) -> Iterator[str]:
    """A server that redirects every WebSocket to this address."""

    def redirect(connection: ServerConnection, _: object) -> Response:
        answer = connection.respond(302, "")
        answer.headers["Location"] = address
        return answer

    with serve(lambda _: None, "127.0.0.1", 0, process_request=redirect) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/live"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("with_async", [False, True])
async def test_the_token_is_sent_to_no_server_to_which_another_one_redirects(
    with_async: bool,
) -> None:
    got: list[object] = []

    def run(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            got.append(connection.recv(1))

    with (
        socket_server(run) as other,
        redirecting(other) as address,
        pytest.raises(UnexpectedAnswer, match="is redirected to another server"),
    ):
        if with_async:
            async with AsyncClient("http://h", websocket_url=address, **OPTIONS) as client:
                await anext(client.subscribe(TICKS))
        else:
            with Client("http://h", websocket_url=address, **OPTIONS) as same:
                next(same.subscribe(TICKS))
    assert got == []


def test_a_websocket_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with (
        Client("http://h", websocket_url="ws://127.0.0.1:1", retries=QUICK) as client,
        pytest.raises(NotOffered, match="websockets"),
    ):
        next(client.subscribe(TICKS))


def test_a_websocket_that_is_not_there_is_unreachable() -> None:
    with (
        Client("http://h", websocket_url="ws://127.0.0.1:1/live", retries=QUICK) as client,
        pytest.raises(Unreachable, match=r"ws://127.0.0.1:1/live does not answer"),
    ):
        next(client.subscribe(TICKS))


@pytest.mark.parametrize("url", ["http://h", "h", "", "wss://me:pw@h", "a\nb"])
def test_the_address_of_a_websocket_is_checked(url: str) -> None:
    with pytest.raises(ValueError, match="the URL of the WebSocket") as raised:
        Client("http://h", websocket_url=url)
    assert "pw" not in str(raised.value)
