"""Run agents that are AWS Lambda functions: invoked for the answer, or for a long job."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output, pending
from ai_coordination_engine.adapters.runtimes.answer_documents import (
    fields_of,
    no_output,
    parsed,
    result_of,
)
from ai_coordination_engine.adapters.runtimes.attempts import payload, trace_headers
from ai_coordination_engine.adapters.runtimes.aws_service import AwsService, Called, chosen
from ai_coordination_engine.adapters.runtimes.error_documents import error_in
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.settings import Settings

_SETTING = "ACE_LAMBDA_FUNCTIONS"
# Lambda quotas, "Invocation payload": of the request, and of an asynchronous one
LIMIT, LIMIT_OF_JOB = 6_291_456, 1_048_576


def load(settings: Settings, _: Secrets) -> "LambdaRuntime":
    """Create the runtime from the settings."""
    return LambdaRuntime(settings.lambda_functions)


class LambdaRuntime:
    """Invokes the function that `runtime.function` names in `functions`.

    The event is `attempts.payload`, with `traceparent` where there is a trace. The function returns
    `{"output": …, "usage": {…}}` (`usage` is optional), a text, or `{"asyncTaskUuid": …}` of a long
    job.

    With `runtime.longJob` it is invoked asynchronously: the event's `asyncTaskUuid` identifies the
    job, and its output comes with `completeAsyncTask`. Lambda may deliver such an event twice, and
    repeats it when the function fails: `idempotencyKey` tells.

    An error of the function is not retryable, unless its type is one that may pass, such as
    `TimeoutError` or `ThrottlingException`.
    """

    def __init__(self, functions: Mapping[str, str]) -> None:
        self._functions = functions
        self._service = AwsService("lambda")

    def run(self, request: AgentRequest) -> AgentResult:
        """Invoke the function and return its result; raises `AgentFailure`."""
        name, target = self.check(request.runtime)
        is_job, what = bool(request.runtime.get("long_job")), f"the Lambda function {name!r}"
        job = {"asyncTaskUuid": request.run_uuid} if is_job else {}
        event = {**payload(request), **trace_headers(request), **job}
        body = json_text.dumps(event, ascii_only=True).encode()
        _check_size(len(body), LIMIT_OF_JOB if is_job else LIMIT, what)
        status, text = self._service.call(
            partial(_invoked, target, body, is_job),
            Called(what, "lambda:InvokeFunction", _SETTING),
            seconds=request.timeout_seconds,
            region=_region(target),
        )
        if is_job:
            return pending(request.run_uuid)
        if status is not None:
            raise _failed(text, what)
        return _read(text, what, request.output_schema or {})

    def check(self, runtime: Mapping[str, object]) -> tuple[str, str]:
        """Return the name and the target of the function; raises `AgentFailure` when it is not
        allowed.
        """
        target = chosen(self._functions, runtime, "function", "the Lambda function")
        if not isinstance(runtime.get("long_job", False), bool):
            message = "`runtime.longJob` must be true or false"
            raise AgentFailure(message, error_class="invalid_request")
        return str(runtime["function"]), target


def _region(target: str) -> str | None:
    """The region of an ARN; None for a name."""
    parts = target.split(":")
    return parts[3] if parts[0] == "arn" else None


def _check_size(size: int, limit: int, what: str) -> None:
    if size > limit:
        message = f"the attempt has {size} bytes, and {what} takes {limit}: give it less input"
        raise AgentFailure(message, error_class="invalid_request")


def _invoked(target: str, body: bytes, is_job: bool, client: Any) -> tuple[str | None, str]:
    """Whether the function failed (Lambda's word for it), and its payload."""
    kind = "Event" if is_job else "RequestResponse"
    found = client.invoke(FunctionName=target, InvocationType=kind, Payload=body)
    return found.get("FunctionError"), found["Payload"].read().decode("utf-8", "replace")


def _failed(text: str, what: str) -> AgentFailure:
    body = parsed(text)
    fields = body if isinstance(body, dict) else {}
    document = error_in(fields)
    is_late = "timed out" in str(fields.get("errorMessage", "")).lower()
    error_class = "timeout" if is_late else document.error_class or "error"
    kind = f"{fields['errorType']}: " if isinstance(fields.get("errorType"), str) else ""
    return AgentFailure(
        f"{what} failed: {kind[:100]}{document.message or 'it gave no reason'}",
        retryable=is_late or document.retryable,
        error_class=error_class,
    )


def _read(text: str, what: str, schema: Mapping[str, Any]) -> AgentResult:
    body = parsed(text)
    if isinstance(body, str):
        return answer(body)
    if body is None:
        raise invalid_output(f"{what} returned {json.dumps(text[:20])}; return an output")
    result = result_of(fields_of(body, schema), what)
    if result is None:
        raise no_output(body, what)
    return result
