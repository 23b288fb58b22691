"""Run agents that are Python functions: built-in ones and those that the operator allows."""

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import replace

from ai_coordination_engine.adapters.allowed import AllowedFunctions, function_errors, reason_of
from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output, pending
from ai_coordination_engine.adapters.runtimes.builtin import FUNCTIONS
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.settings import Settings


def load(settings: Settings, _: Secrets) -> "FunctionRuntime":
    """Create the runtime from the settings."""
    return FunctionRuntime(settings.functions)


class FunctionRuntime:
    """Runs the function that `runtime.name` names: a name in `allowed`, or a built-in function.

    A function takes an `AgentRequest` (with an empty thread) and returns a text, a value that JSON
    can hold, or an `AgentResult`. It may be a coroutine function. It can read further keys of
    `runtime` as its own settings. An `AgentResult` with an `async_task_uuid` means that a long job
    goes on elsewhere, one with a `question` that a person is asked. `allowed.function_errors`
    documents which exceptions are retried.

    An attempt that exceeds its timeout fails in time, but Python cannot stop a function: it runs on
    in its thread (a coroutine is cancelled). A retry would run beside it, so this failure is not
    retryable unless a policy's `retryOn` names `timeout`.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self.functions = AllowedFunctions(allowed, FUNCTIONS)

    def run(self, request: AgentRequest) -> AgentResult:
        """Call the function and return its result; raises `AgentFailure`."""
        name = self.check(request.runtime)
        try:
            return run_within(request.timeout_seconds, lambda: self._call(name, request))
        except DeadlinePassed as error:
            raise AgentFailure(f"the function {name!r} {error}", error_class="timeout") from error

    def check(self, runtime: Mapping[str, object]) -> str:
        """Return the function's name; raises `AgentFailure` when there is no such function."""
        name, names = runtime.get("name"), self.functions.names
        if not isinstance(name, str) or name not in names:
            called = "a function without a name" if name is None else f"the function {name!r:.100}"
            hint = did_you_mean(name, names) or ";"
            message = f"{called} is not offered{hint} `runtime.name` is one of: {', '.join(names)}"
            raise AgentFailure(message, error_class="not_allowed")
        return name

    def _call(self, name: str, request: AgentRequest) -> AgentResult:
        called = f"the function {name!r}"
        function = self.functions.find(name, called)
        with function_errors(f"{called} failed"):
            returned = function(request)
            if inspect.iscoroutine(returned):
                # Cancel it a second after the deadline, so that `run_within` reports the timeout.
                returned = asyncio.run(asyncio.wait_for(returned, request.timeout_seconds + 1))
        if returned is None:
            logger.warning(
                "a function returned None, so its output is empty; return a text",
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
        result = pending(returned.async_task_uuid, returned.heartbeat_seconds)
    elif returned.question is not None:
        result = AgentResult("", plain_usage(returned.usage), question=returned.question)
    else:
        result = answer(returned.output, returned.usage)
    return replace(result, tool_calls=returned.tool_calls)
