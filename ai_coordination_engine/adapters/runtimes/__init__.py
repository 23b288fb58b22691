"""Agent runtimes: `function`, `http` and `openai`, each loaded when the first agent of its kind runs.

A new kind is a module with a class that implements `Runtime`, and one entry in `_KINDS`.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ai_coordination_engine.ports import AgentFailure, AgentRuntime, Secrets
from ai_coordination_engine.settings import Settings


class Runtime(AgentRuntime, Protocol):
    """A runtime that can be asked beforehand."""

    def check(self, runtime: Mapping[str, Any]) -> object:
        """Raises `AgentFailure` when the settings do not allow what the agent's `runtime` names; calls nobody."""


# Imports inside these functions are about cold start: httpx costs 50 ms that a function agent does not need.


def _function(settings: Settings, _: Secrets) -> Runtime:
    from ai_coordination_engine.adapters.runtimes.function import FunctionRuntime  # noqa: PLC0415

    return FunctionRuntime(settings.functions)


def _http(settings: Settings, secrets: Secrets) -> Runtime:
    from ai_coordination_engine.adapters.runtimes.http import HttpRuntime  # noqa: PLC0415

    key, secret = settings.http_signing_key, settings.http_signing_key_secret
    signing_key = partial(secrets.value, secret) if secret else key.get_secret_value if key else None
    return HttpRuntime(settings.http_allowed_urls, signing_key=signing_key)


def _openai(settings: Settings, secrets: Secrets) -> Runtime:
    from ai_coordination_engine.adapters.runtimes.openai import OpenAIRuntime  # noqa: PLC0415

    return OpenAIRuntime(settings.openai_endpoints, secrets)


@dataclass(frozen=True, slots=True)
class _Kind:
    load: Callable[[Settings, Secrets], Runtime]
    wants_thread: bool


_KINDS = {
    # Reading a thread costs a call to the store; a function has its predecessors' outputs, mostly enough.
    "function": _Kind(_function, wants_thread=False),
    "http": _Kind(_http, wants_thread=True),
    "openai": _Kind(_openai, wants_thread=True),
}


class RuntimeRegistry:
    """The runtimes that `settings` allow; implements `ports.Runtimes`. Thread-safe."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._lock = threading.Lock()
        self._loaded: dict[str, Runtime] = {}

    def find(self, kind: str) -> Runtime:
        """The one runtime for `kind`, loaded now if need be; raises `AgentFailure` naming the known kinds."""
        found = _kind(kind)
        if found is None:
            message = f"the runtime kind {kind!r:.100} is unknown; known kinds: {', '.join(_KINDS)}"
            raise AgentFailure(message, error_class="not_allowed")
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = found.load(self._settings, self._secrets)
            return self._loaded[kind]

    def wants_thread(self, kind: str) -> bool:
        """Whether agents of `kind` use the thread, answered without loading; an unknown kind does not."""
        found = _kind(kind)
        return found is not None and found.wants_thread


def _kind(kind: object) -> _Kind | None:
    # A record may hold anything there, a list included, which no dict can look up.
    return _KINDS.get(kind) if isinstance(kind, str) else None
