"""Tasks that a planning agent plans, or whose subtasks a decompose agent writes: their sessions
start with that agent alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ai_coordination_engine.domain.decomposition import Decomposition
from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.plan_graph import own_graph, planner_alone
from ai_coordination_engine.domain.plan_limits import PlanLimits
from ai_coordination_engine.domain.planning import Planning, has_own_graph, planner_of
from ai_coordination_engine.domain.reviews import review_of
from ai_coordination_engine.domain.shapes import Agent, AgentAction, SubtaskQuery
from ai_coordination_engine.domain.structured import TRIES
from ai_coordination_engine.engine.graph.session_agents import Plan
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Task

_NOT_OF_A_PLANNER = ("predecessors", "map", "answer_schema")


def plan_to_be(
    agents: Sequence[Agent],
    subtasks: Sequence[SubtaskQuery],
    actions: Mapping[str, AgentAction],
    task: Task,
) -> Plan:
    """The planning agent alone, with all that its plan may need. Raises `BadUserInput` for a task
    that cannot be planned.
    """
    planner = planner_of(agents)
    if planner is None:
        raise BadUserInput(
            "The task says plan: true, but its coordination has no agent with agentType:"
            ' "planning" or "decompose".'
        )
    action = actions.get(planner.agent_uuid) or AgentAction()
    alone = planner_alone(planner, action, _only_subtask(planner, subtasks))
    planning = _planning(planner, agents, subtasks, actions, task)
    if planner.agent_type == "decompose":
        planning = _decomposition(planning, alone)
    elif not planning.candidates:
        raise BadUserInput(
            "The coordination has no agent to plan with; beside the planning agent it needs one"
            ' with agentType: "task" (the default).'
        )
    _check_action(planner, action, planning)
    if planning.fallback:
        own_graph(planning, alone)
    by_uuid = {each.agent_uuid: each for each in agents}
    return Plan([alone], by_uuid, None, task.placeholders, planning)


def _only_subtask(planner: Agent, subtasks: Sequence[SubtaskQuery]) -> str | None:
    """The subtask of the planning agent, if it has one. Raises `BadUserInput` if it has more."""
    own = [each.subtask_query for each in subtasks if each.agent_uuid == planner.agent_uuid]
    if len(own) > 1:
        raise BadUserInput(
            f"subtaskQueries: the planning agent {planner.agent_uuid[:100]!r} has {len(own)}"
            " subtasks; it is asked once, so it takes one."
        )
    return own[0] if own else None


def _planning(
    planner: Agent,
    agents: Sequence[Agent],
    subtasks: Sequence[SubtaskQuery],
    actions: Mapping[str, AgentAction],
    task: Task,
) -> Planning:
    falls_back = _falls_back(planner, subtasks, actions, task)
    keeps_subtasks = falls_back or planner.agent_type == "decompose"
    others = [each for each in agents if each is not planner]
    own = [each.stored() for each in subtasks if each.agent_uuid != planner.agent_uuid]
    named = {uuid: each.stored() for uuid, each in actions.items() if uuid != planner.agent_uuid}
    return Planning(
        agents=[each.stored() for each in others],
        actions={
            uuid: _without(planner, uuid, each) if keeps_subtasks else each
            for uuid, each in named.items()
        },
        limits=_limits(planner, task).stored(),
        on_failure=task.on_failure,
        strict=task.placeholders == "strict",
        fallback=falls_back,
        subtasks=own if keeps_subtasks else (),
    )


def _falls_back(
    planner: Agent,
    subtasks: Sequence[SubtaskQuery],
    actions: Mapping[str, AgentAction],
    task: Task,
) -> bool:
    """Whether the task's own graph runs when no plan comes; it has one only where it names agents,
    so that they never run by a generic plan.
    """
    asked = [each.agent_uuid for each in subtasks]
    return task.plan_fallback == "static" and has_own_graph(planner.agent_uuid, asked, actions)


def _limits(planner: Agent, task: Task) -> PlanLimits:
    """The limits of the task; a decompose agent is asked once more, where they do not say."""
    limits = PlanLimits.of(task.plan_limits)
    if planner.agent_type == "decompose" and "attempts" not in (task.plan_limits or {}):
        return replace(limits, attempts=TRIES)
    return limits


def _decomposition(planning: Planning, alone: PlannedAgent) -> Decomposition:
    """The planning of a decompose agent, before which no agent of the task's own graph runs. Raises
    `BadUserInput` for a graph that cannot run.
    """
    values = planning.stored()
    order = [each.agent.agent_uuid for each in own_graph(Decomposition.of(values), alone)[1:]]
    return Decomposition.of({**values, "order": order})


def _without(planner: Agent, uuid: str, action: Mapping[str, Any]) -> dict[str, Any]:
    """An action of the task's own graph that does not name the planning agent: every agent waits
    for that anyway.
    """
    before, first = action.get("predecessors") or (), planner.agent_uuid
    if first not in before:
        return dict(action)
    mapped, conditions = action.get("map") or {}, action.get("conditions") or {}
    if first in conditions or mapped.get("over") == first:
        raise BadUserInput(
            f"agentActions.{uuid[:100]}: the agent {first[:100]!r} plans the session (agentType:"
            f' "{planner.agent_type}"); its output takes no condition, and no map is over it.'
        )
    return {**action, "predecessors": [each for each in before if each != first]}


def _check_action(planner: Agent, action: AgentAction, planning: Planning) -> None:
    place = f"agentActions.{planner.agent_uuid[:100]}"
    given = [name for name in _NOT_OF_A_PLANNER if getattr(action, name)]
    if action.action_function.function_name or action.action_function.module_name:
        given.append("action_function")
    if given:
        wire = {"answer_schema": "answerSchema", "action_function": "actionFunction"}
        raise BadUserInput(
            f"{place}.{wire.get(given[0], given[0])}: the planning agent starts the session alone,"
            " and its output is the plan; leave it out."
        )
    if action.default_answer is not None:
        try:
            review_of(action.default_answer, planning)
        except BadUserInput as error:
            raise BadUserInput(f"{place}.defaultAnswer: {error.message}") from error
