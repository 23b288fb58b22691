"""Run action functions: functions that are called with an agent's output.

The engine calls `AllowedActionFunctions` after an agent with an `actionFunction` has answered.
"""

from collections.abc import Mapping

from ai_coordination_engine.adapters.allowed import AllowedFunctions, function_errors, reason_of
from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.runtime_ports import ActionRequest, ActionResult, AgentFailure


class AllowedActionFunctions:
    """Implements `runtime_ports.ActionFunctions`; `allowed` maps `module.function` to
    `package.module:attribute`.

    A function takes an `ActionRequest`. It returns None (the output stays), a new output (a text or
    a value that JSON can hold), or an `ActionResult`. `allowed.function_errors` documents which
    exceptions are retried. Thread-safe.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self.functions = AllowedFunctions(allowed)

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        """Run the named function; raises `AgentFailure` when it fails or is not allowed."""
        name = self.check(module_name, function_name)
        function = self.functions.find(name, f"the action function {name!r}")
        with function_errors("the action function raised"):
            returned = function(request)
        try:
            return _result(returned)
        except (ValueError, TypeError, RecursionError) as error:
            raise invalid_output(
                f"the action function returned a value that is not valid JSON: {reason_of(error)}"
            ) from error

    def check(self, module_name: str, function_name: str) -> str:
        """Return the function's name in the allow-list; raises `AgentFailure` when it is not
        allowed.
        """
        name = f"{module_name}.{function_name}"
        if name not in self.functions.names:
            hint = did_you_mean(name, self.functions.names)
            message = f"the action function {name!r:.200} is not allowed{hint}"
            raise AgentFailure(message, error_class="not_allowed")
        return name


def _result(returned: object) -> ActionResult:
    if returned is None:
        return ActionResult()
    if not isinstance(returned, ActionResult):
        return ActionResult(answer(returned).output)
    chosen = returned.successors
    if chosen is not None and (
        isinstance(chosen, str) or not all(isinstance(each, str) for each in chosen)
    ):
        raise TypeError("successors must be a list of agent uuids")
    return ActionResult(
        None if returned.output is None else answer(returned.output).output,
        None if chosen is None else [each.encode("utf-8", "replace").decode() for each in chosen],
    )
