"""A request over an open connection ends as one that botocore sends."""

import json
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.raw_service import ITEM, Service, call, client_of, response


def outcome(client: Any, operation: str) -> Any:
    """The answer of a call, or the kind and the content of its error."""
    try:
        return call(client, operation)
    except ClientError as error:
        return type(error).__name__, str(error), error.response
    except Exception as error:
        return type(error).__name__, str(error)


REFUSED = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {**ITEM, "b": {"B": "aGk="}},
    }
).encode()
CANCELLED = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "cancelled",
        "CancellationReasons": [{"Code": "None"}, {"Code": "ThrottlingError", "Message": "m"}],
    }
).encode()
THROTTLED = b'{"__type": "x#ProvisionedThroughputExceededException", "message": "slow"}'
FAILS = response(b'{"__type": "x#InternalServerError"}', 500)
OK = response(b'{"Item": {}}')
CASES: dict[str, tuple[list[bytes | None], int, int]] = {
    # answers to the calls of one client; requests and connections that they take
    "refused": ([OK, response(REFUSED, 400)], 2, 1),
    "cancelled": ([OK, response(CANCELLED, 400)], 2, 1),
    "throttled": ([OK, response(THROTTLED, 400)], 4, 1),
    "throttled, then not": ([OK, response(THROTTLED, 400), OK], 3, 1),
    "fails": ([OK, FAILS], 4, 1),
    "fails, then refused": ([OK, FAILS, response(REFUSED, 400)], 3, 1),
    "unavailable, without words": ([OK, response(b"", 503)], 4, 1),
    "a page of a gateway": ([OK, response(b"<html>no</html>", 502)], 4, 1),
    "forbidden": ([OK, response(b'{"__type": "AccessDeniedException"}', 403)], 2, 1),
    "too large": ([OK, response(b"<html>no</html>", 413)], 2, 1),
    "moved": ([OK, response(b"", 307, "Location: http://elsewhere/")], 2, 1),
    "damaged": ([OK, response(b"{}", crc32=1), OK], 3, 1),
    "damaged each time": ([OK, response(b"{}", crc32=1)], 4, 1),
    "not JSON": ([OK, response(b"text")], 2, 1),
    "another kind of JSON": ([OK, response(b"[]", crc32=None)], 2, 1),
    "silent": ([OK, None], 4, 3),
    "silent, then answers": ([OK, None, OK], 3, 2),
    "disconnects": ([OK, b""], 4, 3),
    "disconnects, then answers": ([OK, b"", OK], 3, 2),
    "nonsense": ([OK, b"nonsense\r\n\r\n"], 4, 3),
    "stops in the head": ([OK, b"HTTP/1.1 200 OK\r\nContent-Le"], 2, 1),
    "chunks": (
        [
            OK,
            response(
                b"3\r\n{}\n\r\n0\r\n\r\n",
                200,
                "Transfer-Encoding: chunked",
                length=False,
                crc32=zlib.crc32(b"{}\n"),
            ),
            OK,
        ],
        2,
        1,
    ),
    "says that it will disconnect": ([OK, response(b"{}", 200, "Connection: close"), OK], 2, 1),
    "an interim answer": ([OK, b"HTTP/1.1 100 Continue\r\n\r\n" + OK], 2, 1),
    "an old protocol": ([OK, OK.replace(b"HTTP/1.1", b"HTTP/1.0")], 2, 1),
    "a header twice": ([OK, response(b"{}", 200, "X-A: 1", "X-A: 2")], 2, 1),
    "odd headers": ([OK, response(b"{}", 200, "X-A:1", "X-B:  two ", "X-C:")], 2, 1),
    "a long value": ([OK, response(b'{"Item": {"h": {"S": "%s"}}}' % (b"x" * 300_000))], 2, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_a_warm_connection_fails_as_a_cold_one(
    service: Service, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, requests, connections = CASES[case]
    service.ends = tuple(each for each in answers if each and each.startswith((b"nons",)))
    service.ends += (b"HTTP/1.1 200 OK\r\nContent-Le",)
    operation = "TransactWriteItems" if case == "cancelled" else "GetItem"
    found = {}
    for kind in ("botocore", "lean"):
        service.answers, service.requests, service.connections = list(answers), [], 0
        client = client_of(operation, kind, 0.2 if None in answers else 30)
        call(client, operation)
        found[kind] = outcome(client, operation), len(service.requests)
        if kind == "lean":
            assert (len(service.requests), service.connections) == (requests, connections)
    assert found["lean"] == found["botocore"]


def test_a_cut_off_answer_is_asked_for_again(service: Service) -> None:
    cut = response(b'{"Item": {"h": ', crc32=0).replace(b"Length: 15", b"Length: 99")
    service.answers, service.ends = [OK, cut, OK], (cut,)
    client = client_of("GetItem", "lean")
    call(client, "GetItem")
    assert call(client, "GetItem")["ResponseMetadata"]["RetryAttempts"] == 1
    assert service.connections == 2


def test_a_connection_that_was_closed_while_idle_is_opened_anew(service: Service) -> None:
    service.answers, service.ends = [OK], (OK,)
    client = client_of("GetItem", "lean")
    for number in range(3):
        assert call(client, "GetItem")["ResponseMetadata"]["RetryAttempts"] == 0
        assert service.connections == number + 1
        assert service.disconnected.acquire(timeout=10)


def test_calls_at_the_same_time_have_connections_of_their_own(service: Service) -> None:
    body: Callable[[int], bytes] = lambda number: b'{"Item": {"h": {"S": "%d"}}}' % number  # noqa: E731
    service.answers = [response(body(number)) for number in range(201)]
    client = client_of("GetItem", "lean")
    found: list[str] = []

    def some() -> None:
        found.extend(call(client, "GetItem")["Item"]["h"]["S"] for _ in range(25))

    threads = [threading.Thread(target=some) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(map(int, found)) == list(range(200))
    assert service.connections <= 8
