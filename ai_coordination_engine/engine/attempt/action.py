"""Run the action function of an agent: a function that gets its output before its successors do.

`advance.conclusion` is the caller.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT, label, task_query
from ai_coordination_engine.runtime_ports import ActionRequest, ActionResult, AgentFailure
from ai_coordination_engine.store.models import SessionAgent


def is_set(agent: SessionAgent) -> bool:
    """Whether the agent has an action function."""
    return any(_function(agent).get(name) for name in ("module_name", "function_name"))


def run(app: App, agent: SessionAgent, output: str) -> ActionResult:
    """Run the agent's action function on its output and return its result.

    Raises `AgentFailure` if the function fails, chooses agents that are not successors, or returns
    an output that is too long.
    """
    function = _function(agent)
    request = ActionRequest(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        agent_uuid=agent.agent_uuid,
        agent_name=label(agent),
        output=output,
        task_query=task_query(agent),
        successors=rules.of(agent).get("successor_uuids", ()),
    )
    result = app.actions.run(
        function.get("module_name") or "", function.get("function_name") or "", request
    )
    unknown = [each for each in result.successors or () if each not in request.successors]
    if unknown:
        names = ", ".join(str(each)[:100] for each in unknown[:5])
        raise _invalid(f"The action function chose {names}, which do not wait for this agent.")
    if result.output is not None and len(result.output) > MAX_TEXT:
        raise _invalid(
            f"The action function's output has {len(result.output)} characters; it may have"
            f" {MAX_TEXT}."
        )
    return result


def _function(agent: SessionAgent) -> Mapping[str, Any]:
    return (agent.agent_action or {}).get("action_function") or {}


def _invalid(message: str) -> AgentFailure:
    return AgentFailure(message, error_class="invalid_output")
