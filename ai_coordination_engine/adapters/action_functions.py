"""Action functions: run after an agent has answered, found by name in an allow-list."""

from collections.abc import Mapping

from ai_coordination_engine.adapters.allowed import AllowedFunctions, foreign, reason_of
from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.ports import ActionRequest, ActionResult, AgentFailure


class AllowedActionFunctions:
    """`ports.ActionFunctions` over `module.function` → `package.module:attribute`. Thread-safe.

    A function takes an `ActionRequest` and returns None (the output stays), text or anything that
    JSON can hold (the new output), or an `ActionResult`. What it may raise, and what of it is tried
    again, `allowed.foreign` says.
    """

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self.functions = AllowedFunctions(allowed)

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        """Run the function of that name; raises `AgentFailure`, also when it is not allowed."""
        name = self.check(module_name, function_name)
        function = self.functions.find(name, f"the action function {name!r}")
        with foreign("the action function raised"):
            returned = function(request)
        try:
            return _result(returned)
        except (ValueError, TypeError, RecursionError) as error:
            raise invalid_output(
                f"the action function returned something that is no JSON: {reason_of(error)}"
            ) from error

    def check(self, module_name: str, function_name: str) -> str:
        """The name under which the function is allowed; raises `AgentFailure` when it is not."""
        name = f"{module_name}.{function_name}"
        if name not in self.functions.names:
            raise AgentFailure(
                f"the action function {name!r:.200} is not allowed", error_class="not_allowed"
            )
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
