"""Agents that are Python functions: built-in ones, and those that the operator allows by name."""

import asyncio
import inspect
from collections.abc import Mapping

from ai_coordination_engine.adapters.allowed import AllowedFunctions, foreign, reason_of
from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output, pending
from ai_coordination_engine.adapters.runtimes.builtin import FUNCTIONS
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult, Secrets
from ai_coordination_engine.settings import Settings


def load(settings: Settings, _: Secrets) -> "FunctionRuntime":
    """The runtime that the settings allow."""
    return FunctionRuntime(settings.functions)


class FunctionRuntime:
    """Runs the function that `runtime.name` names: a key of `allowed` (see `AllowedFunctions`), or
    a built-in one.

    A function takes an `AgentRequest` (whose thread is empty) and returns text, an `AgentResult` or
    anything that JSON can hold; it may be a coroutine function. Its own settings are further keys
    of `runtime`. What it may raise, and what of it is tried again, `allowed.foreign` says. An
    `AgentResult` with an `async_task_uuid` says that a long job goes on elsewhere.

    When the time is up the attempt fails on time, but a function cannot be stopped (Python has no
    way to; a coroutine is) and runs on in its thread. A retry would run beside it, so that failure
    is not retryable: only a policy whose `retryOn` names `timeout` asks for it.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self.functions = AllowedFunctions(allowed, FUNCTIONS)

    def run(self, request: AgentRequest) -> AgentResult:
        """Call the function and turn what it returns into a result; raises `AgentFailure`."""
        name = self.check(request.runtime)
        try:
            return run_within(request.timeout_seconds, lambda: self._call(name, request))
        except DeadlinePassed as error:
            raise AgentFailure(f"the function {name!r} {error}", error_class="timeout") from error

    def check(self, runtime: Mapping[str, object]) -> str:
        """The name of the function that `runtime` names; raises `AgentFailure` when it is not
        offered.
        """
        name, names = runtime.get("name"), self.functions.names
        if not isinstance(name, str) or name not in names:
            called = "a function without a name" if name is None else f"the function {name!r:.100}"
            message = f"{called} is not offered; `runtime.name` is one of: {', '.join(names)}"
            raise AgentFailure(message, error_class="not_allowed")
        return name

    def _call(self, name: str, request: AgentRequest) -> AgentResult:
        called = f"the function {name!r}"
        function = self.functions.find(name, called)
        with foreign(f"{called} failed"):
            returned = function(request)
            if inspect.iscoroutine(returned):
                # Cancelled a moment after the attempt has failed, so that one of the two reports
                # the time.
                returned = asyncio.run(asyncio.wait_for(returned, request.timeout_seconds + 1))
        if returned is None:
            logger.warning(
                "a function returned None: its output is empty; return a text",
                extra={"function": name},
            )
        try:
            return _result(returned)
        except (ValueError, TypeError, RecursionError) as error:
            why = f"{called} failed: {reason_of(error)}, in what it returned"
            raise invalid_output(why) from error


def _result(returned: object) -> AgentResult:
    if not isinstance(returned, AgentResult):
        return answer(returned)
    if returned.async_task_uuid is not None:
        return pending(returned.async_task_uuid, returned.heartbeat_seconds)
    return answer(returned.output, returned.usage)
