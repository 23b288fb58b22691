import datetime
import gzip
import zlib
from typing import Any

import httpx
import pytest
import time_machine

from ai_coordination_engine.adapters.runtimes.web import (
    ANSWER_LIMIT,
    Reply,
    Web,
    redacting,
)
from ai_coordination_engine.runtime_ports import AgentFailure


def post(web: Web, url: str = "http://127.0.0.1:1/") -> Reply:
    return web.post(url, b"{}", {}, seconds=5, service="it")


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
    assert (failure.message, failure.error_class) == (
        "it answered with more than 5 MB",
        "invalid_output",
    )
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
        ("1.5", 1.5),
        ("0.25", 0.25),
        (".5", 0.5),
        ("2.", 2),
        (" 3 ", 3),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("1,5", None),
        ("Fri, 99 Zzz 2026 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, 86_400),
        ("Fri, 02 Jan 2099 00:00:00 GMT", 86_400),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_both_forms_of_retry_after_are_understood(
    server: Any, status: int, header: str, seconds: float | None
) -> None:
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
        (402, "invalid_request", False),
        (408, "timeout", True),
        (409, "unavailable", True),
        (425, "unavailable", True),
        (429, "rate_limit", True),
        (500, "unavailable", True),
        (599, "unavailable", True),
    ],
)
def test_a_status_tells_the_class_of_the_failure(
    server: Any, status: int, error_class: str, retryable: bool
) -> None:
    server.answers(b"", status, headers={"Location": "/elsewhere"} if status == 302 else {})
    failure = failure_of(Web(), server.url)
    assert (failure.error_class, failure.retryable) == (error_class, retryable)


def test_nobody_there_is_unavailable_and_too_slow_a_timeout(server: Any, dead_url: str) -> None:
    assert failure_of(Web(), dead_url).error_class == "unavailable"
    server.answers(b"late", silent=True)
    with pytest.raises(AgentFailure) as failure:
        Web().post(server.url, b"{}", {}, seconds=0.1, service="it")
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
        (b"<html><body>502 Bad Gateway", ": 502 Bad Gateway"),
        (b"[" * 200_000, ": " + "[" * 300),
        (b"x" * 5000, ": " + "x" * 300),
    ],
)
def test_what_an_error_says_to_people_is_quoted_in_one_line(
    server: Any, body: Any, detail: str
) -> None:
    server.answers(body, 400)
    assert failure_of(Web(), server.url).message == f"it answered 400{detail}"


def _subclasses(base: type[httpx.RequestError]) -> list[type[httpx.RequestError]]:
    return [base, *(each for child in base.__subclasses__() for each in _subclasses(child))]


@pytest.mark.parametrize(
    "kind", sorted(set(_subclasses(httpx.RequestError)), key=lambda each: each.__name__)
)
def test_every_error_of_the_http_library_becomes_a_failure(kind: type[httpx.RequestError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind(
            "Illegal header value b'Bearer key'" if kind is httpx.LocalProtocolError else "broken"
        )

    failure = failure_of(Web(httpx.MockTransport(fail)))
    final = {"UnsupportedProtocol", "LocalProtocolError", "TooManyRedirects"}
    assert failure.retryable == (kind.__name__ not in final)
    assert "Bearer" not in failure.message


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("body", "coding", "message"),
    [
        (b"no gzip", "gzip", "it answered with a body that cannot be decompressed"),
        (packed(b"abc")[:-1], "gzip", "it answered with a body that cannot be decompressed"),
        (
            packed(b"abc") + packed(b"def"),
            "gzip",
            "it answered with a body that cannot be decompressed",
        ),
        (packed(b"x" * (ANSWER_LIMIT + 1)), "gzip", "it answered with more than 5 MB"),
        (
            packed(packed(b"abc")),
            "gzip, gzip",
            "it answered with the encoding 'gzip, gzip', which was not requested",
        ),
        (b"abc", "br", "it answered with the encoding 'br', which was not requested"),
    ],
)
def test_a_body_that_does_not_decode_or_is_a_bomb_is_a_failure_that_may_pass(
    server: Any, body: bytes, coding: str, message: str
) -> None:
    server.answers(body, headers={"Content-Encoding": coding})
    failure = failure_of(Web(), server.url)
    assert (failure.message, failure.error_class, failure.retryable) == (
        message,
        "invalid_output",
        True,
    )


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (packed(b"abc"), "gzip"),
        (packed(b"abc"), "x-gzip"),
        (zlib.compress(b"abc"), "Deflate"),
        (b"abc", "identity"),
    ],
)
def test_a_body_may_be_compressed_though_nobody_asked(
    server: Any, body: bytes, coding: str
) -> None:
    server.answers(body, headers={"Content-Encoding": coding})
    assert post(Web(), server.url).text == "abc"


def test_an_answer_that_breaks_off_may_pass(server: Any) -> None:
    server.answers(b"abc", headers={"Content-Length": "4"})
    failure = failure_of(Web(), server.url)
    assert (
        failure.message == "it cannot be reached: it closed the connection, or does not speak HTTP"
    )
    assert (failure.error_class, failure.retryable) == ("unavailable", True)


@pytest.mark.parametrize("status", [404, 405, 410])
def test_an_address_with_nothing_there_is_named_without_what_its_query_holds(
    server: Any, status: int
) -> None:
    server.answers({"detail": "Not Found"}, status)
    failure = failure_of(Web(), f"{server.url}/v2/chat?key=sk-1234#x")
    assert failure.message == f"it answered {status} for {server.url}/v2/chat: Not Found"


@pytest.mark.parametrize("retry_after", ["", "60"])
def test_milliseconds_win_over_seconds(server: Any, retry_after: str) -> None:
    server.answers(b"", 429, headers={"retry-after-ms": "1250.5", "Retry-After": retry_after})
    assert failure_of(Web(), server.url).retry_after == pytest.approx(1.2505)
    server.answers(b"", 429, headers={"retry-after-ms": "soon", "Retry-After": "7"})
    assert failure_of(Web(), server.url).retry_after == 7


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("ü".encode("utf-8-sig"), "application/json", "ü"),
        (b"\xfc", "text/plain; charset=iso-8859-1", "ü"),
        ("ü".encode("utf-16"), "text/plain; charset=utf-8", "ü"),
    ],
)
def test_a_body_is_decoded_as_it_says(
    server: Any, body: bytes, content_type: str, text: str
) -> None:
    server.answers(body, headers={"Content-Type": content_type})
    assert post(Web(), server.url) == Reply(content_type, text)
    server.answers(body, 400, headers={"Content-Type": content_type})
    assert failure_of(Web(), server.url).message == f"it answered 400: {text}"


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("text/plain", "the answer of it holds bytes that are not UTF-8"),
        ("text/plain; charset=zip", "the answer of it names the charset 'zip', which is not known"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_failure_and_never_other_letters(
    server: Any, content_type: str, message: str
) -> None:
    server.answers(b"Z\xfcrich", headers={"Content-Type": content_type})
    failure = failure_of(Web(), server.url)
    assert (failure.message, failure.error_class, failure.retryable) == (
        message,
        "invalid_output",
        True,
    )
    server.answers(b"Z\xfcrich", 503, headers={"Content-Type": content_type})
    assert failure_of(Web(), server.url).message == "it answered 503"


def test_a_secret_is_hidden_even_where_a_limit_cuts_it() -> None:
    secret = "sk-very-secret-0123456789"
    with pytest.raises(AgentFailure) as failure, redacting(["", secret]):
        raise AgentFailure(f"wrong key {secret}, key {secret[:9]}")
    assert (failure.value.message, str(failure.value)) == (
        "wrong key ***, key ***",
        "wrong key ***, key ***",
    )


@pytest.mark.parametrize(
    "url", ["http://[::1/", f"http://{'a' * 300}/", "http://xn--/", "http://..../"]
)
def test_an_invalid_url_is_a_final_failure(url: str) -> None:
    failure = failure_of(Web(), url)
    assert (failure.message, failure.retryable) == ("it has an invalid URL", False)
