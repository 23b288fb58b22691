"""Agents of Bedrock AgentCore over real HTTP: requests fit the model of the service."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest

from ai_coordination_engine.adapters.runtimes.agentcore import AgentCoreRuntime, session_id
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import AgentCoreRuntime as Hosted
from tests.kit.aws_answers import error

ARN = "arn:aws:bedrock-agentcore:eu-central-1:111122223333:runtime/desk-Ab1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Requests = Callable[..., AgentRequest]


@pytest.fixture
def runtime(server: Any, monkeypatch: pytest.MonkeyPatch) -> AgentCoreRuntime:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return AgentCoreRuntime({"desk": Hosted(arn=ARN, qualifier="live")})


@pytest.fixture
def calling(agent_request: Requests) -> Requests:
    return partial(agent_request, runtime={"kind": "agentcore", "agent": "desk"})


def refused(runtime: AgentCoreRuntime, request: AgentRequest) -> tuple[str, str, bool]:
    with pytest.raises(AgentFailure) as raised:
        runtime.run(request)
    failure = raised.value
    return failure.message, failure.error_class, failure.retryable


def test_an_agent_gets_the_attempt_its_session_and_its_trace(
    server: Any, runtime: AgentCoreRuntime, calling: Requests
) -> None:
    server.answers({"output": "yes", "usage": {"inputTokens": 3}})
    request = calling(traceparent=TRACE, tracestate="a=1")
    assert runtime.run(request) == AgentResult("yes", {"input_tokens": 3})
    (received,) = server.received
    assert unquote(received.path) == f"/runtimes/{ARN}/invocations?qualifier=live"
    headers = received.headers
    name = "x-amzn-bedrock-agentcore-runtime-session-id"
    assert headers[name] == session_id(request)
    assert (headers["traceparent"], headers["tracestate"]) == (TRACE, "a=1")
    assert headers["content-type"] == "application/json"
    assert "/eu-central-1/bedrock-agentcore/" in headers["authorization"]
    body = received.json()
    assert (body["prompt"], body["input"]) == ("Write a line.", "Write a line.")
    assert (body["idempotencyKey"], body["runUuid"]) == ("operation-1", "run-1")


def test_a_thread_is_one_session_and_tenants_share_none(calling: Requests) -> None:
    one, again = session_id(calling()), session_id(calling(run_uuid="run-2", attempt=2))
    others = session_id(calling(thread_uuid="t")), session_id(calling(tenant="other"))
    assert one == again
    assert len({one, *others}) == 3
    assert {len(each) for each in (one, *others)} == {36}


@pytest.mark.parametrize(
    ("answered", "content_type", "output"),
    [
        ({"result": "yes"}, "application/json", '{"result": "yes"}'),
        ("yes", "application/json", "yes"),
        ([1, 2], "application/json", "[1, 2]"),
        ("schön".encode(), "text/plain; charset=utf-8", "schön"),
        (b"not {json", "application/json", "not {json"),
    ],
)
def test_an_answer_without_an_output_is_the_output(
    server: Any,
    runtime: AgentCoreRuntime,
    calling: Requests,
    answered: Any,
    content_type: str,
    output: str,
) -> None:
    server.answers(answered, headers={"Content-Type": content_type})
    assert runtime.run(calling()).output == output


def streamed(server: Any, *events: str, end: str = "\n\n") -> None:
    body = "".join(f"data: {each}{end}" for each in events).encode()
    server.answers(body, headers={"Content-Type": "text/event-stream; charset=utf-8"})


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_the_texts_of_a_stream_are_joined_and_seen_as_they_come(
    server: Any, runtime: AgentCoreRuntime, calling: Requests, end: str
) -> None:
    streamed(server, '"A "', '{"event": "other"}', '"l\u00efne"', "plain", end=end)
    seen: list[str] = []
    assert runtime.run(calling(on_delta=seen.append)).output == "A lïneplain"
    assert seen == ["A ", "lïne", "plain"]


def test_a_stream_may_end_with_the_answer_as_a_document(
    server: Any, runtime: AgentCoreRuntime, calling: Requests
) -> None:
    streamed(server, '"A "', '"line"', '{"output": "A line.", "usage": {"outputTokens": 2}}')
    assert runtime.run(calling()) == AgentResult("A line.", {"output_tokens": 2})


@pytest.mark.parametrize(
    ("answered", "message", "error_class", "retryable"),
    [
        ({"error": "no such order"}, "failed: no such order", "error", False),
        ({"error": {"code": "rate_limit", "message": "slow"}}, "failed: slow", "rate_limit", True),
        (b"", "answered with nothing; send an output", "invalid_output", True),
    ],
)
def test_an_error_is_no_output(
    server: Any,
    runtime: AgentCoreRuntime,
    calling: Requests,
    answered: Any,
    message: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(answered)
    expected = f"the AgentCore agent 'desk' {message}"
    assert refused(runtime, calling()) == (expected, error_class, retryable)


def test_an_error_in_a_stream_fails_the_attempt(
    server: Any, runtime: AgentCoreRuntime, calling: Requests
) -> None:
    streamed(server, '"A "', json.dumps({"error": "boom", "error_type": "ValueError"}))
    message, error_class, retryable = refused(runtime, calling())
    assert message == "the AgentCore agent 'desk' failed: boom"
    assert (error_class, retryable) == ("error", False)
    streamed(server, '{"event": "other"}')
    assert refused(runtime, calling())[1:] == ("invalid_output", True)


def test_an_answer_that_is_too_large_is_not_kept(
    server: Any, runtime: AgentCoreRuntime, calling: Requests
) -> None:
    server.answers(b"x" * 5_000_001, headers={"Content-Type": "text/plain"})
    message = "the AgentCore agent 'desk' answered with more than 5 MB"
    assert refused(runtime, calling()) == (message, "invalid_output", True)


@pytest.mark.parametrize(
    ("code", "error_class", "retryable"),
    [
        ("ThrottlingException", "rate_limit", True),
        ("ServiceQuotaExceededException", "rate_limit", True),
        ("RetryableConflictException", "unavailable", True),
        ("InternalServerException", "unavailable", True),
        ("RuntimeClientError", "error", False),
        ("ValidationException", "invalid_request", False),
        ("ResourceNotFoundException", "invalid_request", False),
    ],
)
def test_errors_of_the_service_have_their_class(
    server: Any,
    runtime: AgentCoreRuntime,
    calling: Requests,
    code: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(**error("bedrock-agentcore", "InvokeAgentRuntime", code, "why"))
    message = "the AgentCore agent 'desk' refused the request: why"
    assert refused(runtime, calling()) == (message, error_class, retryable)
    assert len(server.received) == 1


def test_an_agent_that_is_not_offered_is_not_invoked(
    server: Any, runtime: AgentCoreRuntime, calling: Requests
) -> None:
    message = "the AgentCore agent 'x' is not offered; `runtime.agent` is one of: desk"
    request = calling(runtime={"kind": "agentcore", "agent": "x"})
    assert refused(runtime, request) == (message, "not_allowed", False)
    assert server.received == []
