"""Declare the six records on the wire: their arguments and the rules of the contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import and_

import graphene

from ai_coordination_engine.api import content, task_schedules, types
from ai_coordination_engine.api.content import Arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import Guard, Resource, insert_once, insert_update
from ai_coordination_engine.api.scalars import DateTime, JSONCamelCase
from ai_coordination_engine.domain import records, statuses
from ai_coordination_engine.domain.budgets import check_fallback, parse_budget
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.domain.lifecycle import agents, agents_by_hand, sessions
from ai_coordination_engine.domain.lifecycle.transition import Transition, row_by_hand
from ai_coordination_engine.domain.records import Field, Filter, Kind
from ai_coordination_engine.domain.shapes import parse_agent_actions
from ai_coordination_engine.engine.control import budgets
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.records import entities
from ai_coordination_engine.store.records.exposed import check_name

_KINDS: Mapping[Kind, Callable[..., object]] = {
    Kind.TEXT: graphene.String,
    Kind.WHOLE: graphene.Int,
    Kind.FLAG: graphene.Boolean,
    Kind.MOMENT: DateTime,
    Kind.JSON: JSONCamelCase,
    Kind.JSON_LIST: lambda **given: graphene.List(JSONCamelCase, **given),
}


def _arguments(record: tuple[Field, ...]) -> dict[str, object]:
    """Return the arguments of `insertUpdate…`."""
    return {each.name: _KINDS[each.kind](required=each.needed) for each in record}


def _filters(
    record: tuple[Field, ...],
    extra: Mapping[str, Callable[[], object]] | None = None,
    first: Sequence[str] = (),
) -> dict[str, object]:
    """Return the arguments of a list: the fields of the record and `extra`; `first` come first."""
    makers: dict[str, Callable[[], object]] = {
        name: partial(_filter, each) for name, each in records.filters(record)
    }
    makers |= extra or {}
    return {
        name: makers[name]() for name in [*first, *(each for each in makers if each not in first)]
    }


def _filter(field: Field) -> object:
    return graphene.List(graphene.String) if field.filter is Filter.ONE_OF else _KINDS[field.kind]()


def _needs_agents(given: Arguments) -> bool:
    about_agents = (
        given.get("subtask_queries") is not None or given.get("agent_actions") is not None
    )
    return about_agents or bool(given.get("plan"))


_CONFLICTS: Mapping[str, str] = {
    sessions.SET_BY_HAND.name: (
        "The session has ended, or is being reset to run again: its status cannot be set. Use"
        " cancelSession to end it, or retrySession to run it again."
    ),
    agents_by_hand.OPEN_BY_HAND.name: (
        "The engine controls this session agent: only a final state can be set."
    ),
    agents_by_hand.END_BY_HAND.name: "The session agent has ended; its state cannot be changed.",
    agents_by_hand.COUNT_BY_HAND.name: (
        "The engine counts the inDegree of this session agent; it cannot be set."
    ),
    agents_by_hand.DELETE_NEEDED.name: "The session still needs this agent; end the session first.",
    agents_by_hand.DELETE_BY_HAND.name: (
        "The session agent is running; end it first, for example with the state cancelled."
    ),
}
"""The error message for each change that a client may not make."""


def _guard(*changes: Transition | None) -> Guard:
    """Return the condition for changes by a client, and the message when it does not hold."""
    rows = [each for each in changes if each is not None]
    needs = [each.condition for each in rows if each.condition is not None]
    return (reduce(and_, needs), _CONFLICTS[rows[-1].name]) if needs else (None, "")


def _session_update(given: Arguments) -> Guard:
    """A client cannot change a final status (promise P6), nor that of a session being reset."""
    return _guard(row_by_hand(sessions.SESSION_TRANSITIONS, given.get("status")))


def _session_agent_update(given: Arguments) -> Guard:
    """A client cannot change a final state, nor the engine's count of predecessors (promise P3)."""
    state = row_by_hand(agents.AGENT_TRANSITIONS, given.get("state"))
    return _guard(state, agents_by_hand.COUNT_BY_HAND if "in_degree" in given else None)


def _session_agent_delete(context: Context, given: Arguments) -> Guard:
    """A client can delete an agent that the engine planned only if nothing needs it
    (promise P4).
    """
    key = given["session_uuid"], given["session_agent_uuid"]
    is_needed = control.agent_deletes(context.app, context.tenant, *key)
    return _guard(agents_by_hand.DELETE_NEEDED if is_needed else agents_by_hand.DELETE_BY_HAND)


def _write_with_budget(context: Context, resource: Resource, given: Arguments) -> object:
    """Write a coordination or a task; agents that wait for its budget look at the new one."""
    record = insert_update(context, resource, given)
    if "budget" in given and isinstance(record, Coordination | Task):
        budgets.changed(context.app, record)
    return record


def _write_task(context: Context, resource: Resource, given: Arguments) -> object:
    exposure = Exposure.of(given.get("expose_as"))
    if exposure is not None:
        own = (given["coordination_uuid"], given.get("task_uuid") or "")
        check_name(context.app.records, context.tenant, exposure.name, own)
    _check_fallback(context, given)
    return _write_with_budget(context, resource, given)


def _check_fallback(context: Context, given: Arguments) -> None:
    """Raise `BadUserInput` for a task whose budget wants a fallback that no agent has. A planned
    task is not checked: its plans may have some.
    """
    wanted = given.get("budget")
    if wanted is None or given.get("plan"):
        return
    budget, actions = parse_budget(wanted), given.get("agent_actions")
    if budget.on_exceeded == "fallback" and actions is None and given.get("task_uuid"):
        key = given["coordination_uuid"], given["task_uuid"]
        task = context.app.records.get(entities.TASK, context.tenant, key, consistent=True)
        if task is not None and task.plan:
            return
        actions = task.agent_actions if task is not None else None
    check_fallback(budget, parse_agent_actions(actions))


def _write_session(context: Context, resource: Resource, given: Arguments) -> object:
    ends = given.get("status") in statuses.TERMINAL_SESSION_STATUSES
    if ends and given.get("session_uuid") is not None:
        control.session_ends(
            context.app, context.tenant, (given["coordination_uuid"], given["session_uuid"])
        )
    session = insert_update(context, resource, given)
    if ends:
        control.session_ended(context.app, session)
    return session


def _write_session_agent(context: Context, resource: Resource, given: Arguments) -> object:
    ends = given.get("state") in statuses.TERMINAL_AGENT_STATES
    before = None
    if ends and given.get("session_agent_uuid") is not None:
        before = control.agent_ends(
            context.app, context.tenant, (given["session_uuid"], given["session_agent_uuid"])
        )
    agent = insert_update(context, resource, given)
    if ends:
        control.agent_ended(context.app, agent)
    if before is not None and (before.state, given["state"]) == (
        "wait_for_user_input",
        "completed",
    ):
        context.warn(
            "The agent was waiting for a person and is now completed without an answer: nothing"
            " was checked against its answerSchema, and its successors get its agentOutput. Use"
            " executeForUserInput to answer."
        )
    return agent


_EXTRA_FILTERS: Mapping[str, Callable[[], object]] = {
    "task_uuid": graphene.String,
    "agent_name": graphene.String,
    "primary_path": graphene.Boolean,
    "user_in_the_loop": graphene.String,
    "predecessor": graphene.String,
    "predecessors": lambda: graphene.List(graphene.String),
    "session_agent_uuid_prefix": graphene.String,
}
"""Arguments of the list of session agents that are not fields of the record.

They filter by the session, the agent and the action.
"""
_ORDER = ("session_uuid", "coordination_uuid", "task_uuid", "agent_uuid", *[*_EXTRA_FILTERS][1:])


COORDINATION = Resource(
    entity=entities.COORDINATION,
    name="coordination",
    type=types.CoordinationType,
    arguments=_arguments(records.COORDINATION),
    list_arguments=_filters(records.COORDINATION),
    content=content.coordination,
    accepted_values={},
    write=_write_with_budget,
)
TASK = Resource(
    entity=entities.TASK,
    name="task",
    type=types.TaskType,
    arguments=_arguments(records.TASK),
    list_arguments=_filters(records.TASK),
    content=content.task,
    accepted_values={},
    write=_write_task,
    needs_parent=_needs_agents,
)
TASK_SCHEDULE = Resource(
    entity=entities.TASK_SCHEDULE,
    name="task_schedule",
    type=types.TaskScheduleType,
    arguments=_arguments(records.TASK_SCHEDULE),
    list_arguments=_filters(records.TASK_SCHEDULE),
    content=content.as_given,
    accepted_values={"statuses": statuses.SCHEDULE_STATUSES},
    write=task_schedules.write,
)
SESSION = Resource(
    entity=entities.SESSION,
    name="session",
    type=types.SessionType,
    arguments=_arguments(records.SESSION),
    list_arguments=_filters(
        records.SESSION,
        {"session_uuid_prefix": graphene.String, "waits_for_person": graphene.Boolean},
    ),
    content=content.session,
    accepted_values={"statuses": statuses.SESSION_STATUSES},
    write=_write_session,
    from_agents=("session_agents", "definition", "waits_for"),
    from_runs=("session_runs",),
    update_condition=_session_update,
)
SESSION_AGENT = Resource(
    entity=entities.SESSION_AGENT,
    name="session_agent",
    type=types.SessionAgentType,
    arguments=_arguments(records.SESSION_AGENT),
    list_arguments=_filters(records.SESSION_AGENT, _EXTRA_FILTERS, _ORDER),
    content=content.session_agent,
    accepted_values={"states": statuses.AGENT_STATES},
    write=_write_session_agent,
    update_condition=_session_agent_update,
    delete_condition=_session_agent_delete,
)
SESSION_RUN = Resource(
    entity=entities.SESSION_RUN,
    name="session_run",
    type=types.SessionRunType,
    arguments=_arguments(records.SESSION_RUN),
    list_arguments=_filters(
        records.SESSION_RUN, first=("session_uuid", "coordination_uuid", "agent_uuid")
    ),
    content=content.as_given,
    accepted_values={},
    write=insert_once,
    delete_arguments={"coordination_uuid": graphene.String()},
)

INBOX = replace(
    SESSION_AGENT,
    entity=entities.INBOX,
    list_arguments={
        "user_in_the_loop": graphene.String(),
        "coordination_uuid": graphene.String(),
        "session_uuid_prefix": graphene.String(),
        "session_agent_uuid_prefix": graphene.String(),
    },
    accepted_values={},
)
"""The session agents that wait for a person."""

RESOURCES = (COORDINATION, TASK, TASK_SCHEDULE, SESSION, SESSION_AGENT, SESSION_RUN)
