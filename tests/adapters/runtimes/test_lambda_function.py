"""Lambda functions as agents over real HTTP; `tests/deployment` runs one in the emulator."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest

from ai_coordination_engine.adapters.runtimes import aws_service
from ai_coordination_engine.adapters.runtimes.lambda_function import LambdaRuntime
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult, Message
from tests.kit.aws_answers import error

ARN = "arn:aws:lambda:eu-west-1:111122223333:function:writer:live"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Requests = Callable[..., AgentRequest]


@pytest.fixture
def runtime(server: Any, monkeypatch: pytest.MonkeyPatch) -> LambdaRuntime:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return LambdaRuntime({"writer": ARN, "reader": "my-reader"})


@pytest.fixture
def calling(agent_request: Requests) -> Requests:
    return partial(agent_request, runtime={"kind": "lambda", "function": "writer"})


def refused(runtime: LambdaRuntime, request: AgentRequest) -> tuple[str, str, bool]:
    with pytest.raises(AgentFailure) as raised:
        runtime.run(request)
    failure = raised.value
    return failure.message, failure.error_class, failure.retryable


def test_a_function_gets_the_attempt_with_both_its_keys_and_its_trace(
    server: Any, runtime: LambdaRuntime, calling: Requests
) -> None:
    server.answers({"output": {"a": 19.90}, "usage": {"inputTokens": 3}})
    result = runtime.run(calling(traceparent=TRACE, thread=[Message("user", "before")]))
    assert result == AgentResult('{"a": 19.9}', {"input_tokens": 3})
    (received,) = server.received
    path = f"/2015-03-31/functions/{ARN}/invocations"
    assert unquote(received.path) == path
    assert received.headers["x-amz-invocation-type"] == "RequestResponse"
    assert "/eu-west-1/lambda/" in received.headers["authorization"]
    event = received.json()
    assert (event["idempotencyKey"], event["runUuid"]) == ("operation-1", "run-1")
    assert (event["traceparent"], event["input"]) == (TRACE, "Write a line.")
    assert event["thread"] == [{"role": "user", "content": "before"}]
    assert "asyncTaskUuid" not in event


def test_a_function_by_name_is_in_the_region_of_the_worker(
    server: Any, runtime: LambdaRuntime, calling: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    server.answers("a text")
    found = runtime.run(calling(runtime={"kind": "lambda", "function": "reader"}))
    assert found.output == "a text"
    assert server.received[0].path == "/2015-03-31/functions/my-reader/invocations"
    assert "/eu-central-1/lambda/" in server.received[0].headers["authorization"]


def test_a_long_job_is_invoked_asynchronously_with_the_uuid_that_completes_it(
    server: Any, runtime: LambdaRuntime, calling: Requests
) -> None:
    server.answers(b"", status=202)
    job = {"kind": "lambda", "function": "writer", "long_job": True}
    assert runtime.run(calling(runtime=job)) == AgentResult("", async_task_uuid="run-1")
    (received,) = server.received
    assert received.headers["x-amz-invocation-type"] == "Event"
    event = received.json()
    assert (event["asyncTaskUuid"], event["idempotencyKey"]) == ("run-1", "operation-1")


def test_a_function_may_begin_a_long_job_itself(
    server: Any, runtime: LambdaRuntime, calling: Requests
) -> None:
    server.answers({"asyncTaskUuid": "job-1", "heartbeatSeconds": 60})
    found = runtime.run(calling())
    assert (found.async_task_uuid, found.heartbeat_seconds) == ("job-1", 60.0)


@pytest.mark.parametrize(
    ("answered", "output"),
    [
        ("", ""),
        ({"output": ""}, ""),
        ({"output": "a"}, "a"),
        ({"output": [1]}, "[1]"),
        ({"who": "ann"}, '{"who": "ann"}'),
    ],
)
def test_what_a_function_returns_is_read_as_of_a_service(
    server: Any, runtime: LambdaRuntime, calling: Requests, answered: Any, output: str
) -> None:
    server.answers(answered)
    schema = {"type": "object", "properties": {"who": {"type": "string"}}}
    assert runtime.run(calling(output_schema=schema)).output == output


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        (None, "the Lambda function 'writer' returned \"null\"; return an output"),
        (b"", "the Lambda function 'writer' returned \"\"; return an output"),
        ({}, "the Lambda function 'writer' answered JSON without `output` or `asyncTaskUuid`"),
        ([1], "the Lambda function 'writer' answered JSON without `output` or `asyncTaskUuid`"),
        ({"output": None}, "the Lambda function 'writer' answered an `output` of null"),
    ],
)
def test_what_is_no_answer_is_unfit(
    server: Any, runtime: LambdaRuntime, calling: Requests, answered: Any, message: str
) -> None:
    server.answers(answered)
    assert refused(runtime, calling()) == (message, "invalid_output", True)


@pytest.mark.parametrize(
    ("document", "message", "error_class", "retryable"),
    [
        (
            {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ["secret"]},
            "KeyError: 'x'",
            "error",
            False,
        ),
        ({"errorType": "TimeoutError", "errorMessage": "db"}, "TimeoutError: db", "timeout", True),
        (
            {"errorType": "ThrottlingException", "errorMessage": "slow"},
            "ThrottlingException: slow",
            "rate_limit",
            True,
        ),
        (
            {"errorMessage": "2026-11-26T09:00:00Z 1 Task timed out after 3.00 seconds"},
            "2026-11-26T09:00:00Z 1 Task timed out after 3.00 seconds",
            "timeout",
            True,
        ),
        (
            {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: 1 Error: Task timed out"},
            "Sandbox.Timedout: RequestId: 1 Error: Task timed out",
            "timeout",
            True,
        ),
        (
            {"errorType": "Runtime.ExitError"},
            "Runtime.ExitError: it gave no reason",
            "error",
            False,
        ),
        ({}, "it gave no reason", "error", False),
    ],
)
def test_an_error_of_the_function_is_final_unless_its_type_may_pass(
    server: Any,
    runtime: LambdaRuntime,
    calling: Requests,
    document: dict[str, Any],
    message: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(document, headers={"X-Amz-Function-Error": "Unhandled"})
    expected = f"the Lambda function 'writer' failed: {message}"
    assert refused(runtime, calling()) == (expected, error_class, retryable)


@pytest.mark.parametrize(
    ("code", "error_class", "retryable"),
    [
        ("TooManyRequestsException", "rate_limit", True),
        ("ResourceNotFoundException", "invalid_request", False),
        ("RequestTooLargeException", "invalid_request", False),
        ("ResourceConflictException", "unavailable", True),
        ("SnapStartTimeoutException", "timeout", True),
        ("KMSDisabledException", "unavailable", True),
        ("ServiceException", "unavailable", True),
    ],
)
def test_errors_of_the_service_have_their_class(
    server: Any,
    runtime: LambdaRuntime,
    calling: Requests,
    code: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(**error("lambda", "Invoke", code, "Rate exceeded"))
    message = "the Lambda function 'writer' refused the request: Rate exceeded"
    assert refused(runtime, calling()) == (message, error_class, retryable)
    assert len(server.received) == 1


def test_who_lacks_a_permission_is_told_which(
    server: Any, runtime: LambdaRuntime, calling: Requests
) -> None:
    server.answers({"Message": "no"}, 403, headers={"x-amzn-ErrorType": "AccessDeniedException"})
    message, error_class, _ = refused(runtime, calling())
    assert error_class == "not_allowed"
    assert "lambda:InvokeFunction for what ACE_LAMBDA_FUNCTIONS names" in message


def test_the_service_may_say_when_to_try_again(
    server: Any, runtime: LambdaRuntime, calling: Requests
) -> None:
    told = error("lambda", "Invoke", "TooManyRequestsException", "Rate exceeded")
    server.answers(**{**told, "headers": {**told["headers"], "Retry-After": "7"}})
    with pytest.raises(AgentFailure) as raised:
        runtime.run(calling())
    assert raised.value.retry_after == 7.0


@pytest.mark.parametrize(("is_job", "size"), [(False, 6_291_456), (True, 1_048_576)])
def test_an_attempt_that_lambda_does_not_take_is_not_sent(
    server: Any, runtime: LambdaRuntime, calling: Requests, is_job: bool, size: int
) -> None:
    at = {"kind": "lambda", "function": "writer", "long_job": is_job}
    message, error_class, retryable = refused(runtime, calling(runtime=at, input="x" * size))
    assert message.endswith(
        f" bytes, and the Lambda function 'writer' takes {size}: give it less input"
    )
    assert (error_class, retryable, server.received) == ("invalid_request", False, [])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "None is not offered; `runtime.function` is one of: reader, writer"),
        ({"function": ARN}, "is not offered; `runtime.function` is one of: reader, writer"),
        ({"function": "writer", "long_job": "no"}, "`runtime.longJob` must be true or false"),
    ],
)
def test_what_is_not_allowed_is_not_invoked(
    server: Any, runtime: LambdaRuntime, calling: Requests, given: dict[str, Any], message: str
) -> None:
    found, _, retryable = refused(runtime, calling(runtime={"kind": "lambda", **given}))
    assert message in found
    assert (retryable, server.received) == (False, [])


def test_a_service_that_cannot_be_reached_may_be_tried_again(
    runtime: LambdaRuntime, calling: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    message = "the Lambda function 'writer' cannot be reached: EndpointConnectionError"
    assert refused(runtime, calling()) == (message, "unavailable", True)


def test_without_credentials_nothing_is_called(
    runtime: LambdaRuntime, calling: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    message, error_class, retryable = refused(runtime, calling())
    assert message == "the Lambda function 'writer' cannot be called: Unable to locate credentials"
    assert (error_class, retryable) == ("not_allowed", False)


def test_a_client_waits_at_least_as_long_as_the_attempt_and_repeats_nothing() -> None:
    service = aws_service.AwsService("lambda")
    found = [service._client(seconds, "eu-west-1") for seconds in (1, 15, 16, 840)]
    assert [each.meta.config.read_timeout for each in found] == [15, 15, 60, 900]
    assert found[0] is found[1]
    assert {each.meta.config.retries["total_max_attempts"] for each in found} == {1}
