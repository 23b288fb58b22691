"""A backend that hangs, resets or fails is tried three times within a time limit.

The error says that the call may be retried.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest

from ai_coordination_engine import backend, bootstrap
from ai_coordination_engine.adapters import client_config, secrets
from ai_coordination_engine.adapters.s3 import S3Blobs
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.errors import Throttled, Unavailable
from ai_coordination_engine.ports import SecretUnavailable, Wake
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api

READ = 'query { coordination(coordinationUuid: "c") { coordinationName } }'
WRITE = """mutation { insertUpdateCoordination(coordinationName: "n", updatedBy: "me") {
  coordination { coordinationUuid } } }"""
SHORT, LONG = (
    0.15,
    30.0,
)  # seconds that a client waits, in place of five: in vain, and for what comes


class Failing(ThreadingHTTPServer):
    """Answers requests with one behaviour of `behaviours` after the other, then always with the
    last.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviours: list[Any] = []
        self.requests = 0
        self._counted = threading.Condition()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def heard(self, requests: int) -> bool:
        """Whether it got so many; it may hear of one when the client has given up on it."""
        with self._counted:
            return self._counted.wait_for(lambda: self.requests == requests, 30)

    def next(self) -> Any:
        with self._counted:
            self.requests += 1
            self._counted.notify_all()
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect; the tests do so on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: Failing
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        behaviour = self.server.next()
        self.close_connection = True
        if behaviour == "hang":
            self.server.stopping.wait(10)
        elif behaviour == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif behaviour == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif behaviour == "cut off":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Item')
        elif behaviour == "nonsense":
            self.wfile.write(b"nonsense\r\n\r\n")
        else:
            status, body = behaviour
            self.wfile.write(
                b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )

    do_GET = do_PUT = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """A failing service; clients created in the context call it without waits between tries, and
    with a short timeout if the test is about one that hangs.
    """
    given = getattr(request.node, "callspec", None)
    hangs = given is not None and "hang" in given.params.values()
    with Failing() as failing:
        threading.Thread(target=failing.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", failing.url)
        monkeypatch.setattr(bootstrap, "READ_SECONDS", SHORT if hangs else LONG)
        monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
        yield failing
        failing.stopping.set()
        failing.shutdown()


@pytest.fixture
def api(server: Failing) -> Iterator[Api]:
    settings = Settings(auth="local", queue_url=f"{server.url}/1/wake", bucket="b")
    with asyncio.Runner() as runner:
        yield Api(bootstrap.build_app(settings), runner)


HTML = b"<html>Bad Gateway</html>"
NO_ANSWER = ["hang", "reset", "close", "nonsense"]
FAILURES = [
    (
        500,
        (
            b'{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message":'
            b' "secret-host"}'
        ),
    ),
    (503, b'{"__type": "ServiceUnavailable"}'),
    (502, HTML),
    (504, b""),
]


@pytest.mark.parametrize(
    ("document", "behaviour"),
    [
        *((READ, each) for each in [*NO_ANSWER, *FAILURES]),
        *((WRITE, each) for each in ["hang", FAILURES[0]]),
    ],
)
def test_the_api_says_that_it_may_be_tried_again(
    api: Api, server: Failing, document: str, behaviour: Any
) -> None:
    server.behaviours = [behaviour]
    (error,) = api.send(document)["errors"]
    assert error["extensions"] == {"code": "THROTTLED", "retryable": True}
    assert error["message"].startswith("The database ")
    assert error["message"].endswith("; try again in a moment.")
    assert backend.TRIES == 3
    assert server.heard(3)


def test_a_database_that_recovers_in_time_is_not_noticed(api: Api, server: Failing) -> None:
    server.behaviours = [FAILURES[0], "reset", (200, b"{}")]
    assert api.data(READ) == {"coordination": None}
    assert server.heard(3)


def test_nobody_listens(api: Api, server: Failing) -> None:
    server.shutdown()
    server.server_close()
    (error,) = api.send(READ)["errors"]
    assert error["extensions"] == {"code": "THROTTLED", "retryable": True}


def test_a_refusal_for_good_is_no_such_thing(api: Api, server: Failing) -> None:
    server.behaviours = [(400, b'{"__type": "AccessDeniedException", "message": "no"}')]
    (error,) = api.send(READ)["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert server.requests == 1


def impatient(service: str) -> Any:
    kind = Settings().aws_client
    return bootstrap.client(service, read_seconds=bootstrap.READ_SECONDS, kind=kind)


QUEUE: Callable[[], SqsQueue] = lambda: SqsQueue(impatient("sqs"), "http://127.0.0.1/1/wake")  # noqa: E731
BLOBS: Callable[[], S3Blobs] = lambda: S3Blobs(partial(impatient, "s3"), "bucket")  # noqa: E731
CALLS: dict[str, Callable[[], object]] = {
    "send": lambda: QUEUE().send([Wake("t", "s", "a")]),
    "dead_letter": lambda: QUEUE().dead_letter(Wake("t", "s", "a")),
    "postpone": lambda: QUEUE().postpone("receipt", 1),
    "put": lambda: BLOBS().put("key", b"data"),
    "get": lambda: BLOBS().get("key"),
    "delete_all": lambda: BLOBS().delete_all("prefix"),
}


@pytest.mark.parametrize("behaviour", ["hang", (503, HTML)], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_queue_and_storage_say_that_they_are_unavailable(
    server: Failing, name: str, behaviour: Any
) -> None:
    server.behaviours = [behaviour]
    with pytest.raises(Unavailable, match=r"^The (queue|storage of large values) ") as raised:
        CALLS[name]()
    assert raised.value.extensions == {"retryable": True}
    assert server.heard(3)


def test_a_value_whose_bytes_stop_coming_is_unavailable(server: Failing) -> None:
    server.behaviours = ["cut off"]
    with pytest.raises(Unavailable):
        BLOBS().get("key")


@pytest.mark.parametrize("name", ["send", "put"])
def test_load_is_told_apart_from_failures(server: Failing, name: str) -> None:
    slow = (
        b"<Error><Code>SlowDown</Code></Error>"
        if name == "put"
        else b'{"__type": "RequestThrottled"}'
    )
    server.behaviours = [(503, slow)]
    with pytest.raises(Throttled, match="refuses more work for now"):
        CALLS[name]()


@pytest.mark.parametrize("behaviour", ["hang", "reset", (500, b"")], ids=str)
def test_a_secret_that_cannot_be_read_now_may_be_read_later(
    server: Failing, monkeypatch: pytest.MonkeyPatch, behaviour: Any
) -> None:
    monkeypatch.setattr(
        client_config,
        "client_config",
        partial(client_config.client_config, read_seconds=bootstrap.READ_SECONDS),
    )
    server.behaviours = [behaviour]
    with pytest.raises(SecretUnavailable) as raised:
        secrets.SecretsManager().value("key")
    assert raised.value.retryable
    assert server.heard(3)


@pytest.mark.parametrize("behaviour", ["hang"])
def test_a_command_says_in_one_line_what_does_not_answer(server: Failing, behaviour: str) -> None:
    server.behaviours = [behaviour]
    with pytest.raises(Unavailable) as raised:
        CALLS["send"]()
    message, code = explain(raised.value)
    reason = f'Read timeout on endpoint URL: "{server.url}/"'
    expected = (
        f"ace: The queue cannot be reached or does not answer; try again in a moment. ({reason})"
    )
    assert (message, code) == (expected, 1)


def test_all_tries_of_a_call_end_before_the_request_does() -> None:
    # between two tries, of botocore
    longest_waits = sum(2**number for number in range(backend.TRIES - 1))
    # of the 25 that a request has
    assert backend.TRIES * backend.READ_SECONDS + longest_waits == 18
    assert backend.TRIES * backend.CONNECT_SECONDS + longest_waits == 9
    for service in ("dynamodb", "sqs", "s3"):
        config = (
            bootstrap.connect().client.meta.config
            if service == "dynamodb"
            else bootstrap.client(service).meta.config
        )
        assert (config.connect_timeout, config.read_timeout) == (2.0, 5.0)
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}
