"""Errors of common servers are reduced to a message for people and a class for the policy."""

import json
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes.error_documents import (
    MESSAGE_LIMIT,
    error_in,
    read_error,
)

OPENAI_QUOTA = {
    "error": {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": None}
}
OPENAI_LIMIT = {
    "error": {"message": "Slow.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
}
AZURE = {"statusCode": 401, "message": "Access denied due to invalid subscription key."}
GEMINI = [
    {
        "error": {
            "code": 400,
            "message": "Unknown name thinking",
            "status": "INVALID_ARGUMENT",
            "details": [],
        }
    }
]
MISTRAL = {
    "object": "error",
    "message": {"detail": [{"loc": ["body", "n"], "msg": "not allowed"}]},
    "type": "x",
}
VLLM = {
    "object": "error",
    "message": "This model has 4096 tokens",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}
FASTAPI = {
    "detail": [
        {"loc": ["body", "model"], "msg": "Field required", "type": "missing"},
        {"loc": [], "msg": "b"},
    ]
}
OPENROUTER = {
    "error": {
        "message": "Provider returned error",
        "code": 429,
        "metadata": {"raw": "too many requests"},
    }
}
SPRING = {
    "timestamp": "2026",
    "status": 500,
    "error": "Internal Server Error",
    "message": "boom",
    "path": "/x",
}


@pytest.mark.parametrize(
    ("status", "body", "words", "error_class", "retryable"),
    [
        (429, OPENAI_QUOTA, "You exceeded your quota.", "invalid_request", False),
        (429, OPENAI_LIMIT, "Slow.", "rate_limit", True),
        (
            400,
            {"error": {"message": "Too long", "code": "context_length_exceeded"}},
            *("Too long", "invalid_request", False),
        ),
        (
            404,
            {"error": {"message": "No m", "code": "model_not_found"}},
            "No m",
            "invalid_request",
            False,
        ),
        (401, AZURE, AZURE["message"], "invalid_request", False),
        (
            400,
            {"error": {"code": "content_filter", "message": "Filtered"}},
            "Filtered",
            "invalid_request",
            False,
        ),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            "Busy",
            "unavailable",
            True,
        ),
        (400, GEMINI, "Unknown name thinking", "invalid_request", False),
        (422, MISTRAL, "body.n: not allowed", "invalid_request", False),
        (400, VLLM, "This model has 4096 tokens", "invalid_request", False),
        (404, {"error": "model 'x' not found"}, "model 'x' not found", "invalid_request", False),
        (
            503,
            {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
            *("Loading model", "unavailable", True),
        ),
        (409, {"error": "model is loading"}, "model is loading", "unavailable", True),
        (
            500,
            {"error": {"message": "litellm: no", "type": "None", "code": "500"}},
            "litellm: no",
            "unavailable",
            True,
        ),
        (422, FASTAPI, "body.model: Field required; : b", "invalid_request", False),
        (
            403,
            {"type": "about:blank", "title": "Out of credit", "status": 403, "detail": "30 left"},
            *("Out of credit: 30 left", "invalid_request", False),
        ),
        (500, SPRING, "Internal Server Error: boom", "unavailable", True),
        (
            400,
            {"statusCode": 400, "message": ["a", "b"], "error": "Bad Request"},
            "Bad Request: a; b",
            "invalid_request",
            False,
        ),
        (403, {"message": "Forbidden"}, "Forbidden", "invalid_request", False),
        (
            403,
            {"Message": "User is not authorized"},
            "User is not authorized",
            "invalid_request",
            False,
        ),
        (
            400,
            {"__type": "ThrottlingException", "message": "Rate exceeded"},
            "Rate exceeded",
            "rate_limit",
            True,
        ),
        (
            400,
            {"error": "invalid_client", "error_description": "Bad secret"},
            *("invalid_client: Bad secret", "invalid_request", False),
        ),
        (
            422,
            {"errors": [{"status": "422", "title": "Wrong", "detail": "too short"}]},
            "Wrong: too short",
            "invalid_request",
            False,
        ),
        (
            400,
            {"success": False, "errors": [{"code": 7009, "message": "Upstream"}]},
            "Upstream",
            "invalid_request",
            False,
        ),
        (
            502,
            {"errorMessage": "died", "errorType": "Runtime.ExitError"},
            "died",
            "unavailable",
            True,
        ),
        (429, OPENROUTER, "Provider returned error: too many requests", "rate_limit", True),
        (400, {}, "", "invalid_request", False),
        (500, {"error": {"message": {"odd": 1}}}, "", "unavailable", True),
        (400, {"error": {"message": "", "type": None}}, "", "invalid_request", False),
    ],
)
def test_the_documents_of_the_common_servers(
    status: int, body: Any, words: str, error_class: str, *, retryable: bool
) -> None:
    found = read_error(json.dumps(body), status)
    assert (found.message, found.error_class, found.retryable) == (words, error_class, retryable)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("upstream\tconnect\r\nerror", "upstream connect error"),
        ("\x1b[31mred\x1b[0m \u202etxet", "[31mred [0m txet"),
        (
            "<html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>",
            "502 Bad Gateway",
        ),
        (
            (
                "<!DOCTYPE html><style>p {}</style><script>x()</script><p>Down for <b>repairs</b>"
                " &amp; paint"
            ),
            "Down for repairs & paint",
        ),
        ("<title></title><h1>Oops</h1><!-- secret -->", "Oops"),
        (
            "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No</Message></Error>",
            "AccessDenied No",
        ),
        ("x" * 5_000, "x" * MESSAGE_LIMIT),
        ("[" * 200_000, "[" * MESSAGE_LIMIT),
        (json.dumps({"message": "y" * 5_000}), "y" * MESSAGE_LIMIT),
        (
            json.dumps(
                {"error": {"error": {"error": {"error": {"error": {"error": {"error": "deep"}}}}}}}
            ),
            "",
        ),
    ],
)
def test_any_other_body_is_one_bounded_line_without_tags_and_controls(
    text: str, words: str
) -> None:
    assert read_error(text, 502).message == words


@pytest.mark.parametrize("page", ["<!--" * 1_000, "<script" * 1_000, "<title" * 1_000, "<" * 4_000])
def test_a_hostile_page_takes_no_time(page: str) -> None:
    assert read_error(page * 100, 500).error_class == "unavailable"


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        ({"error": {"code": 402}}, "invalid_request"),
        ({"error": {"code": 429}}, "rate_limit"),
        ({"error": {"code": 503}}, "unavailable"),
        ({"error": {"code": "rate_limit_exceeded", "type": "invalid_request_error"}}, "rate_limit"),
        ({"error": {"code": 429, "type": "insufficient_quota"}}, "invalid_request"),
        ({"error": {"code": "server_error"}}, "unavailable"),
        ({"error": {"status": "UNAVAILABLE"}}, "unavailable"),
        ({"error": {"status": "DEADLINE_EXCEEDED"}}, "timeout"),
        ({"error": {"status": "INVALID_ARGUMENT"}}, "invalid_request"),
        ({"error": {"type": "authentication_error"}}, "invalid_request"),
        ({"error": "rate_limited"}, "rate_limit"),
        ({"error": "no such thing as a rate limit"}, None),
        ({"error": {"code": -32603}}, None),
        ({"error": {"code": True}}, None),
        ({"error": {"code": 9999}}, None),
        ({"message": "hello"}, None),
        (["rate_limit"], None),
        ([], None),
        ("rate_limit", None),
        (None, None),
    ],
)
def test_a_code_says_the_class_where_the_status_said_success(
    body: Any, error_class: str | None
) -> None:
    assert error_in(body).error_class == error_class
