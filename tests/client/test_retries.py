"""When a call is sent again, and that one which is not repeatable is sent once."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ai_coordination_engine.client import (
    ApiError,
    Client,
    Operation,
    Retries,
    Throttled,
    UnexpectedAnswer,
    Unreachable,
    operations,
)
from ai_coordination_engine.client.answers import retry_after
from ai_coordination_engine.client.repeats import _ALWAYS, _OWN_UUID
from ai_coordination_engine.client.retries import NO_RETRIES

QUICK = Retries(first=0.001, longest=0.002)
PONG = httpx.Response(200, json={"data": {"ping": "Hello at 1"}})
Reply = httpx.Response | Exception


def refused(code: str, **extensions: Any) -> httpx.Response:
    problem = {"message": f"a {code}", "extensions": {"code": code, **extensions}}
    return httpx.Response(200, json={"errors": [problem], "data": None})


BUSY = refused("THROTTLED", retryable=True)


class Server(httpx.MockTransport):
    """Gives one reply after the other, and keeps the bodies that it received."""

    def __init__(self, *replies: Reply) -> None:
        self.bodies: list[Any] = []
        self._replies: Iterator[Reply] = iter(replies)
        super().__init__(self._reply)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        reply = next(self._replies)
        if isinstance(reply, Exception):
            raise reply
        return reply


def sent(
    replies: Sequence[Reply], operation: Operation[Any], retries: Retries = QUICK
) -> tuple[Any, list[Any]]:
    """Return the result, or the error, and the bodies of all requests."""
    server = Server(*replies)
    with Client("http://h", transport=server, retries=retries) as client:
        try:
            return client.send(operation), server.bodies
        except ApiError as error:
            return error, server.bodies


PING = operations.ping()
START = operations.execute_procedure_task_session(coordination_uuid="c", task_uuid="t")
START_OF = operations.execute_procedure_task_session(
    coordination_uuid="c", task_uuid="t", session_uuid="s"
)


@pytest.mark.parametrize(
    "reply",
    [
        BUSY,
        refused("INTERNAL", retryable=True),
        httpx.Response(503, text="Service Unavailable"),
        httpx.Response(429, json={"message": "Too Many Requests"}),
        httpx.Response(502),
        httpx.Response(504, json={"message": "Endpoint request timed out"}),
        httpx.Response(500, json={"message": "Internal Server Error"}),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
    ],
    ids=repr,
)
def test_a_query_is_sent_again_until_it_is_answered(reply: Reply) -> None:
    result, bodies = sent([reply, reply, PONG], PING)
    assert result == "Hello at 1"
    assert bodies == [{"query": PING.document, "variables": {}, "operationName": None}] * 3


@pytest.mark.parametrize(
    "reply",
    [
        refused("BAD_USER_INPUT"),
        refused("INTERNAL"),
        refused("INTERNAL", retryable=False),
        refused("CONFLICT", retryable="yes"),
        httpx.Response(401, json={"message": "Unauthorized"}),
        httpx.Response(404, text="not here"),
        httpx.Response(200, text="<html>"),
        httpx.Response(302, headers={"location": "http://other"}),
    ],
    ids=repr,
)
def test_what_would_fail_again_is_sent_once(reply: httpx.Response) -> None:
    error, bodies = sent([reply], PING)
    assert (error.retryable, len(bodies)) == (False, 1)


def test_of_several_errors_all_must_be_retryable() -> None:
    both = httpx.Response(
        200,
        json={
            "errors": [
                {"message": "a", "extensions": {"code": "THROTTLED", "retryable": True}},
                {"message": "b", "extensions": {"code": "CONFLICT"}},
            ]
        },
    )
    error, bodies = sent([both], PING)
    assert (str(error), error.code, len(bodies)) == ("a; b", "THROTTLED", 1)
    assert [each.code for each in error.problems] == ["THROTTLED", "CONFLICT"]


@pytest.mark.parametrize("reply", [BUSY, httpx.Response(503), httpx.ReadTimeout("slow")], ids=repr)
def test_a_mutation_that_would_happen_twice_is_sent_once(reply: Reply) -> None:
    error, bodies = sent([reply], START)
    assert isinstance(error, Throttled | Unreachable)
    assert (error.retryable, len(bodies)) == (True, 1)


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")],
    ids=repr,
)
def test_what_never_left_is_sent_again_whatever_it_is(error: Exception) -> None:
    _, bodies = sent([error, refused("NOT_FOUND")], START)
    assert len(bodies) == 2


def test_a_start_under_a_uuid_of_the_client_is_sent_again_as_it_was() -> None:
    fields = {"sessionUuid": "s"}
    started = {"executeProcedureTaskSession": {"procedureTaskSession": fields}}
    answer = httpx.Response(200, json={"data": started})
    result, bodies = sent([httpx.ReadTimeout("slow"), answer], START_OF)
    assert isinstance(result, UnexpectedAnswer)  # it does not have all fields
    assert [each["variables"]["sessionUuid"] for each in bodies] == ["s", "s"]


def test_attempts_are_bounded() -> None:
    error, bodies = sent([BUSY] * 9, PING)
    assert (type(error), error.code, len(bodies)) == (Throttled, "THROTTLED", 5)
    assert len(sent([BUSY], PING, NO_RETRIES)[1]) == 1


def test_the_time_is_bounded() -> None:
    limits = Retries(attempts=100, seconds=0.05, first=0.01, longest=0.02)
    began = time.monotonic()
    error, bodies = sent([BUSY] * 100, PING, limits)
    assert isinstance(error, Throttled)
    assert 2 <= len(bodies) < 100
    assert time.monotonic() - began < 5


def test_a_wait_that_the_server_asks_for_is_kept_or_given_up() -> None:
    def busy(seconds: str) -> httpx.Response:
        return httpx.Response(503, headers={"retry-after": seconds})

    began = time.monotonic()
    assert sent([busy("0.2"), PONG], PING)[0] == "Hello at 1"
    assert time.monotonic() - began >= 0.2
    error, bodies = sent([busy("3600")], PING)
    assert (error.retry_after, len(bodies)) == (3600.0, 1)


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_time_to_wait_is_a_number_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == expected


def test_pauses_grow_and_are_spread() -> None:
    retries = Retries(first=1, longest=4, attempts=9, seconds=100)

    def pauses(attempt: int) -> list[float]:
        error = Throttled("busy", retryable=True)
        found = [retries.pause(error, attempt, 0, repeatable=True) for _ in range(200)]
        return [each for each in found if each is not None]

    for attempt, most in ((1, 1), (2, 2), (3, 4), (8, 4)):
        assert most / 2 < max(pauses(attempt)) <= most
        assert min(pauses(attempt)) < most / 4
    assert pauses(9) == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ ping }", 2),
        ("query { ping }", 2),
        ("# mutation\nquery { ping }", 1),  # in doubt, it is sent once
        ("mutation { deleteTask { ok } }", 1),
        ("fragment F on Query { ping } mutation { deleteTask { ok } }", 1),
        ("query { askOperationHub(userQuery: 1) { runUuid } }", 1),
    ],
)
def test_a_document_is_sent_again_if_it_surely_reads(document: str, expected: int) -> None:
    server = Server(BUSY, PONG)
    with Client("http://h", transport=server, retries=Retries(attempts=2, first=0)) as client:
        if expected == 2:
            assert client.execute(document) == {"ping": "Hello at 1"}
        else:
            with pytest.raises(Throttled):
                client.execute(document)
    assert len(server.bodies) == expected


def test_the_caller_may_say_that_a_mutation_is_repeatable() -> None:
    server = Server(BUSY, PONG)
    with Client("http://h", transport=server, retries=QUICK) as client:
        client.execute("mutation { mine }", {"a": 1}, operation_name="M", repeatable=True)
    body = {"query": "mutation { mine }", "variables": {"a": 1}, "operationName": "M"}
    assert server.bodies == [body, body]


def is_repeatable(make: Callable[..., Operation[Any]], **given: Any) -> bool:
    needed = {
        name: "x"
        for name in make.__annotations__
        if name not in (make.__kwdefaults__ or {}) and name != "return"
    }
    dates = {name: NOW for name in ("from_", "to") if name in needed}
    return make(**{**needed, **dates, **given}).repeatable


def test_what_is_repeatable() -> None:
    mutations = {
        name: each
        for name, each in vars(operations).items()
        if callable(each) and getattr(operations, f"_{name.upper()}", "").startswith("\nmutation")
    }
    assert len(mutations) > 25
    own = {snake(key): snake(value) for key, value in _OWN_UUID.items()}
    assert set(own) | {snake(each) for each in _ALWAYS} <= set(mutations)
    for name, make in mutations.items():
        options = make.__kwdefaults__ or {}
        if name in {snake(each) for each in _ALWAYS}:
            assert is_repeatable(make)
            continue
        required = own.get(name) in make.__annotations__ and own.get(name) not in options
        assert is_repeatable(make) is required, name
        if "idempotency_key" in options:
            assert is_repeatable(make, idempotency_key="k")
            assert not is_repeatable(make, idempotency_key=None)
        if name in own and own[name] in options:
            assert is_repeatable(make, **{own[name]: "u"})


def snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)
