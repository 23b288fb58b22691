"""Agent runtimes: one module for each kind in `domain.runtimes.KINDS`.

A module provides `load(settings, secrets)`, which returns a `Runtime`. It is imported when the
first agent of its kind runs: httpx alone adds 50 ms to a cold start, and function agents do not
need it.
"""

import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from ai_coordination_engine.domain.runtimes import KINDS, KindSpec
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRuntime
from ai_coordination_engine.settings import Settings


class Runtime(AgentRuntime, Protocol):
    """A runtime that can also check an agent's settings without running it."""

    def check(self, runtime: Mapping[str, object]) -> object:
        """Raise `AgentFailure` when the settings do not allow this `runtime` object; calls no
        service.
        """


class RuntimeRegistry:
    """Implements `runtime_ports.Runtimes` with the runtimes that `settings` allow. Thread-safe."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._lock = threading.Lock()
        self._loaded: dict[str, Runtime] = {}

    def find(self, kind: str) -> Runtime:
        """Return the only runtime for `kind`, and load it on first use.

        Raises `AgentFailure` for an unknown kind; the message lists the known kinds. Likewise for a
        kind whose extra is not installed here; the message says where to get it.
        """
        found = _kind(kind)
        if found is None:
            hint = did_you_mean(kind, KINDS) or ";"
            known = ", ".join(KINDS)
            message = f"the runtime kind {kind!r:.100} is unknown{hint} known kinds: {known}"
            raise AgentFailure(message, error_class="not_allowed")
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = self._load(kind, found)
            return self._loaded[kind]

    def wants_thread(self, kind: str) -> bool:
        """Return whether runtimes of `kind` use the thread; loads nothing. False for an unknown
        kind.
        """
        found = _kind(kind)
        return found is not None and found.wants_thread

    def _load(self, kind: str, spec: KindSpec) -> Runtime:
        extra = spec.needs
        try:
            # Safe to import: `kind` is a key of `KINDS`, not free text of a record.
            module = import_module(f"{__name__}.{spec.module or kind}")
            runtime: Runtime = module.load(self._settings, self._secrets)
        except ImportError as error:
            if not extra:
                raise
            message = (
                f"agents of the kind {kind!r} need the extra {extra!r}, which is not installed here"
                f" ({error}): pip install 'ai-coordination-engine[{extra}]', or on AWS the"
                f" template's parameter {extra.capitalize()}ImageUri"
            )
            raise AgentFailure(message, error_class="not_allowed") from error
        return runtime


def _kind(kind: object) -> KindSpec | None:
    # A record may hold any JSON here; a list could not be looked up.
    return KINDS.get(kind) if isinstance(kind, str) else None
