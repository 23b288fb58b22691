"""Action functions: run after an agent has answered, found by name in an allow-list."""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.adapters.allowed import AllowedFunctions, reason_of
from ai_coordination_engine.adapters.runtimes.answer import answer
from ai_coordination_engine.ports import ActionRequest, ActionResult, AgentFailure


class AllowedActionFunctions:
    """`ports.ActionFunctions` over `module.function` → `package.module:attribute`. Thread-safe.

    A function takes an `ActionRequest` and returns None (the output stays), text or anything that JSON can hold (the
    new output), or an `ActionResult`. It may raise `AgentFailure` to say whether a retry makes sense.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self._functions = AllowedFunctions(allowed)

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        """Run the function of that name; raises `AgentFailure`, also when it is not allowed."""
        name = f"{module_name}.{function_name}"
        if name not in self._functions.names:
            raise AgentFailure(f"the action function {name!r:.200} is not allowed", error_class="not_allowed")
        function = self._functions.find(name, f"the action function {name!r}")
        try:
            returned = function(request)
        except AgentFailure:
            raise
        except BaseException as error:  # foreign code may raise anything, and Ctrl-C is the main thread's
            raise AgentFailure(f"the action function raised: {reason_of(error)}") from error
        try:
            return _result(returned)
        except (ValueError, TypeError, RecursionError) as error:
            message = f"the action function returned something that is no JSON: {reason_of(error)}"
            raise AgentFailure(message, error_class="invalid_output") from error


def _result(returned: Any) -> ActionResult:
    if returned is None:
        return ActionResult()
    if not isinstance(returned, ActionResult):
        return ActionResult(answer(returned).output)
    chosen = returned.successors
    if chosen is not None and (isinstance(chosen, str) or not all(isinstance(each, str) for each in chosen)):
        raise TypeError("successors must be a list of agent uuids")
    return ActionResult(
        None if returned.output is None else answer(returned.output).output,
        None if chosen is None else list(chosen),
    )
