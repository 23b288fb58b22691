"""Dry runs: what a start of a task would do."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ai_coordination_engine.domain.accounts import Counts
from ai_coordination_engine.domain.decomposition import Decomposition
from ai_coordination_engine.domain.dry_run import DryRun, dry_run
from ai_coordination_engine.domain.forecast import forecast
from ai_coordination_engine.domain.plan_graph import own_graph
from ai_coordination_engine.domain.planning import NO_FALLBACK, Planning
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.domain.shapes import Agent, parse_agents, parse_subtask_queries
from ai_coordination_engine.domain.subtasks import Subtask
from ai_coordination_engine.domain.task_warnings import refused
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.session_agents import Plan, filled_subtasks
from ai_coordination_engine.engine.planning.start import plan_of
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.records.entities import COORDINATION, TASK
from ai_coordination_engine.store.transitions.usage_counters import UsageCounters


def plan_session(
    app: App, tenant: str, coordination_uuid: str, task_uuid: str, task_query: str | None = None
) -> DryRun | None:
    """Return what a start with this query, or else the task's own, would do; nothing is written.

    None if the coordination or the task does not exist. Raises `BadUserInput` if the task cannot
    be started.
    """
    get = partial(app.records.get, consistent=True)
    reads: list[Callable[[], Any]] = [
        partial(get, COORDINATION, tenant, (tenant, coordination_uuid)),
        partial(get, TASK, tenant, (coordination_uuid, task_uuid)),
    ]
    coordination, task = app.records.parallel.run(reads)
    if coordination is None or task is None:
        return None
    return preview(app.settings, coordination, task, task_query)


def with_forecast(
    counters: UsageCounters, tenant: str, coordination_uuid: str, found: DryRun
) -> DryRun:
    """Add what the start will probably use and cost. One Query."""
    past: dict[str, Counts] = {}
    for each in counters.of_agents(tenant, coordination_uuid):
        past[each.agent_uuid] = past.get(each.agent_uuid, Counts()) + each.counts
    told = forecast(found.agent_calls, found.models, past)
    return replace(
        found,
        tokens=told.tokens,
        cost_micro_usd=told.micro_usd,
        warnings=[*found.warnings, *told.warnings],
    )


def preview(
    settings: Settings, coordination: Coordination, task: Task, task_query: str | None = None
) -> DryRun:
    """Return the dry run of records, which need not be stored."""
    plan = plan_of(coordination, task)
    query = task.initial_task_query if task_query is None else task_query
    subtasks = filled_subtasks(plan, query or "")
    agents, model_of = parse_agents(coordination.agents), partial(_model_of, settings)
    is_strict = plan.placeholders == "strict"
    if plan.planning is None:
        queries = parse_subtask_queries(task.subtask_queries)
        return dry_run(agents, queries, plan.agents, subtasks, model_of, is_strict=is_strict)
    found = _of_planned(agents, plan, model_of)
    warnings = [*subtasks[0].warnings, *refused(subtasks if is_strict else ())]
    return replace(found, warnings=[*warnings, *_of_fallback(task, plan.planning), *found.warnings])


def _of_fallback(task: Task, planning: Planning) -> Sequence[str]:
    has_none = task.plan_fallback == "static" and not planning.fallback
    return [NO_FALLBACK] if has_none else []


def _of_planned(
    agents: Sequence[Agent], plan: Plan, model_of: Callable[[Agent], str | None]
) -> DryRun:
    """Return the dry run of a task whose subtasks an agent writes, or whose graph is not known
    before an agent has planned it.
    """
    (planner,) = plan.agents
    if isinstance(plan.planning, Decomposition):
        first, *others = own_graph(plan.planning, planner)
        graph = [first, *(replace(each, predecessors=each.predecessors or (0,)) for each in others)]
        return dry_run(agents, (), graph, [Subtask(None)] * len(graph), model_of)
    found = dry_run([planner.agent], (), [planner], [Subtask(None)], model_of)
    warning = (
        f"plan: {planner.agent.label} plans each session; what follows it is not known before."
    )
    return replace(found, warnings=[*found.warnings, warning])


def _model_of(settings: Settings, agent: Agent) -> str | None:
    """Return the model that an agent asks; if these settings do not name it, its endpoint."""
    runtime = agent.runtime.stored() if agent.runtime else settings.default_runtime
    kind = KINDS.get(str(runtime.get("kind")))
    if kind is None or "model" not in kind.reads:
        return None
    name = str(runtime.get("endpoint") or "default")
    endpoint = settings.openai_endpoints.get(name)
    of_endpoint = endpoint.model if endpoint else None
    return str(runtime.get("model") or of_endpoint or name)
