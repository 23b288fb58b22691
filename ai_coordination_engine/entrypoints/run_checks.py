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


def idle_agents(run: RunFile) -> Iterator[str]:
    """A line for each agent of the file that has no subtask, where others have one: it may have been forgotten."""
    asked = {each["agent_uuid"] for each in run.subtask_queries}
    waited_for = {uuid for action in run.agent_actions.values() for uuid in action.get("predecessors") or ()}
    stands_by = {action.get("fallback") for action in run.agent_actions.values()}
    for agent in run.agents if asked else ():
        uuid = agent["agent_uuid"]
        is_map = bool(run.agent_actions.get(uuid, {}).get("map"))
        runs = uuid in run.agent_actions or uuid in waited_for
        answers = (agent.get("runtime") or {}).get("name") == "answer"
        is_task = agent.get("agent_type", "task") == "task"
        if uuid in asked or is_map or (answers and runs) or not is_task or (uuid in stands_by and not runs):
            continue
        what = "is given the query itself" if runs else "does not run: nobody waits for it either"
        name = agent.get("agent_name", uuid)
        yield run.of_agent(uuid, "", f'warning: the agent "{name}" has no subtask, and {what}')


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
