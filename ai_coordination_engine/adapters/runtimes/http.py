"""Run agents that are HTTP services: a signed POST of JSON to a URL that the operator allows."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import httpx

from ai_coordination_engine.adapters.runtimes.allowed_urls import is_under, parsed_url
from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.adapters.runtimes.answer_documents import (
    fields_of,
    no_output,
    parsed,
    result_of,
)
from ai_coordination_engine.adapters.runtimes.attempts import attempt_headers, payload
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.proxies import is_loopback
from ai_coordination_engine.adapters.runtimes.web import Reply, Web, redacting
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.settings import Settings

TIMESTAMP_HEADER = "X-Ace-Timestamp"
SIGNATURE_HEADER = "X-Ace-Signature"


def load(settings: Settings, secrets: Secrets) -> "HttpRuntime":
    """Create the runtime from the settings."""
    key, secret = settings.http_signing_key, settings.http_signing_key_secret
    signing_key: Callable[[], str] | None = None
    if secret:
        signing_key = partial(secrets.value, secret)
    elif key:
        signing_key = key.get_secret_value
    return HttpRuntime(settings.http_allowed_urls, signing_key=signing_key)


class HttpRuntime:
    """Posts the attempt to `runtime.url`, which must be under one of `allowed_urls`.

    Request: the JSON of `attempts.payload`. `Idempotency-Key` is the same for all attempts of an
    agent, so that a service can repeat its earlier answer. `X-Ace-Run` identifies the attempt.

    Response: `{"output": …, "usage": {…}}` (`usage` is optional) or a plain text. For a long job,
    `{"asyncTaskUuid": …, "heartbeatSeconds": …}` (the latter is optional); its output comes later.
    A response with status 202 must be a long job. A response with a JSON content type must be one
    of these objects. Another content type means plain text. Without a content type, the body is
    read as such an object if it is one, and otherwise as text.

    Signature, with a signing key: `X-Ace-Timestamp` holds Unix seconds. `X-Ace-Signature` is `v1=`
    and the hexadecimal HMAC-SHA256, under that key (UTF-8), of the timestamp, a dot and the bytes
    of the body. A receiver computes the same over the bytes that it received, compares in constant
    time, and refuses a timestamp that differs from its clock by some minutes.
    """

    def __init__(
        self,
        allowed_urls: Sequence[str],
        *,
        signing_key: Callable[[], str] | None = None,
        web: Web | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allowed = [url for text in allowed_urls if (url := parsed_url(text))]
        self._key = signing_key
        self._web = web or Web()
        self._now = now

    def run(self, request: AgentRequest) -> AgentResult:
        """Post the attempt and return its result; raises `AgentFailure`, retryable as in
        `Web.post`.
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
        service = f"the agent at {url.host}"
        with redacting([key]):
            reply = self._web.post(
                str(url), body, headers, seconds=request.timeout_seconds, service=service
            )
            return _read(reply, service, request.output_schema or {})

    def check(self, runtime: Mapping[str, object]) -> httpx.URL:
        """Return the URL in `runtime`; raises `AgentFailure` when it is not valid or not
        allowed.
        """
        text = runtime.get("url")
        url = parsed_url(text) if isinstance(text, str) else None
        if url is None:
            message = "`runtime.url` must be an absolute http(s) URL without credentials or `..`"
            raise AgentFailure(message, error_class="invalid_request")
        if url.scheme != "https" and not is_loopback(url.host):
            raise AgentFailure(
                f"the agent at {url.host} must be called by https", error_class="not_allowed"
            )
        if not any(is_under(url, prefix) for prefix in self._allowed):
            message = (
                f"the URL of the agent at {url.host} is not among those allowed by the settings"
            )
            raise AgentFailure(message, error_class="not_allowed")
        return url


def sign(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header; `timestamp` is Unix seconds as text."""
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _read(reply: Reply, service: str, schema: Mapping[str, Any]) -> AgentResult:
    says_json = "json" in reply.content_type.lower()
    says_other = bool(reply.content_type) and not says_json
    is_accepted = reply.status == HTTPStatus.ACCEPTED
    if says_other and not is_accepted:
        return answer(_text_of(reply, service))
    body = parsed(reply.text)
    fields = fields_of(body, schema)
    is_job = fields.get("asyncTaskUuid") is not None
    if is_accepted and not is_job:
        message = (
            f'{service} answered 202 without {{"asyncTaskUuid": "…"}} of a long job; send an output'
            " with 200"
        )
        raise invalid_output(message)
    if (result := result_of(fields, service)) is not None:
        return result
    if not says_json and "output" not in fields:
        return answer(_text_of(reply, service))
    raise no_output(body, service, reply.retry_after)


def _text_of(reply: Reply, service: str) -> str:
    """Return the text of the answer; an empty body is an error, while `{"output": ""}` is an
    answer.
    """
    if not reply.text:
        raise invalid_output(
            f"{service} answered {reply.status} with an empty body; send an output"
        )
    return reply.text
