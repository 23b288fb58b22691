"""Agents that are HTTP services: a signed POST of JSON to a URL that the operator allows."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote

import httpx

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output, pending
from ai_coordination_engine.adapters.runtimes.error_documents import error_in
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.proxies import is_loopback
from ai_coordination_engine.adapters.runtimes.web import Reply, Web, attempt_headers, hiding
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult, Secrets
from ai_coordination_engine.settings import Settings

TIMESTAMP_HEADER = "X-Ace-Timestamp"
SIGNATURE_HEADER = "X-Ace-Signature"
# a step `.` or `..`, with either slash or a path parameter
_DOTS = re.compile(r"(?:^|[/\\])\.\.?(?:$|[/\\;#])")


def load(settings: Settings, secrets: Secrets) -> "HttpRuntime":
    """The runtime that the settings allow."""
    key, secret = settings.http_signing_key, settings.http_signing_key_secret
    signing_key: Callable[[], str] | None = None
    if secret:
        signing_key = partial(secrets.value, secret)
    elif key:
        signing_key = key.get_secret_value
    return HttpRuntime(settings.http_allowed_urls, signing_key=signing_key)


class HttpRuntime:
    """Posts the attempt to `runtime.url`, which must lie under one of `allowed_urls`, and reads the
    answer.

    The body is the JSON of `payload`, the answer `{"output": …, "usage": {…}}` (usage optional) or
    text; or, for a long job, `{"asyncTaskUuid": …, "heartbeatSeconds": …}` (the latter optional),
    whose output comes later. 202 is always a long job. What says that it is JSON must be one of
    these, what says that it is something else is text, and what says nothing is read as one of
    these where it is one. `Idempotency-Key` is the same for all attempts of an agent: a service
    that sees one twice may answer what it answered before. `X-Ace-Run` is the attempt's own.

    With a signing key, `X-Ace-Timestamp` holds Unix seconds and `X-Ace-Signature` `v1=` and the
    hexadecimal HMAC-SHA256, by that key (UTF-8), of the timestamp, a dot and the body's bytes. A
    receiver computes the same over the bytes it got, compares in constant time, and refuses a
    timestamp some minutes from its own.
    """

    def __init__(
        self,
        allowed_urls: Sequence[str],
        *,
        signing_key: Callable[[], str] | None = None,
        web: Web | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allowed = [url for text in allowed_urls if (url := _parsed(text))]
        self._key = signing_key
        self._web = web or Web()
        self._now = now

    def run(self, request: AgentRequest) -> AgentResult:
        """Post the attempt and read its answer; raises `AgentFailure`, retryable as `Web.post`
        says.
        """
        url = self.check(request.runtime)
        body = json_text.dumps(payload(request), ascii_only=True).encode()
        headers = {"Accept": "application/json, text/plain", **attempt_headers(request)}
        key = ""
        if self._key:
            key = read_key(self._key, "the key that signs the requests of http agents")
            timestamp = str(int(self._now()))
            headers |= {
                TIMESTAMP_HEADER: timestamp,
                SIGNATURE_HEADER: sign(key.encode(), timestamp, body),
            }
        whom = f"the agent at {url.host}"
        with hiding([key]):
            reply = self._web.post(
                str(url), body, headers, seconds=request.timeout_seconds, whom=whom
            )
            return _read(reply, whom)

    def check(self, runtime: Mapping[str, object]) -> httpx.URL:
        """The URL that `runtime` names; raises `AgentFailure` when it is unfit or not allowed."""
        text = runtime.get("url")
        url = _parsed(text) if isinstance(text, str) else None
        if url is None:
            message = "`runtime.url` must be an absolute http(s) URL without credentials or `..`"
            raise AgentFailure(message, error_class="invalid_request")
        if url.scheme != "https" and not is_loopback(url.host):
            raise AgentFailure(
                f"the agent at {url.host} must be called by https", error_class="not_allowed"
            )
        if not any(_is_under(url, prefix) for prefix in self._allowed):
            message = (
                f"the URL of the agent at {url.host} is not among those allowed by the settings"
            )
            raise AgentFailure(message, error_class="not_allowed")
        return url


def payload(request: AgentRequest) -> dict[str, object]:
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
    """`text` as the client itself reads it (a second parser might see another host); None if it is
    unfit.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None
    # Servers differ in how often they decode a path: look at what the most eager one would see.
    path = text.partition("?")[0]
    while path != (once_more := unquote(path)):
        path = once_more
    climbs = _DOTS.search(path)
    is_absolute = url.scheme in ("http", "https") and url.host
    return url if is_absolute and not url.userinfo and not climbs else None


def _is_under(url: httpx.URL, prefix: httpx.URL) -> bool:
    if (url.scheme, url.host, url.port) != (prefix.scheme, prefix.host, prefix.port):
        return False
    base, path = _path(prefix).rstrip(b"/"), _path(url)
    return path == base or path.startswith(base + b"/")


def _path(url: httpx.URL) -> bytes:
    """The path as it is sent: decoded, an escaped slash would pass for a boundary."""
    return url.raw_path.partition(b"?")[0]


def _read(reply: Reply, whom: str) -> AgentResult:
    says_json = "json" in reply.content_type.lower()
    says_other = bool(reply.content_type) and not says_json
    is_accepted = reply.status == HTTPStatus.ACCEPTED
    if says_other and not is_accepted:
        return answer(_present(reply, whom))
    body = _json(reply.text)
    fields = body if isinstance(body, dict) else {}
    if fields.get("asyncTaskUuid") is not None:
        return _pending(fields, whom)
    if is_accepted:
        message = (
            f'{whom} answered 202, which takes {{"asyncTaskUuid": "…"}} of a long job; send an'
            " output with 200"
        )
        raise invalid_output(message)
    if fields.get("output") is not None:
        return _answered(fields, whom)
    if not says_json and "output" not in fields:
        return answer(_present(reply, whom))
    raise _unusable(body, reply, whom)


def _answered(body: Mapping[str, object], whom: str) -> AgentResult:
    try:
        return answer(body["output"], body.get("usage"))
    except ValueError as error:  # what has more digits than Python calculates with
        raise invalid_output(f"{whom} answered something that is not JSON") from error


def _json(text: str) -> object:
    try:
        return json_text.loads(text)
    except json_text.NotJSON:
        return None


def _present(reply: Reply, whom: str) -> str:
    """The text of an answer; a body that is missing is none, while `{"output": ""}` is one."""
    if not reply.text:
        raise invalid_output(f"{whom} answered {reply.status} with an empty body; send an output")
    return reply.text


def _unusable(body: object, reply: Reply, whom: str) -> AgentFailure:
    """Why there is no output; an error that the body names says of which class."""
    if body is None:
        return invalid_output(f"{whom} answered something that is not JSON")
    problem = (
        "an `output` of null"
        if isinstance(body, dict) and "output" in body
        else "JSON without `output` or `asyncTaskUuid`"
    )
    document = error_in(body)
    error_class = document.error_class or "invalid_output"
    return AgentFailure(
        f"{whom} answered {problem}{': ' if document.words else ''}{document.words}",
        retryable=document.retryable or error_class == "invalid_output",
        retry_after=reply.retry_after,
        error_class=error_class,
    )


def _pending(body: Mapping[str, object], whom: str) -> AgentResult:
    try:
        return pending(body["asyncTaskUuid"], body.get("heartbeatSeconds"))
    except ValueError as error:
        raise invalid_output(f"{whom} answered: {error}") from error
