"""A token is in no log, also where all libraries log everything, and in no error."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from ai_coordination_engine.client import ApiError, Client, Operation, Retries, operations
from tests.kit.scripted_socket import COMPLETE, TICKS, next_tick, script, socket_server

TOKEN = "secret"
ONCE = Retries(attempts=1)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, json={"data": {"ping": "Hello"}}),
        httpx.Response(401, text=f"the token {TOKEN} has expired"),
        httpx.Response(500, json={"message": TOKEN}),
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"),
        httpx.ConnectError("refused"),
    ],
    ids=repr,
)
def test_over_http(reply: httpx.Response | Exception, log: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if isinstance(reply, Exception):
            raise reply
        return reply

    transport = httpx.MockTransport(answer)
    with Client("http://h", token=lambda: TOKEN, transport=transport, retries=ONCE) as client:
        try:
            client.send(operations.ping())
        except ApiError as error:
            assert TOKEN not in repr(error)
            assert TOKEN not in str(vars(error))
            assert error.__suppress_context__ or error.__context__ is None
    assert TOKEN not in log.text


def test_on_a_real_connection(log: pytest.LogCaptureFixture) -> None:
    with (
        Client("http://127.0.0.1:1", token=TOKEN, retries=ONCE) as client,
        pytest.raises(ApiError) as raised,
    ):
        client.send(operations.ping())
    assert TOKEN not in repr(raised.value)
    assert TOKEN not in log.text


def test_over_a_websocket(log: pytest.LogCaptureFixture) -> None:
    ticking = script(next_tick(1), COMPLETE, code=1000)
    with (
        socket_server(ticking) as address,
        Client("http://h", tenant="acme#eu", token=TOKEN, websocket_url=address) as client,
    ):
        assert [*client.subscribe(TICKS)] == [1]
    assert TOKEN not in "\n".join(
        each.getMessage() for each in log.records if "server" not in each.name
    )


def test_a_token_that_goes_bad_later_is_not_quoted() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    operation: Operation[str | None] = operations.ping()
    with (
        Client("http://h", token=lambda: f"{TOKEN}\n", transport=transport) as client,
        pytest.raises(ValueError, match="the token must be") as raised,
    ):
        client.send(operation)
    assert TOKEN not in repr(raised.value)
