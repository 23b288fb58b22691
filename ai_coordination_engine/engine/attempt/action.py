"""Action functions: functions that run on an agent's answer before its successors see it."""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT, label
from ai_coordination_engine.ports import ActionRequest, ActionResult, AgentFailure
from ai_coordination_engine.store.models import SessionAgent


def is_set(agent: SessionAgent) -> bool:
    """Whether an action function runs on what this agent answers."""
    return any(_function(agent).get(name) for name in ("module_name", "function_name"))


def run(app: App, agent: SessionAgent, output: str) -> ActionResult:
    """The output after the agent's action function.

    Raises `AgentFailure`, also when the function names successors that the agent does not have, or
    the output is too long.
    """
    function = _function(agent)
    request = ActionRequest(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        agent_uuid=agent.agent_uuid,
        agent_name=label(agent),
        output=output,
        task_query=agent.task_query or "",
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
