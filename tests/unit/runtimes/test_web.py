import datetime
from typing import Any

import httpx
import pytest
import time_machine

from ai_coordination_engine.adapters.runtimes.web import ANSWER_LIMIT, Reply, Web
from ai_coordination_engine.ports import AgentFailure


def post(web: Web, url: str = "http://127.0.0.1:1/") -> Reply:
    return web.post(url, b"{}", {}, seconds=5, whom="it")


def failure_of(web: Web, url: str = "http://127.0.0.1:1/") -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        post(web, url)
    return failure.value


def test_an_answer_of_the_largest_size_arrives_whole(server: Any) -> None:
    server.answers(b"x" * ANSWER_LIMIT)
    assert post(Web(), server.url) == Reply("application/json", "x" * ANSWER_LIMIT)


def test_a_larger_answer_is_a_failure_that_may_pass(server: Any) -> None:
    server.answers(b"x" * (ANSWER_LIMIT + 1))
    failure = failure_of(Web(), server.url)
    assert (failure.message, failure.error_class) == ("it answered more than 5 MB", "invalid_output")
    assert failure.retryable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("Fri, 02 Jan 2026 00:01:30 GMT", 90),
        ("Fri, 02 Jan 2026 00:01:30 -0000", 90),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, 86_400),
        ("Fri, 02 Jan 2099 00:00:00 GMT", 86_400),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_both_forms_of_retry_after_are_understood(server: Any, status: int, header: str, seconds: float | None) -> None:
    server.answers(b"", status, headers={"Retry-After": header})
    with time_machine.travel(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), tick=False):
        failure = failure_of(Web(), server.url)
    assert (failure.message, failure.retryable) == (f"it answered {status}", True)
    assert failure.retry_after == seconds
    assert failure.error_class == {429: "rate_limit", 503: "unavailable"}[status]


@pytest.mark.parametrize(
    ("status", "error_class", "retryable"),
    [
        (302, "invalid_request", False),
        (400, "invalid_request", False),
        (401, "invalid_request", False),
        (404, "invalid_request", False),
        (408, "timeout", True),
        (429, "rate_limit", True),
        (500, "unavailable", True),
        (599, "unavailable", True),
    ],
)
def test_a_status_tells_the_class_of_the_failure(server: Any, status: int, error_class: str, retryable: bool) -> None:
    server.answers(b"", status, headers={"Location": "/elsewhere"} if status == 302 else {})
    failure = failure_of(Web(), server.url)
    assert (failure.error_class, failure.retryable) == (error_class, retryable)


def test_nobody_there_is_unavailable_and_too_slow_a_timeout(server: Any, dead_url: str) -> None:
    assert failure_of(Web(), dead_url).error_class == "unavailable"
    server.answers(b"late", silent=True)
    with pytest.raises(AgentFailure) as failure:
        Web().post(server.url, b"{}", {}, seconds=0.1, whom="it")
    assert (failure.value.error_class, failure.value.retryable) == ("timeout", True)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"error": {"message": "too hot"}}, ": too hot"),
        ({"error": "too hot"}, ": too hot"),
        ({"message": "too hot"}, ": too hot"),
        ({"detail": "too hot"}, ": too hot"),
        ({"detail": [{"loc": 1}]}, ""),
        ({"error": {"message": {"odd": 1}}}, ""),
        ([1], ""),
        (b"too\n\thot", ": too hot"),
        (b"<html><body>502 Bad Gateway", ""),
        (b"[" * 200_000, ": " + "[" * 300),
        (b"x" * 5000, ": " + "x" * 300),
    ],
)
def test_what_an_error_says_to_people_is_quoted_in_one_line(server: Any, body: Any, detail: str) -> None:
    server.answers(body, 400)
    assert failure_of(Web(), server.url).message == f"it answered 400{detail}"


def _subclasses(base: type[httpx.RequestError]) -> list[type[httpx.RequestError]]:
    return [base, *(each for child in base.__subclasses__() for each in _subclasses(child))]


@pytest.mark.parametrize("kind", sorted(set(_subclasses(httpx.RequestError)), key=lambda each: each.__name__))
def test_every_error_of_the_http_library_becomes_a_failure(kind: type[httpx.RequestError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind("Illegal header value b'Bearer key'" if kind is httpx.LocalProtocolError else "broken")

    failure = failure_of(Web(httpx.MockTransport(fail)))
    final = {"UnsupportedProtocol", "LocalProtocolError", "TooManyRedirects"}
    assert failure.retryable == (kind.__name__ not in final)
    assert "Bearer" not in failure.message


def test_a_body_that_does_not_decode_is_a_failure_that_may_pass(server: Any) -> None:
    server.answers(b"no gzip", headers={"Content-Encoding": "gzip"})
    failure = failure_of(Web(), server.url)
    assert (failure.message, failure.error_class) == ("it answered what does not decode", "invalid_output")
    assert failure.retryable


def test_an_invalid_url_is_a_final_failure() -> None:
    failure = failure_of(Web(), "http://[::1/")
    assert (failure.message, failure.retryable) == ("it has an invalid URL", False)


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    server: Any, dead_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", dead_url)
    monkeypatch.setenv("ALL_PROXY", dead_url)
    server.answers(b"direct")
    assert post(Web(), server.url).text == "direct"
