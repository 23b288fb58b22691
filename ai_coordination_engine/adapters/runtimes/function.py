"""Agents that are Python functions: built-in ones, and those that the operator allows by name."""

import asyncio
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer
from ai_coordination_engine.adapters.runtimes.builtin import FUNCTIONS
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult

ENTRY_POINT_GROUP = "ai_coordination_engine.functions"
_ENTRY_POINT = "entry_point:"
_MESSAGE_LIMIT = 1000


class FunctionRuntime:
    """Runs the function that `runtime.name` names: a key of `allowed`, or a built-in one.

    `allowed` maps a name to `package.module:attribute`, or to `entry_point:NAME` for an installed entry point
    of the group `ai_coordination_engine.functions`. A record only chooses a name: nothing else is imported.

    A function takes an `AgentRequest` (whose thread is empty) and returns text, an `AgentResult` or anything
    that JSON can hold; it may be a coroutine function. Its own settings are further keys of `runtime`. It may
    raise `AgentFailure` to say whether a retry makes sense; any other exception is final.

    When the time is up the attempt fails on time, but a function cannot be stopped (Python has no way to; a
    coroutine is) and runs on in its thread. A retry would run beside it, so that failure is not retryable.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self._allowed = allowed
        self._functions: dict[str, Callable[[AgentRequest], Any]] = {
            name: function for name, function in FUNCTIONS.items() if name not in allowed
        }

    def run(self, request: AgentRequest) -> AgentResult:
        """Call the function and turn what it returns into a result; raises `AgentFailure`."""
        name = request.runtime.get("name")
        if not isinstance(name, str) or (name not in self._functions and name not in self._allowed):
            names = ", ".join(sorted({*self._functions, *self._allowed}))
            raise AgentFailure(f"the function {name!r:.100} is not offered; `runtime.name` is one of: {names}")
        try:
            return run_within(request.timeout_seconds, lambda: self._call(name, request))
        except DeadlinePassed as error:
            raise AgentFailure(f"the function {name!r} {error}") from error

    def _call(self, name: str, request: AgentRequest) -> AgentResult:
        try:
            returned = self._function(name)(request)
            if inspect.iscoroutine(returned):
                # Cancelled a moment after the attempt has failed, so that one of the two reports the time.
                returned = asyncio.run(asyncio.wait_for(returned, request.timeout_seconds + 1))
            if isinstance(returned, AgentResult):
                return answer(returned.output, returned.usage)
            return answer(returned)
        except AgentFailure:
            raise
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            reason = f"{type(error).__name__}: {error}"[:_MESSAGE_LIMIT].rstrip(": ")
            raise AgentFailure(f"the function {name!r} failed: {reason}") from error

    def _function(self, name: str) -> Callable[[AgentRequest], Any]:
        if name not in self._functions:
            self._functions[name] = _load(self._allowed[name])
        return self._functions[name]


def _load(target: str) -> Callable[[AgentRequest], Any]:
    if not target.startswith(_ENTRY_POINT):
        function = pkgutil.resolve_name(target)
    else:
        found = entry_points(group=ENTRY_POINT_GROUP, name=target.removeprefix(_ENTRY_POINT))
        if len(found) != 1:
            raise LookupError(f"{len(found)} installed packages offer the entry point, instead of one")
        (point,) = found
        function = point.load()
    if not callable(function):
        raise TypeError(f"it is set to {type(function).__name__}, which cannot be called")
    return function  # type: ignore[no-any-return]
