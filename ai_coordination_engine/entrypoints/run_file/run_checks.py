"""Checks of a run file against the settings, before anything starts; `ace run` calls them."""

from collections.abc import Iterable, Iterator

from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile
from ai_coordination_engine.ports import AllowList


def idle_agents(run: RunFile) -> Iterator[str]:
    """Yield a warning for each agent without a subtask in a file where other agents have one."""
    asked = {each["agent_uuid"] for each in run.subtask_queries}
    if not asked:
        return
    actions = run.agent_actions
    waited_for, stand_by = _waited_for(actions.values()), _standing_by(actions.values())
    for agent in run.agents:
        uuid = agent["agent_uuid"]
        if uuid in asked or not _takes_subtask(agent, actions.get(uuid, {})):
            continue
        runs = uuid in actions or uuid in waited_for
        is_meant = _gives_answer(agent) if runs else uuid in stand_by
        if is_meant:
            continue
        what = "so it gets the query itself" if runs else "and no action names it: it does not run"
        name = agent.get("agent_name", uuid)
        yield run.of_agent(uuid, "", f'warning: the agent "{name}" has no subtask, {what}')


def _waited_for(actions: Iterable[JSONObject]) -> set[str]:
    return {uuid for action in actions for uuid in action.get("predecessors") or ()}


def _standing_by(actions: Iterable[JSONObject]) -> set[str]:
    return {action["fallback"] for action in actions if action.get("fallback")}


def _takes_subtask(agent: JSONObject, action: JSONObject) -> bool:
    """Whether an agent needs a subtask: it has the type `task` and no `map`."""
    return agent.get("agent_type", "task") == "task" and not action.get("map")


def _gives_answer(agent: JSONObject) -> bool:
    """Whether the agent's output is a person's answer."""
    return bool((agent.get("runtime") or {}).get("name") == "answer")


def not_allowed(allow_list: AllowList, run: RunFile) -> Iterator[str]:
    """Yield a line, with its place, for each runtime and action function that the
    settings refuse.
    """
    for agent in run.agents:
        uuid = agent["agent_uuid"]
        function = run.agent_actions.get(uuid, {}).get("action_function") or {}
        key, problem = "runtime", allow_list.of_runtime(agent.get("runtime"))
        if problem is None and function:
            module_name, function_name = (
                function.get("module_name", ""),
                function.get("function_name", ""),
            )
            key, problem = "action_function", allow_list.of_action(module_name, function_name)
        if problem is not None:
            yield run.of_agent(uuid, key, f"agent {agent.get('agent_name', uuid)}: {problem}")
