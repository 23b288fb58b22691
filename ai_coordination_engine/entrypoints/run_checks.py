"""What would fail each time for want of a setting, found before anything starts."""

from collections.abc import Iterator

from ai_coordination_engine.entrypoints.run_file import RunFile
from ai_coordination_engine.ports import AllowList


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


def not_allowed(allow_list: AllowList, run: RunFile) -> Iterator[str]:
    """A line for each runtime and each action function of the file that the settings do not allow, with its place."""
    for agent in run.agents:
        uuid = agent["agent_uuid"]
        function = run.agent_actions.get(uuid, {}).get("action_function") or {}
        key, problem = "runtime", allow_list.of_runtime(agent.get("runtime"))
        if problem is None and function:
            module_name, function_name = function.get("module_name", ""), function.get("function_name", "")
            key, problem = "action_function", allow_list.of_action(module_name, function_name)
        if problem is not None:
            yield run.of_agent(uuid, key, f"agent {agent.get('agent_name', uuid)}: {problem}")
