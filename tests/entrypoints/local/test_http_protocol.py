"""Unfinished requests are ended and invalid HTTP is answered, over real connections."""

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
import uvicorn

from ai_coordination_engine.entrypoints.local.http_protocol import BoundedProtocol
from tests.kit.forked import forked, stay_until

SHORT = 0.3
PATIENT = 1.0
"""Seconds of a test whose client keeps in time: it may be late by more than half of them."""


class ShortProtocol(BoundedProtocol):
    request_seconds = SHORT
    bytes_per_second = 100.0
    linger_seconds = SHORT

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.config.app.lost.set()


@dataclass
class Served:
    """A server that reports what it received; `/large` answers 40 MB, `/early` reads nothing."""

    port: int = 0
    disconnects: int = 0
    bodies: list[bytes] = field(default_factory=list)
    begun: Event = field(default_factory=Event)
    gone: Event = field(default_factory=Event)
    lost: Event = field(default_factory=Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.set()
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                self.gone.set()
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        answer = b"x" * 40_000_000 if scope["path"] == "/large" else b"ok"
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShortProtocol, "request_seconds", PATIENT)


@pytest.fixture
def served() -> Iterator[Served]:
    app = Served()
    config = uvicorn.Config(
        app, http=ShortProtocol, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60
    )
    config.timeout_graceful_shutdown = 2
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app.port = listener.getsockname()[1]
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        yield app
        server.should_exit = True
        thread.join(10)


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def accepted(connection: socket.socket) -> bool:
    """Whether the request is answered 200; reads the short response."""
    received = b""
    while not received.endswith(b"\r\n\r\nok") and (piece := connection.recv(65536)):
        received += piece
    return received.startswith(b"HTTP/1.1 200")


def refused(answer: bytes) -> tuple[int, str]:
    """Return status and code of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json; charset=utf-8" in head
    assert b"connection: close" in head
    (error,) = json.loads(body)["errors"]
    return int(head.split()[1]), error["extensions"]["code"]


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
TIMEOUT = (408, "BAD_USER_INPUT")


@pytest.mark.parametrize("sent", [b"POST / HT", HEAD[:-2], HEAD, HEAD + b"{"])
def test_half_a_request_is_answered_408_and_dropped(served: Served, sent: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(sent)
        assert refused(rest(connection)) == TIMEOUT
    assert served.bodies == []


def test_half_a_request_for_the_head_alone_is_dropped_too(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD.replace(b"POST", b"HEAD"))
        assert rest(connection).startswith(b"HTTP/1.1 408")
    assert caplog.records == []


def test_a_connection_that_says_nothing_is_closed(served: Served) -> None:
    with served.connect() as connection:
        assert rest(connection) == b""


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", HEAD])
def test_a_client_that_trickles_does_not_get_more_time_with_every_byte(
    served: Served, sent: bytes
) -> None:
    started = time.monotonic()
    with served.connect() as connection:
        connection.sendall(sent)
        connection.setblocking(False)
        answer = b""
        while b"\r\n\r\n" not in answer and time.monotonic() < started + 30:
            Event().wait(SHORT / 6)
            try:
                answer += connection.recv(65536)
                connection.sendall(b"a")
            except BlockingIOError:
                connection.sendall(b"a")
            except (ConnectionResetError, BrokenPipeError):
                break
    assert SHORT <= time.monotonic() - started < 30
    assert answer == b"" or refused(answer) == TIMEOUT
    assert served.bodies == []


@pytest.mark.usefixtures("patient")
def test_a_slow_client_that_keeps_coming_is_heard(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD)
        for _ in range(5):
            Event().wait(PATIENT / 4)
            connection.sendall(b"a" * 200)
        assert accepted(connection)
    assert served.bodies == [b"a" * 1000]


@pytest.mark.usefixtures("patient")
def test_the_time_between_two_requests_is_not_held_against_the_second(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(4):
            connection.sendall(HEAD + b"a" * 1000)
            assert accepted(connection)
            Event().wait(PATIENT * 0.4)


def test_the_rest_of_an_answered_request_is_not_read_for_ever(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShortProtocol, "request_seconds", 60.0)
    with served.connect() as connection:
        connection.sendall(HEAD.replace(b" / ", b" /early ").replace(b"1000", b"1000000000"))
        assert accepted(connection)
        started = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() < started + 30:
                connection.sendall(b"a" * 10_000)
                Event().wait(SHORT / 10)


def test_a_client_that_does_not_read_its_answer_is_dropped(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert served.lost.wait(60)
        assert len(rest(connection)) < 40_000_000


def test_a_client_that_goes_away_is_seen_and_logs_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), served.connect() as connection:
        connection.sendall(HEAD + b"{")
    assert served.gone.wait(60)
    assert (
        served.disconnects,
        [each for each in caplog.records if each.levelno > logging.INFO],
    ) == (1, [])


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so_in_json(served: Served, sent: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(sent)
        assert refused(rest(connection)) == (400, "BAD_USER_INPUT")


def test_an_upgrade_is_answered_as_the_request_that_it_is(served: Served) -> None:
    with served.connect() as connection:
        asked = (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        )
        connection.sendall(
            asked
            + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert accepted(connection)


@pytest.mark.usefixtures("patient")
def test_many_hung_clients_do_not_keep_others_out(served: Served) -> None:
    hung: list[socket.socket] = []
    try:
        for _ in range(100):
            hung.append(served.connect())
            hung[-1].sendall(b"GET / HT")
        with served.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert accepted(connection)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(rest, hung))
    finally:
        for each in hung:
            each.close()
    assert {refused(each) for each in answers} == {TIMEOUT}


def test_a_server_that_ends_does_not_wait_for_half_a_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Served()
    config = uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None)
    config.timeout_graceful_shutdown = 60
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener, caplog.at_level(logging.WARNING):
        app.port = listener.getsockname()[1]
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        with app.connect() as connection:
            connection.sendall(HEAD + b"{")
            assert app.begun.wait(60)
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
            assert refused(rest(connection)) == TIMEOUT
    assert (app.disconnects, caplog.records) == (1, [])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_connection_ends_with_the_server_though_a_forked_child_lives(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShortProtocol, "request_seconds", 30)
    read, write = os.pipe()
    started, starts = os.pipe()
    with served.connect() as kept, served.connect() as other:
        for each in (kept, other):
            each.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert accepted(each)
        child = forked(partial(stay_until, read, write, starts))
        try:
            os.read(started, 1)
            kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            kept.settimeout(10)
            assert rest(kept).endswith(b"ok")  # the child does not keep it open
            other.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # and ends none of the parent's
            assert accepted(other)
        finally:
            for end in (write, read, started, starts):
                os.close(end)
            os.waitpid(child, 0)
