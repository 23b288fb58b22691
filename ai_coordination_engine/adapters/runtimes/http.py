"""Agents that are HTTP services: a signed POST of JSON to a URL that the operator allows."""

import hashlib
import hmac
import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import httpx

from ai_coordination_engine.adapters.runtimes.answer import answer, pending
from ai_coordination_engine.adapters.runtimes.web import Reply, Web
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult

TIMESTAMP_HEADER = "X-Ace-Timestamp"
SIGNATURE_HEADER = "X-Ace-Signature"
_DOTS = re.compile(r"(?:^|[/\\])\.\.?(?:$|[/\\;#])")  # a step `.` or `..`, with either slash or a path parameter


class HttpRuntime:
    """Posts the attempt to `runtime.url`, which must lie under one of `allowed_urls`, and reads the answer.

    The body is the JSON of `payload`, the answer `{"output": …, "usage": {…}}` (usage optional) or text; or, for a
    long job, `{"asyncTaskUuid": …, "heartbeatSeconds": …}` (the latter optional), whose output comes later.
    `Idempotency-Key` is the run's uuid: a service that sees one twice may answer what it answered before.

    With a signing key, `X-Ace-Timestamp` holds Unix seconds and `X-Ace-Signature` `v1=` and the hexadecimal
    HMAC-SHA256, by that key (UTF-8), of the timestamp, a dot and the body's bytes. A receiver computes the
    same over the bytes it got, compares in constant time, and refuses a timestamp some minutes from its own.
    """

    def __init__(
        self,
        allowed_urls: Sequence[str],
        *,
        signing_key: str | None = None,
        web: Web | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allowed = [url for text in allowed_urls if (url := _parsed(text))]
        self._key = signing_key.encode() if signing_key else None
        self._web = web or Web()
        self._now = now

    def run(self, request: AgentRequest) -> AgentResult:
        """Post the attempt and read its answer; raises `AgentFailure`, retryable as `Web.post` says."""
        url = self._checked(request.runtime.get("url"))
        body = json.dumps(payload(request)).encode()
        headers = {"Accept": "application/json, text/plain", "Idempotency-Key": request.run_uuid}
        if self._key:
            timestamp = str(int(self._now()))
            headers |= {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: sign(self._key, timestamp, body)}
        whom = f"the agent at {url.host}"
        reply = self._web.post(str(url), body, headers, seconds=request.timeout_seconds, whom=whom)
        return _read(reply, whom)

    def _checked(self, text: object) -> httpx.URL:
        url = _parsed(text) if isinstance(text, str) else None
        if url is None:
            message = "`runtime.url` must be an absolute http(s) URL without credentials or `..`"
            raise AgentFailure(message, error_class="invalid_request")
        if url.scheme != "https" and not _is_loopback(url.host):
            raise AgentFailure(f"the agent at {url.host} must be called by https", error_class="not_allowed")
        if not any(_is_under(url, prefix) for prefix in self._allowed):
            message = f"the URL of the agent at {url.host} is not among those allowed by the settings"
            raise AgentFailure(message, error_class="not_allowed")
        return url


def payload(request: AgentRequest) -> dict[str, Any]:
    """What an `http` agent receives: the whole attempt but its runtime, in camelCase."""
    return {
        "tenant": request.tenant,
        "sessionUuid": request.session_uuid,
        "sessionAgentUuid": request.session_agent_uuid,
        "runUuid": request.run_uuid,
        "attempt": request.attempt,
        "agentUuid": request.agent_uuid,
        "agentName": request.agent_name,
        "instructions": request.instructions,
        "input": request.input,
        "query": request.query,
        "taskQuery": request.task_query,
        "userInput": request.user_input,
        "predecessors": [
            {"agentUuid": each.agent_uuid, "agentName": each.agent_name, "output": each.output}
            for each in request.predecessors
        ],
        "inputFiles": list(request.input_files),
        "threadUuid": request.thread_uuid,
        "thread": [{"role": each.role, "content": each.content} for each in request.thread],
        "timeoutSeconds": request.timeout_seconds,
    }


def sign(key: bytes, timestamp: str, body: bytes) -> str:
    """The value of the signature header for `body` sent at `timestamp` (Unix seconds as text)."""
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _parsed(text: str) -> httpx.URL | None:
    """`text` as the client itself reads it (a second parser might see another host); None if it is unfit."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None
    # Servers differ in how often they decode a path: look at what the most eager one would see.
    climbs = _DOTS.search(unquote(unquote(text.partition("?")[0])))
    fit = url.scheme in ("http", "https") and url.host and not url.userinfo and not climbs
    return url if fit else None


def _is_under(url: httpx.URL, prefix: httpx.URL) -> bool:
    if (url.scheme, url.host, url.port) != (prefix.scheme, prefix.host, prefix.port):
        return False
    base, path = _path(prefix).rstrip(b"/"), _path(url)
    return path == base or path.startswith(base + b"/")


def _path(url: httpx.URL) -> bytes:
    """The path as it is sent: decoded, an escaped slash would pass for a boundary."""
    return url.raw_path.partition(b"?")[0]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(reply: Reply, whom: str) -> AgentResult:
    if "json" not in reply.content_type:
        return answer(reply.text)
    try:
        body = json.loads(reply.text)
    except (ValueError, RecursionError) as error:
        message = f"{whom} answered something that is not JSON"
        raise AgentFailure(message, error_class="invalid_output") from error
    if isinstance(body, dict) and body.get("asyncTaskUuid") is not None:
        return _pending(body, whom)
    if not isinstance(body, dict) or "output" not in body:
        message = f"{whom} answered JSON without `output` or `asyncTaskUuid`"
        raise AgentFailure(message, error_class="invalid_output")
    try:
        return answer(body["output"], body.get("usage"))
    except (ValueError, RecursionError) as error:  # NaN, which Python's reader takes
        message = f"{whom} answered something that is not JSON"
        raise AgentFailure(message, error_class="invalid_output") from error


def _pending(body: Mapping[str, Any], whom: str) -> AgentResult:
    try:
        return pending(body["asyncTaskUuid"], body.get("heartbeatSeconds"))
    except ValueError as error:
        raise AgentFailure(f"{whom} answered: {error}", error_class="invalid_output") from error
