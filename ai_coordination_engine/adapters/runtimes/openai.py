"""Run agents that are language models behind an OpenAI-compatible chat completions endpoint."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.adapters.runtimes.attempts import attempt_headers
from ai_coordination_engine.adapters.runtimes.completion_stream import CompletionStream
from ai_coordination_engine.adapters.runtimes.completions import read_completion, usage_of
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.web import (
    ANSWER_LIMIT,
    Reply,
    Web,
    is_stream,
    more_than,
    redacting,
)
from ai_coordination_engine.domain.budgets import limited
from ai_coordination_engine.domain.runtimes import MODEL_PARAMETERS
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings

# Keys that a record must not set: the operator decides where requests go and who pays for them.
_OPERATOR_KEYS = {"apikey", "apikeysecret", "baseurl", "apibase", "authorization", "headers", "url"}
_OPENAI = ("openai", "azure")
_PATH = "/chat/completions"
_SECRET = re.compile("key|token|secret|sig|password|auth|credential|code", re.IGNORECASE)


def load(settings: Settings, secrets: Secrets) -> "OpenAIRuntime":
    """Create the runtime from the settings."""
    return OpenAIRuntime(settings.openai_endpoints, secrets)


class OpenAIRuntime:
    """Asks the model `runtime.model` at the endpoint `runtime.endpoint`, or at `default`.

    URL and key come from the settings: `endpoints` maps names to them. The instructions become the
    system message; the thread and the input follow. `usage` has the counts of tokens, `model` and
    `provider`: the endpoint's own, or the host of its URL. A text that was cut off at the token
    limit is kept, with `finish_reason: length` in `usage`. While somebody watches, the answer is
    read as a stream.
    """

    def __init__(
        self, endpoints: Mapping[str, OpenAIEndpoint], secrets: Secrets, *, web: Web | None = None
    ) -> None:
        self._endpoints = endpoints
        self._secrets = secrets
        self._web = web or Web()

    def run(self, request: AgentRequest) -> AgentResult:
        """Ask once and return the result; raises `AgentFailure`, whose message never contains the
        key.
        """
        ends = time.monotonic() + request.timeout_seconds
        name, endpoint = self.check(request.runtime)
        service = f"the model endpoint {name!r}"
        question = _question(request, endpoint)
        key = self._key(endpoint, service)
        with redacting([key, *_secrets(endpoint.base_url)]):
            post = partial(
                self._post,
                _address(endpoint.base_url),
                attempt_headers(request) | ({"Authorization": f"Bearer {key}"} if key else {}),
                ends,
                service,
            )
            streams = request.on_delta if request.is_watched else None
            provider = endpoint.provider or urlsplit(endpoint.base_url).hostname or ""
            try:
                content, usage = read_completion(post(question, streams), question, service)
            except AgentFailure as failure:
                if failure.usage:
                    failure.usage = {**failure.usage, "provider": provider}
                raise
            return answer(content, {**usage, "provider": provider})

    def _post(
        self,
        url: str,
        headers: Mapping[str, str],
        ends: float,
        service: str,
        question: Mapping[str, object],
        on_delta: Callable[[str], None] | None,
    ) -> Reply:
        """Send the question and return the reply; with `on_delta`, the answer streams, unless the
        endpoint refuses that.
        """
        post = partial(self._web.post, url, headers=headers, service=service)
        if on_delta is not None:
            stream = CompletionStream(on_delta)
            asked = {**question, "stream": True, "stream_options": {"include_usage": True}}
            try:
                reply = post(
                    body=json.dumps(asked).encode(),
                    seconds=ends - time.monotonic(),
                    watch=stream.feed,
                )
            except AgentFailure as failure:
                if failure.error_class != "invalid_request" or "stream" not in failure.message:
                    raise
            else:
                try:
                    return _whole(reply, stream, service)
                except AgentFailure as failure:
                    counted = "usage" in stream.fields
                    failure.usage = usage_of(stream.fields, question) if counted else {}
                    raise
        return post(body=json.dumps(question).encode(), seconds=ends - time.monotonic())

    def check(self, runtime: Mapping[str, object]) -> tuple[str, OpenAIEndpoint]:
        """Return the name and settings of the endpoint; raises `AgentFailure` when it is not
        configured.
        """
        if refused := [
            key
            for key in runtime
            if key.replace("_", "").replace("-", "").lower() in _OPERATOR_KEYS
        ]:
            raise AgentFailure(
                f"`runtime.{refused[0]}` is not allowed in a record: set addresses and keys in"
                " ACE_OPENAI_ENDPOINTS and name the endpoint in `runtime.endpoint`",
                error_class="not_allowed",
            )
        name = runtime.get("endpoint") or "default"
        if not isinstance(name, str) or name not in self._endpoints:
            known = ", ".join(sorted(self._endpoints)) or "none"
            hint = did_you_mean(name, self._endpoints) or ";"
            message = (
                f"the model endpoint {name!r:.100} is not configured{hint} configured: {known}"
            )
            raise AgentFailure(message, error_class="not_allowed")
        return name, self._endpoints[name]

    def _key(self, endpoint: OpenAIEndpoint, service: str) -> str:
        """Return the API key; empty for an endpoint that needs none, such as a local
        model server.
        """
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        if not key and endpoint.api_key_secret:
            key = read_key(
                partial(self._secrets.value, endpoint.api_key_secret), f"the key of {service}"
            )
        key = key.strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise AgentFailure(
                f"the key of {service} is not one line of plain text", error_class="not_allowed"
            )
        return key


def _whole(reply: Reply, stream: CompletionStream, service: str) -> Reply:
    """Return the reply as it would be without streaming."""
    if not (is_stream(reply.content_type) or stream.has_begun):
        return reply
    body = stream.body()
    if body is None:
        raise invalid_output(f"the answer of {service} was cut off")
    if len(body.encode()) > ANSWER_LIMIT:
        raise invalid_output(f"{service} answered with {more_than(ANSWER_LIMIT)}")
    return replace(reply, content_type="application/json", text=body)


def _question(request: AgentRequest, endpoint: OpenAIEndpoint) -> dict[str, object]:
    model = request.runtime.get("model") or endpoint.model
    if not isinstance(model, str):
        message = "`runtime.model` must name a model: the endpoint has no default model"
        raise AgentFailure(message, error_class="invalid_request")
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    turns = [{"role": each.role, "content": each.content} for each in request.thread]
    chosen = {
        name: request.runtime[name]
        for name in MODEL_PARAMETERS
        if request.runtime.get(name) is not None
    }
    return {
        "model": model,
        "messages": [*system, *turns, {"role": "user", "content": request.input}],
        **_format(request),
        **limited(chosen, request.max_tokens, limit_of(endpoint)),
    }


def limit_of(endpoint: OpenAIEndpoint) -> str:
    """The parameter that limits the output: OpenAI's reasoning models take the new one only, and
    other servers may know the old one only.
    """
    host = urlsplit(endpoint.base_url).hostname or ""
    is_openai = endpoint.provider in _OPENAI or host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


def _format(request: AgentRequest) -> dict[str, object]:
    """Return the `response_format` for the schema that the engine needs, if any.

    See the OpenAI API reference, "Structured outputs". The record's own `response_format` overrides
    it, because some endpoints accept no schema.
    """
    schema = request.output_schema
    if schema is None:
        return {}
    shape = {"name": schema.get("title") or "answer", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _address(base_url: str) -> str:
    """Return the URL for completions; the path is added before the query, and only once."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
    return urlunsplit(parts._replace(path=path))


def _secrets(base_url: str) -> Iterator[str]:
    """Yield the values in the URL's query that messages must not show."""
    return (value for name, value in parse_qsl(urlsplit(base_url).query) if _SECRET.search(name))
