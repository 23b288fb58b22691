"""Agents that are language models behind an OpenAI-compatible chat completions endpoint."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ai_coordination_engine.adapters.runtimes.answer import answer
from ai_coordination_engine.adapters.runtimes.completions import read_completion
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.web import Web, attempt_headers, hiding
from ai_coordination_engine.domain.runtimes import MODEL_PARAMETERS
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult, Secrets
from ai_coordination_engine.settings import OpenAIEndpoint, Settings

# Where a request goes and who pays for it is the operator's decision, never a record's.
_OPERATORS = {"apikey", "apikeysecret", "baseurl", "apibase", "authorization", "headers", "url"}
_PATH = "/chat/completions"
_SECRET = re.compile("key|token|secret|sig|password|auth|credential|code", re.IGNORECASE)


def load(settings: Settings, secrets: Secrets) -> "OpenAIRuntime":
    """The runtime that the settings allow."""
    return OpenAIRuntime(settings.openai_endpoints, secrets)


class OpenAIRuntime:
    """Asks the model `runtime.model` at the endpoint that `runtime.endpoint` names, or else at
    `default`.

    Address and key come from `endpoints`, names mapped to settings. Instructions become the system
    message, followed by the thread and the input. `usage` has `input_tokens`, `output_tokens`,
    `total_tokens` and the `model`; a text that the token limit cut short is kept, with
    `finish_reason: length` beside the counts.
    """

    def __init__(
        self, endpoints: Mapping[str, OpenAIEndpoint], secrets: Secrets, *, web: Web | None = None
    ) -> None:
        self._endpoints = endpoints
        self._secrets = secrets
        self._web = web or Web()

    def run(self, request: AgentRequest) -> AgentResult:
        """Ask once and read the answer; raises `AgentFailure`, whose message never holds the
        key.
        """
        ends = time.monotonic() + request.timeout_seconds
        name, endpoint = self.check(request.runtime)
        whom = f"the model endpoint {name!r}"
        question = _question(request, endpoint)
        key = self._key(endpoint, whom)
        with hiding([key, *_secrets(endpoint.base_url)]):
            reply = self._web.post(
                _address(endpoint.base_url),
                json.dumps(question).encode(),
                attempt_headers(request) | ({"Authorization": f"Bearer {key}"} if key else {}),
                seconds=ends - time.monotonic(),
                whom=whom,
            )
            content, usage = read_completion(reply, question, whom)
            return answer(content, usage)

    def check(self, runtime: Mapping[str, object]) -> tuple[str, OpenAIEndpoint]:
        """The name and the settings of the endpoint for `runtime`; raises `AgentFailure` when there
        is none.
        """
        if refused := [
            key for key in runtime if key.replace("_", "").replace("-", "").lower() in _OPERATORS
        ]:
            raise AgentFailure(
                f"`runtime.{refused[0]}` does not belong in a record: addresses and keys are"
                " settings, and `runtime.endpoint` names one of them",
                error_class="not_allowed",
            )
        name = runtime.get("endpoint") or "default"
        if not isinstance(name, str) or name not in self._endpoints:
            known = ", ".join(sorted(self._endpoints)) or "none"
            message = f"the model endpoint {name!r:.100} is not configured; configured: {known}"
            raise AgentFailure(message, error_class="not_allowed")
        return name, self._endpoints[name]

    def _key(self, endpoint: OpenAIEndpoint, whom: str) -> str:
        """The API key, or nothing for an endpoint that needs none (a model server on this
        machine).
        """
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        if not key and endpoint.api_key_secret:
            key = read_key(
                partial(self._secrets.value, endpoint.api_key_secret), f"the key of {whom}"
            )
        key = key.strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise AgentFailure(
                f"the key of {whom} is not one line of plain text", error_class="not_allowed"
            )
        return key


def _question(request: AgentRequest, endpoint: OpenAIEndpoint) -> dict[str, object]:
    model = request.runtime.get("model") or endpoint.model
    if not isinstance(model, str):
        message = "`runtime.model` must name a model, since the endpoint has no default one"
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
        **chosen,
    }


def _address(base_url: str) -> str:
    """Where completions are asked for: the path goes before a query, and is not added twice."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
    return urlunsplit(parts._replace(path=path))


def _secrets(base_url: str) -> Iterator[str]:
    """What the query of the address holds that no message may show."""
    return (value for name, value in parse_qsl(urlsplit(base_url).query) if _SECRET.search(name))
