"""Agent runtimes: one module for each kind of `domain.runtimes.KINDS`, loaded when the first agent
of the kind runs.

Such a module offers `load(settings, secrets)`, which returns a `Runtime`. httpx alone costs 50 ms
of a cold start that a function agent does not need.
"""

import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from ai_coordination_engine.domain.runtimes import KINDS, KindSpec
from ai_coordination_engine.ports import AgentFailure, AgentRuntime, Secrets
from ai_coordination_engine.settings import Settings


class Runtime(AgentRuntime, Protocol):
    """A runtime that can be asked beforehand."""

    def check(self, runtime: Mapping[str, object]) -> object:
        """Raises `AgentFailure` when the settings do not allow what the agent's `runtime` names;
        calls nobody.
        """


class RuntimeRegistry:
    """The runtimes that `settings` allow; implements `ports.Runtimes`. Thread-safe."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._lock = threading.Lock()
        self._loaded: dict[str, Runtime] = {}

    def find(self, kind: str) -> Runtime:
        """The one runtime for `kind`, loaded now if need be; raises `AgentFailure` naming the known
        kinds.
        """
        found = _kind(kind)
        if found is None:
            message = f"the runtime kind {kind!r:.100} is unknown; known kinds: {', '.join(KINDS)}"
            raise AgentFailure(message, error_class="not_allowed")
        with self._lock:
            if kind not in self._loaded:
                # a key of `KINDS`, nothing that a record makes up
                module = import_module(f"{__name__}.{kind}")
                self._loaded[kind] = module.load(self._settings, self._secrets)
            return self._loaded[kind]

    def wants_thread(self, kind: str) -> bool:
        """Whether agents of `kind` use the thread, answered without loading; an unknown kind does
        not.
        """
        found = _kind(kind)
        return found is not None and found.wants_thread


def _kind(kind: object) -> KindSpec | None:
    # A record may hold anything there, a list included, which no dict can look up.
    return KINDS.get(kind) if isinstance(kind, str) else None
