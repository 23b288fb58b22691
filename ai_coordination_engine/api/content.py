"""Check the arguments of a write and convert them to the stored form; one function per record.

`crud` and `task_schedules` call it through `Resource.content`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.domain import statuses
from ai_coordination_engine.domain.budgets import parse_budget, unknown_in
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.domain.graph import check_actions
from ai_coordination_engine.domain.ids import MAX_ID, is_id, is_plain
from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.transition import row_by_hand
from ai_coordination_engine.domain.literals import suspicious_conditions
from ai_coordination_engine.domain.plan_limits import PLAN_FALLBACKS, PlanLimits
from ai_coordination_engine.domain.planning import (
    NO_FALLBACK,
    NO_PLANNER,
    has_own_graph,
    planner_of,
)
from ai_coordination_engine.domain.records import MAX_PLAIN, NEVER_EMPTY, PLAIN
from ai_coordination_engine.domain.rules import (
    ON_FAILURE,
    check_action,
    check_rules,
    idle_keys,
    missing_people,
)
from ai_coordination_engine.domain.runtimes import idle_settings
from ai_coordination_engine.domain.shapes import (
    Agent,
    AgentAction,
    SubtaskQuery,
    parse_agent_action,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
    stored_list,
    stored_map,
    unknown_keys,
)
from ai_coordination_engine.domain.subtasks import PLACEHOLDERS
from ai_coordination_engine.engine.graph.session_agents import Filling
from ai_coordination_engine.errors import BadUserInput, TooCostly
from ai_coordination_engine.ports import AllowList
from ai_coordination_engine.store.models import Coordination
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.transitions.attempts import times_by_hand

MAX_WARNINGS = 20  # of one kind
_TASK_OPTIONS = (
    ("on_failure", "onFailure", ON_FAILURE),
    ("placeholders", "placeholders", PLACEHOLDERS),
    ("plan_fallback", "planFallback", PLAN_FALLBACKS),
)
_IDS = ("_uuid", "question_id")  # how arguments with ids end
_ABOUT_AGENTS = {"subtask_queries", "agent_actions"}
Arguments = Mapping[str, Any]
Content = Callable[[Context, Arguments, Record | None, bool], Mapping[str, object]]


def unusable_ids(arguments: Arguments) -> list[str]:
    """Return the wire names of the ids that are not valid as a key."""
    ids = [
        (name, value)
        for name, value in arguments.items()
        if name.endswith(_IDS) and isinstance(value, str)
    ]
    return [_wire_name(name) for name, value in ids if not is_id(value)]


def check_arguments(arguments: Arguments, *, are_filters: bool = False) -> None:
    """Raise `BadUserInput` for an id or a plain text that cannot be stored or indexed.

    Filters are checked less strictly: an empty text is contained in every text, and an id that is
    not valid finds nothing.
    """
    if not are_filters and (wrong := unusable_ids(arguments)):
        raise BadUserInput(
            f"{wrong[0]} must have 1 to {MAX_ID} bytes of printable characters, and no space at its"
            " ends."
        )
    check = _check_length if are_filters else _check_text
    for name, value in arguments.items():
        if isinstance(value, str):
            check(name, value)


def _check_text(name: str, text: str) -> None:
    if name == "user_id" and not is_plain(text):
        raise BadUserInput(
            f"{_wire_name(name)} must have only printable characters, and no space at its ends."
        )
    _check_length(name, text)
    if name in NEVER_EMPTY and not text.strip():
        raise BadUserInput(f"{_wire_name(name)} must not be empty.")


def _check_length(name: str, text: str) -> None:
    wire = _wire_name(name)
    if name == "idempotency_key" and not (1 <= len(text) <= MAX_ID and text.isprintable()):
        raise BadUserInput(f"{wire} must have 1 to {MAX_ID} printable characters.")
    if name in PLAIN and len(text.encode()) > MAX_PLAIN:
        raise BadUserInput(f"{wire} has {len(text.encode())} bytes; it takes at most {MAX_PLAIN}.")


def coordination(
    context: Context, given: Arguments, parent: Record | None, new: bool
) -> dict[str, object]:
    """Convert a coordination; agents are stored in snake_case.

    Here and below, unknown keys are kept, with a warning.
    """
    values = {**given, **_budget(context, given)}
    if values.get("agents") is not None:
        agents = parse_agents(values["agents"])
        _warn(
            context, unknown_keys((f"agents[{index}]", each) for index, each in enumerate(agents))
        )
        for index, each in enumerate(agents):
            _warn(
                context,
                idle_settings(
                    f"agents[{index}].runtime", each.runtime.stored() if each.runtime else {}
                ),
            )
        _warn(context, _runtimes_not_allowed(context.app.allow_list, agents))
        values["agents"] = stored_list(agents)
    return values


def _runtimes_not_allowed(allow_list: AllowList | None, agents: Sequence[Agent]) -> Iterator[str]:
    """Yield a warning for each runtime that the settings do not allow now; they may change until it
    runs.
    """
    for index, agent in enumerate(agents if allow_list else ()):
        if allow_list and agent.runtime and (why := allow_list.of_runtime(agent.runtime.stored())):
            yield f"agents[{index}].runtime: the agent will fail: {why}."


def _functions_not_allowed(
    allow_list: AllowList | None, actions: Mapping[str, AgentAction]
) -> Iterator[str]:
    """Yield a warning for each action function that the settings do not allow now."""
    for uuid, action in actions.items() if allow_list else ():
        module_name, function_name = (
            action.action_function.module_name,
            action.action_function.function_name,
        )
        is_named = allow_list and (module_name or function_name)
        if (
            allow_list
            and is_named
            and (why := allow_list.of_action(module_name or "", function_name or ""))
        ):
            yield f"agentActions.{uuid[:100]}.actionFunction: the agent will fail: {why}."


def task(context: Context, given: Arguments, parent: Record | None, new: bool) -> dict[str, object]:
    """Convert a task; subtasks and actions of unknown agents are dropped with a warning."""
    values = {**given, **_exposure(given), **_budget(context, given)}
    _check_task_options(values)
    about_agents = _ABOUT_AGENTS & set(given)
    if not isinstance(parent, Coordination):
        return values
    agents = parse_agents(parent.agents)
    is_whole = new or about_agents == _ABOUT_AGENTS
    _warn(context, _not_planned(agents, values, is_whole=is_whole))
    if not about_agents:
        return values
    if values.get("subtask_queries") is not None:
        values["subtask_queries"] = _subtasks_of(context, values["subtask_queries"], agents)
    if values.get("agent_actions") is not None:
        values["agent_actions"] = _agent_actions(context, values["agent_actions"], agents)
    names_no_agent = not values.get("subtask_queries") and not values.get("agent_actions")
    if given.get("subtask_queries") and names_no_agent:
        context.warn("No agent of the task is left: every agent of type task will run.")
    if is_whole:
        _warn(context, _placeholders_without_value(agents, values))
        _warn(context, _missing_people(agents, values))
    return values


def _not_planned(agents: Sequence[Agent], values: Arguments, *, is_whole: bool) -> Iterator[str]:
    """Yield a warning if no agent plans a task with `plan`, or it has no graph to fall back on.

    `is_whole`: whether `values` have all subtasks and actions of the task.
    """
    if not values.get("plan"):
        return
    planner = planner_of(agents)
    if planner is None:
        yield NO_PLANNER
    elif is_whole and values.get("plan_fallback") == "static":
        asked = parse_subtask_queries(values.get("subtask_queries"))
        acting = parse_agent_actions(values.get("agent_actions"))
        if not has_own_graph(planner.agent_uuid, [each.agent_uuid for each in asked], acting):
            yield NO_FALLBACK


def _budget(context: Context, given: Arguments) -> dict[str, object]:
    """Return the budget in its stored form, if it is given."""
    if given.get("budget") is None:
        return {}
    budget = parse_budget(given["budget"])
    _warn(context, unknown_in(budget))
    return {"budget": budget.stored()}


def _check_task_options(values: Arguments) -> None:
    for name, wire, accepted in _TASK_OPTIONS:
        if values.get(name) is not None:
            statuses.check_enum(wire, values[name], accepted)
    PlanLimits.of(values.get("plan_limits"))


def _exposure(values: Arguments) -> dict[str, object]:
    if "expose_as" not in values:
        return {}
    exposure = Exposure.of(values["expose_as"])
    return {"expose_as": None if exposure is None else exposure.stored()}


def _subtasks_of(
    context: Context, given: object, agents: Sequence[Agent]
) -> list[dict[str, object]]:
    known = {agent.agent_uuid for agent in agents}
    subtasks = _subtask_queries(context, given)
    for subtask in subtasks:
        if subtask.agent_uuid not in known:
            context.warn(
                f"subtaskQueries: {subtask.agent_uuid} is not an agent of the coordination;"
                " dropped."
            )
    return stored_list([each for each in subtasks if each.agent_uuid in known])


def _missing_people(agents: Sequence[Agent], values: Arguments) -> Iterator[str]:
    actions = parse_agent_actions(values.get("agent_actions"))
    taking_part = {
        each.agent_uuid for each in parse_subtask_queries(values.get("subtask_queries"))
    } | set(actions)
    taking_part.update(uuid for action in actions.values() for uuid in action.predecessors)
    return missing_people(agents, actions, taking_part)


def _agent_actions(
    context: Context, given: object, agents: Sequence[Agent]
) -> dict[str, dict[str, object]]:
    actions, known = parse_agent_actions(given), {agent.agent_uuid for agent in agents}
    for agent_uuid in actions:
        if agent_uuid not in known:
            context.warn(
                f"agentActions: {agent_uuid} is not an agent of the coordination; dropped."
            )
    kept = {uuid: action for uuid, action in actions.items() if uuid in known}
    check_actions(agents, kept)
    check_rules(agents, kept)
    _warn(
        context,
        unknown_keys((f"agentActions.{uuid[:100]}", action) for uuid, action in kept.items()),
    )
    _warn(context, idle_keys(kept))
    _warn(context, suspicious_conditions(kept))
    _warn(context, _functions_not_allowed(context.app.allow_list, kept))
    return stored_map(kept)


def _placeholders_without_value(agents: Sequence[Agent], values: Arguments) -> Iterator[str]:
    """Yield a warning for each placeholder for which the task's own query has no value.

    A task without a query gets it at the start of a session, so nothing is checked here.
    """
    if not values.get("initial_task_query"):
        return
    by_uuid = {agent.agent_uuid: agent for agent in agents}
    actions = parse_agent_actions(values.get("agent_actions"))
    filling = Filling(values["initial_task_query"], by_uuid)
    for each in parse_subtask_queries(values.get("subtask_queries")):
        agent, action = by_uuid[each.agent_uuid], actions.get(each.agent_uuid) or AgentAction()
        try:
            yield from filling(each.subtask_query or "", agent, action).warnings
        except TooCostly:
            return  # the start of a session reports this, unless its query is smaller


def session(
    context: Context, given: Arguments, parent: Record | None, new: bool
) -> dict[str, object]:
    """Convert a session; a new one is `initial`."""
    values = {"status": "initial", "iteration_count": 0, **given} if new else dict(given)
    _check_enum(values, "status", statuses.SESSION_STATUSES)
    if values.get("subtask_queries") is not None:
        values["subtask_queries"] = stored_list(
            _subtask_queries(context, values["subtask_queries"])
        )
    return _counted(values, "iteration_count")


def session_agent(
    context: Context, given: Arguments, parent: Record | None, new: bool
) -> dict[str, object]:
    """Convert a session agent; a new one is `initial` and its action has all defaults."""
    values = (
        {"state": "initial", "in_degree": 0, "agent_action": {}, **given} if new else dict(given)
    )
    if new and values.get("agent_uuid") is None:
        raise BadUserInput("agentUuid is required to create a session agent.")
    _check_enum(values, "state", statuses.AGENT_STATES)
    if "state" in given:
        values.update(_set_by_hand(context, values["state"], new))
    if new or values.get("agent_action") is not None:
        action = parse_agent_action(values["agent_action"])
        check_action(values.get("agent_uuid") or "", action)
        _warn(context, unknown_keys([("agentAction", action)]))
        values["agent_action"] = action.complete()
    return _counted(values, "in_degree")


def _set_by_hand(context: Context, state: str, new: bool) -> dict[str, object]:
    """Return the further values of an agent whose state is set by hand.

    An attempt that still runs then records its run but does not change the agent.
    """
    now = context.app.clock.now()
    row = None if new else row_by_hand(AGENT_TRANSITIONS, state)
    cleared = () if row is None else row.clears
    values = {**dict.fromkeys(cleared), **times_by_hand(state, now.timestamp())}
    if state == "wait_for_user_input":
        values.update(inbox=context.tenant, waits_since=now.isoformat(timespec="microseconds"))
    return values


def as_given(
    context: Context, given: Arguments, parent: Record | None, new: bool
) -> dict[str, object]:
    """Return the arguments unchanged."""
    return dict(given)


def _subtask_queries(context: Context, given: object) -> list[SubtaskQuery]:
    subtasks = parse_subtask_queries(given)
    _warn(
        context,
        unknown_keys((f"subtaskQueries[{index}]", each) for index, each in enumerate(subtasks)),
    )
    return subtasks


def _warn(context: Context, warnings: Iterable[str]) -> None:
    for warning in islice(warnings, MAX_WARNINGS):
        context.warn(warning)


def _check_enum(values: Arguments, name: str, accepted: tuple[str, ...]) -> None:
    if name in values:
        if values[name] is None:
            raise BadUserInput(f"{name} cannot be null; it takes one of: {', '.join(accepted)}.")
        statuses.check_enum(name, values[name], accepted)


def _counted(values: dict[str, Any], name: str) -> dict[str, object]:
    if values.get(name) is not None and values[name] < 0:
        raise BadUserInput(f"{_wire_name(name)} cannot be negative.")
    return values


def _wire_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
