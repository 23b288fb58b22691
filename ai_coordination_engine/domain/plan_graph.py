"""From a plan to the session agents that run it: the planning agent is number 0, each step is one
agent more. Pure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ai_coordination_engine.domain.decomposition import Decomposition
from ai_coordination_engine.domain.graph import (
    MAX_THREAD_TURNS,
    PlannedAgent,
    plan,
    thread_parent,
)
from ai_coordination_engine.domain.plan_limits import MAX_STEPS
from ai_coordination_engine.domain.planning import Planning
from ai_coordination_engine.domain.plans import Plan, Step
from ai_coordination_engine.domain.shapes import (
    Agent,
    AgentAction,
    SubtaskQuery,
    parse_agent_actions,
    parse_subtask_queries,
)
from ai_coordination_engine.errors import BadUserInput

_OF_THE_PLAN = ("predecessors", "join", "quorum", "conditions", "map", "plan_step")
"""What a plan says of an action; the rest is the task's."""


def planner_alone(agent: Agent, action: AgentAction, query: str | None) -> PlannedAgent:
    """The planning agent, before there is a plan."""
    return PlannedAgent(
        ordinal=0,
        agent=agent,
        action=action,
        subtask_query=query,
        predecessors=(),
        successors=(),
        thread=(),
        thread_root=0,
    )


def graph_of(made: Plan, planning: Planning, planner: PlannedAgent) -> list[PlannedAgent]:
    """The planning agent, and the agent of each step in the order of the plan. An agent is asked
    by the task's own action what the plan does not say.
    """
    ordinals = {each.id: index for index, each in enumerate(made.steps, 1)}
    after: dict[int, list[int]] = defaultdict(list)
    for each in made.steps:
        for name in each.after:
            after[ordinals[name]].append(ordinals[each.id])
    planned = [planner]
    for each in made.steps:
        planned.append(_step(each, ordinals, after, planning, made, planned))
    return _led_by_planner(planned)


def own_graph(
    planning: Planning, planner: PlannedAgent, queries: Sequence[SubtaskQuery] | None = None
) -> list[PlannedAgent]:
    """The planning agent, and the task's own graph, with these `queries` in place of its subtasks.
    Raises `BadUserInput` for what cannot run, or has too many agents to be written together.
    """
    actions = parse_agent_actions(planning.actions)
    subtasks = parse_subtask_queries(planning.subtasks) if queries is None else queries
    own = plan(list(planning.by_uuid.values()), subtasks, actions)
    if len(own) > MAX_STEPS:
        decomposed = isinstance(planning, Decomposition)
        place, whose = (
            ("plan", "decomposed,") if decomposed else ("planFallback", "instead of a plan")
        )
        raise BadUserInput(
            f"{place}: the task's own graph has {len(own)} subtasks to run; {whose} it may have"
            f" {MAX_STEPS}."
        )
    return _led_by_planner([planner, *map(_later, own)])


def _later(each: PlannedAgent) -> PlannedAgent:
    """The agent where the planning one is number 0."""

    def moved(ordinals: Sequence[int]) -> tuple[int, ...]:
        return tuple(ordinal + 1 for ordinal in ordinals)

    return replace(
        each,
        ordinal=each.ordinal + 1,
        predecessors=moved(each.predecessors),
        successors=moved(each.successors),
        thread=moved(each.thread),
        thread_root=each.thread_root + 1,
    )


def _led_by_planner(planned: Sequence[PlannedAgent]) -> list[PlannedAgent]:
    """The end of the planning agent lets the first agents run."""
    planner, *steps = planned
    first = tuple(each.ordinal for each in steps if not each.predecessors)
    return [replace(planner, successors=first), *steps]


def _step(
    step: Step,
    ordinals: Mapping[str, int],
    after: Mapping[int, Sequence[int]],
    planning: Planning,
    made: Plan,
    planned: Sequence[PlannedAgent],
) -> PlannedAgent:
    ordinal = ordinals[step.id]
    agents = {each.id: each.agent for each in made.steps}
    action = _action(step, ordinals, agents, planning.actions.get(step.agent) or {})
    before = tuple(ordinals[name] for name in step.after)
    parent = thread_parent(action, before, planned)
    return PlannedAgent(
        ordinal=ordinal,
        agent=planning.by_uuid[step.agent],
        action=action,
        subtask_query=step.query,
        predecessors=before,
        successors=tuple(after.get(ordinal, ())),
        thread=(*parent.thread, parent.ordinal)[-MAX_THREAD_TURNS:] if parent else (),
        thread_root=parent.thread_root if parent else ordinal,
        map_over=ordinals[step.map.over] if step.map else None,
        map_limit=planning.most.map if step.map else None,
    )


def _action(
    step: Step,
    ordinals: Mapping[str, int],
    agents: Mapping[str, str],
    own: Mapping[str, Any],
) -> AgentAction:
    """What the task says of the agent, and over it what the plan says."""
    kept = {name: value for name, value in own.items() if name not in _OF_THE_PLAN}
    said: dict[str, Any] = {
        "predecessors": list(dict.fromkeys(agents[name] for name in step.after)),
        "plan_step": {"id": step.id, "after": {name: ordinals[name] for name in step.after}},
    }
    if step.join != "all":
        said["join"] = step.join
    if step.when:
        said["conditions"] = {agents[name]: each for name, each in step.when.items()}
    if step.map:
        items = {"items": step.map.items} if step.map.items else {}
        said["map"] = {"over": agents[step.map.over], **items}
    return AgentAction.model_validate({**kept, **said})
