"""Checks of a run file before anything starts: a dry run, and what the settings do not allow.

`ace run`, `ace check` and the console call them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ai_coordination_engine.domain.budgets import parse_budget, unknown_in
from ai_coordination_engine.domain.dry_run import DryRun
from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.runtimes import idle_settings
from ai_coordination_engine.domain.shapes import (
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.domain.task_warnings import of_graph
from ai_coordination_engine.engine.planning.preview import preview
from ai_coordination_engine.entrypoints.run_file.run_file import (
    RunFile,
    RunFileError,
    parse_run_file,
    problem_line,
)
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import Problem
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import AllowList
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Coordination, Task

WARNING = "warning: "


def dry_run(settings: Settings, run: RunFile) -> DryRun:
    """Return what a run of the file would do.

    Raises `BadUserInput` with the places of what a start would refuse.
    """
    try:
        return _preview(settings, run)
    except BadUserInput as error:
        raise BadUserInput("\n".join(run.located(error.message))) from error


class Checked(NamedTuple):
    """A text that was checked: its run file and the dry run, unless there are `problems`."""

    run: RunFile | None
    plan: DryRun | None
    problems: Sequence[Problem]
    warnings: Sequence[Problem]


def checked(settings: Settings, allow_list: AllowList | None, text: str) -> Checked:
    """Check the text of a run file; `allow_list` None: not whether its runtimes are allowed."""
    try:
        run = parse_run_file(text)
    except RunFileError as error:
        return Checked(None, None, error.problems, ())
    try:
        plan = _preview(settings, run)
    except BadUserInput as error:
        return Checked(None, None, run.problems(error.message), ())
    warned = [*plan.warnings, *without_effect(run)]
    warnings = [each for warning in warned for each in run.problems(warning)]
    refused = _refused(allow_list, run) if allow_list else ()
    return Checked(run, plan, (), sorted({*warnings, *refused}))


def without_effect(run: RunFile) -> Iterator[str]:
    """Yield a warning, in words of the API, for each key of a runtime or a budget that has no
    effect.
    """
    for index, agent in enumerate(run.agents):
        yield from idle_settings(f"agents[{index}].runtime", agent.get("runtime") or {})
    budgets = {"budget": run.budget, "coordination.budget": run.coordination_budget}
    for place, budget in budgets.items():
        if budget is not None:
            yield from unknown_in(parse_budget(budget), place)


def _preview(settings: Settings, run: RunFile) -> DryRun:
    coordination = Coordination("", run.coordination_uuid, agents=run.agents)
    task = Task(
        run.coordination_uuid,
        run.task_uuid,
        task_name=run.task_name,
        subtask_queries=run.subtask_queries,
        agent_actions=run.agent_actions,
        on_failure=run.on_failure,
        placeholders=run.placeholders,
        plan=run.plan,
        plan_limits=run.plan_limits,
        plan_fallback=run.plan_fallback,
    )
    return preview(settings, coordination, task, run.task_query)


def agent_warnings(run: RunFile) -> Iterator[str]:
    """Yield a warning, with its place, for each agent that has no subtask or can never run; none
    if an agent plans the session.
    """
    if run.plan:
        return
    agents, subtasks = parse_agents(run.agents), parse_subtask_queries(run.subtask_queries)
    planned = plan(agents, subtasks, parse_agent_actions(run.agent_actions))
    for warning in of_graph(agents, subtasks, planned):
        yield from run.located(warning, WARNING)


def not_allowed(allow_list: AllowList, run: RunFile, kind: str = "") -> Iterator[str]:
    """Yield a line, with its place, for each runtime and action function that the settings refuse;
    `kind` goes before the message.
    """
    for each in _refused(allow_list, run):
        yield problem_line(run.name, each._replace(message=kind + each.message))


def _refused(allow_list: AllowList, run: RunFile) -> Iterator[Problem]:
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
            name = agent.get("agent_name", uuid)
            yield run.agent_problem(uuid, key, f"agent {name}: {problem}")
