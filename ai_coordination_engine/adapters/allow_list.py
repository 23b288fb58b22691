"""Check runtimes and action functions against the settings before anything runs.

`assembly.allow_list` creates the list. The API, `ace run` and the start of a server use it to warn
early.
"""

from collections.abc import Iterator, Mapping

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.runtimes.function import FunctionRuntime
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.runtime_ports import AgentFailure

_DEFAULT, _ACTIONS = "ACE_DEFAULT_RUNTIME", "ACE_ACTION_FUNCTIONS"


class SettingsAllowList:
    """Implements `ports.AllowList` with the runtimes and action functions of this process.
    Thread-safe.
    """

    def __init__(
        self,
        runtimes: RuntimeRegistry,
        actions: AllowedActionFunctions,
        default_runtime: Mapping[str, object],
    ) -> None:
        self._runtimes = runtimes
        self._actions = actions
        self._default = default_runtime

    def of_runtime(self, runtime: Mapping[str, object] | None) -> str | None:
        """Return why attempts with this runtime would fail and which setting to change, or None."""
        named = runtime or self._default
        kind = KINDS.get(str(named.get("kind")))
        setting = kind.setting if runtime and kind else _DEFAULT
        try:
            found = self._runtimes.find(str(named.get("kind")))
        except AgentFailure as failure:  # no list is too short: what runs it is not here
            return failure.message if kind else _with_setting(failure, setting)
        try:
            found.check(named)
        except AgentFailure as failure:
            return _with_setting(failure, setting)
        return None

    def of_action(self, module_name: str, function_name: str) -> str | None:
        """Return why this action function would not run and which setting to change, or None."""
        try:
            self._actions.check(module_name, function_name)
        except AgentFailure as failure:
            return _with_setting(failure, _ACTIONS)
        return None

    def problems(self) -> Iterator[str]:
        """Yield a line for each setting that cannot work; imports the functions that can be
        imported.
        """
        functions = self._runtimes.find("function")
        if isinstance(functions, FunctionRuntime):
            yield from (f"ACE_FUNCTIONS: {each}" for each in functions.functions.unloadable())
        yield from (f"ACE_TOOLS: {each}" for each in self._tools())
        yield from (f"{_ACTIONS}: {each}" for each in self._actions.functions.unloadable())
        if problem := self.of_runtime(None):
            yield f"{_DEFAULT}: {problem.removesuffix(f'; see {_DEFAULT}')}"

    def _tools(self) -> Iterator[str]:
        # Imported here because most processes check no tools: a cold start is without it.
        from ai_coordination_engine.adapters.runtimes.agent import (  # noqa: PLC0415
            ToolAgentRuntime,
        )

        try:
            agents = self._runtimes.find("agent")
        except AgentFailure:  # no agent that calls tools runs here
            return
        if isinstance(agents, ToolAgentRuntime):
            yield from agents.functions.unloadable()


def _with_setting(failure: AgentFailure, setting: str) -> str:
    """The message with the setting to change, unless it names one or the record alone is wrong."""
    if "; see ACE_" in failure.message or failure.error_class == "invalid_request":
        return failure.message
    return f"{failure.message}; see {setting}"
