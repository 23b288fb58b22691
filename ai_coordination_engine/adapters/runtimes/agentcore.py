"""Run agents that Amazon Bedrock AgentCore hosts, by InvokeAgentRuntime."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.adapters.runtimes.answer_documents import fields_of, parsed, result_of
from ai_coordination_engine.adapters.runtimes.attempts import payload
from ai_coordination_engine.adapters.runtimes.aws_service import AwsService, Called, chosen
from ai_coordination_engine.adapters.runtimes.error_documents import error_in
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import Undecodable, decode
from ai_coordination_engine.domain.ids import name_uuid
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import AgentCoreRuntime as Hosted
from ai_coordination_engine.settings import Settings

_SETTING = "ACE_AGENTCORE_RUNTIMES"
_LIMIT = 5_000_000  # bytes of an answer
_PART = 65_536


def load(settings: Settings, _: Secrets) -> "AgentCoreRuntime":
    """Create the runtime from the settings."""
    return AgentCoreRuntime(settings.agentcore_runtimes)


class AgentCoreRuntime:
    """Invokes the hosted agent that `runtime.agent` names in `hosted`.

    The payload is `attempts.payload` with the input as `prompt`, too. A thread is one session of
    AgentCore; tenants share none. The agent answers `{"output": …, "usage": {…}}`, any other JSON
    (the output itself), a text, or a stream of server-sent events, whose texts are joined.
    """

    def __init__(self, hosted: Mapping[str, Hosted]) -> None:
        self._hosted = hosted
        self._service = AwsService("bedrock-agentcore")

    def run(self, request: AgentRequest) -> AgentResult:
        """Invoke the agent and return its result; raises `AgentFailure`."""
        name, hosted = self.check(request.runtime)
        what = f"the AgentCore agent {name!r}"
        return self._service.call(
            partial(_answered, _asked(request, hosted), request, what),
            Called(what, "bedrock-agentcore:InvokeAgentRuntime", _SETTING),
            seconds=request.timeout_seconds,
            region=hosted.arn.split(":")[3],
        )

    def check(self, runtime: Mapping[str, object]) -> tuple[str, Hosted]:
        """Return the name and the hosted agent; raises `AgentFailure` when it is not allowed."""
        hosted = chosen(self._hosted, runtime, "agent", "the AgentCore agent")
        return str(runtime["agent"]), hosted


def session_id(request: AgentRequest) -> str:
    """The session of the thread: 36 characters; AgentCore asks for 33 at least."""
    thread = request.thread_uuid or request.session_agent_uuid
    return name_uuid(json.dumps(["agentcore", request.tenant, thread]))


def _asked(request: AgentRequest, hosted: Hosted) -> dict[str, Any]:
    body = {"prompt": request.input, **payload(request)}
    trace = {"traceParent": request.traceparent, "traceState": request.tracestate}
    return {
        "agentRuntimeArn": hosted.arn,
        "qualifier": hosted.qualifier,
        "runtimeSessionId": session_id(request),
        "contentType": "application/json",
        "accept": "application/json, text/event-stream",
        "payload": json_text.dumps(body, ascii_only=True).encode(),
        **{name: value for name, value in trace.items() if value},
    }


def _answered(
    asked: Mapping[str, Any], request: AgentRequest, what: str, client: Any
) -> AgentResult:
    found = client.invoke_agent_runtime(**asked)
    content_type = str(found.get("contentType") or "")
    parts = _limited(found["response"].iter_chunks(_PART), what)
    if content_type.lower().startswith("text/event-stream"):
        return _of_stream(parts, request, what)
    try:
        text = decode(b"".join(parts), content_type)
    except Undecodable as error:
        raise invalid_output(f"the answer of {what} {error}") from error
    if not text:
        raise invalid_output(f"{what} answered with nothing; send an output")
    body = parsed(text) if "json" in content_type.lower() else text
    return _of_document(text if body is None else body, request, what)


def _limited(parts: Iterable[bytes], what: str) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > _LIMIT:
            raise invalid_output(f"{what} answered with more than {_LIMIT // 1_000_000} MB")
        yield part


def _of_document(body: object, request: AgentRequest, what: str) -> AgentResult:
    """The result of a whole answer. Raises `AgentFailure` for a document of an error."""
    if not isinstance(body, dict):
        return answer(body)
    result = result_of(fields_of(body, request.output_schema or {}), what)
    if result is not None:
        return result
    if body.get("error"):
        raise _failed(body, what)
    return answer(body)


def _of_stream(parts: Iterable[bytes], request: AgentRequest, what: str) -> AgentResult:
    texts, last = [], None
    for event in _events(parts):
        value = parsed(event)
        if isinstance(value, dict):
            if value.get("error"):
                raise _failed(value, what)
            last = result_of(value, what) or last
            continue
        text = value if isinstance(value, str) else event
        texts.append(text)
        request.on_delta(text)
    if last is None and not texts:
        raise invalid_output(f"{what} sent a stream without an output")
    return last or answer("".join(texts))


def _events(parts: Iterable[bytes]) -> Iterator[str]:
    """The data of each event (WHATWG HTML, "Server-sent events")."""
    data: list[str] = []
    for line in _lines(parts):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    yield rest.decode("utf-8", "replace")


def _failed(body: Mapping[str, Any], what: str) -> AgentFailure:
    document = error_in(body)
    return AgentFailure(
        f"{what} failed: {document.message or 'it gave no reason'}",
        retryable=document.retryable,
        error_class=document.error_class or "error",
    )
