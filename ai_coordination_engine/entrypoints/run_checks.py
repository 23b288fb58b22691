"""What would fail each time for want of a setting, found before anything starts."""

from collections.abc import Iterator
from typing import Any, cast

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.run_file import RunFile
from ai_coordination_engine.ports import AgentFailure

_SETTINGS = {"function": "ACE_FUNCTIONS", "http": "ACE_HTTP_ALLOWED_URLS", "openai": "ACE_OPENAI_ENDPOINTS"}


def unloadable(app: App) -> Iterator[str]:
    """A line for each function of the two allow-lists that does not load; the others are loaded now."""
    lists = {"ACE_FUNCTIONS": app.runtimes.find("function"), "ACE_ACTION_FUNCTIONS": app.actions}
    for variable, offered in lists.items():
        yield from (f"{variable}: {problem}" for problem in cast(Any, offered).functions.unloadable())


def not_allowed(app: App, run: RunFile) -> Iterator[str]:
    """A line for each runtime and each action function of the file that the settings do not allow, with its place."""
    for agent in run.agents:
        runtime = agent.get("runtime") or app.settings.default_runtime
        kind = str(runtime["kind"])
        function = run.agent_actions.get(agent["agent_uuid"], {}).get("action_function") or {}
        setting = _SETTINGS.get(kind, "ACE_DEFAULT_RUNTIME")
        key = "runtime"
        try:
            cast(Any, app.runtimes.find(kind)).check(runtime)
            if function:
                setting, key = "ACE_ACTION_FUNCTIONS", "action_function"
                cast(Any, app.actions).check(function.get("module_name", ""), function.get("function_name", ""))
        except AgentFailure as failure:
            name = agent.get("agent_name", agent["agent_uuid"])
            yield run.of_agent(agent["agent_uuid"], key, f"agent {name}: {failure.message}; see {setting}")
