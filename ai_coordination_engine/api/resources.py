"""The six records on the wire: arguments and rules, as the contract lists them."""

from dataclasses import replace
from typing import Any

import graphene

from ai_coordination_engine.api import content, types
from ai_coordination_engine.api.content import Arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import Resource, insert_once, insert_update
from ai_coordination_engine.api.scalars import JSONCamelCase
from ai_coordination_engine.domain import statuses
from ai_coordination_engine.engine import control
from ai_coordination_engine.store import entities
from ai_coordination_engine.store.models import Session, SessionAgent


def _text() -> graphene.String:
    return graphene.String()


def _required() -> graphene.String:
    return graphene.String(required=True)


def _texts() -> graphene.List:
    return graphene.List(graphene.String)


def _objects() -> graphene.List:
    return graphene.List(JSONCamelCase)


def _needs_agents(given: Arguments) -> bool:
    return given.get("subtask_queries") is not None or given.get("agent_actions") is not None


def _session_update(given: Arguments) -> tuple[Any, str]:
    """A terminal status never changes (promise P6), nor does that of a session that a retry is setting back."""
    if "status" not in given:
        return None, ""
    allowed = (*statuses.OPEN_SESSION_STATUSES, given["status"] or "")
    return (
        Session.status.is_in(*dict.fromkeys(allowed)) & Session.restart.does_not_exist(),
        "The session has ended, or is being set back to run again: its status cannot be set by hand. "
        "cancelSession ends it, retrySession runs it again.",
    )


def _session_agent_update(given: Arguments) -> tuple[Any, str]:
    """A terminal state never changes, and the engine alone counts predecessors (promise P3)."""
    condition: Any = None
    conflict = "The session agent has ended; its state does not change any more."
    by_client = SessionAgent.ordinal.does_not_exist()
    if "state" in given:
        allowed = (*statuses.OPEN_AGENT_STATES, given["state"] or "")
        condition = SessionAgent.state.is_in(*dict.fromkeys(allowed))
        if given["state"] in statuses.OPEN_AGENT_STATES:
            condition &= by_client
            conflict = "The engine moves this session agent itself; by hand it can only be ended."
    if "in_degree" in given:
        condition = by_client if condition is None else condition & by_client
        conflict = "The engine counts inDegree of this session agent itself; it cannot be set."
    return condition, conflict


def _session_agent_delete(context: Context, given: Arguments) -> tuple[Any, str]:
    """An agent that the engine planned goes only when nothing can follow from it any more (promise P4)."""
    by_client = SessionAgent.ordinal.does_not_exist()
    if control.is_needed(context.app, context.tenant, given["session_uuid"], given["session_agent_uuid"]):
        return by_client, "The session still needs this agent; end the session first."
    return (
        by_client | SessionAgent.state.is_in(*statuses.TERMINAL_AGENT_STATES),
        "The session agent is at work; end it first, for example with the state cancelled.",
    )


def _write_session(context: Context, resource: Resource, given: Arguments) -> Any:
    session = insert_update(context, resource, given)
    if given.get("status") in statuses.TERMINAL_SESSION_STATUSES:
        control.session_ended(context.app, session)
    return session


def _write_session_agent(context: Context, resource: Resource, given: Arguments) -> Any:
    ends = given.get("state") in statuses.TERMINAL_AGENT_STATES
    before = None
    if ends and given.get("session_agent_uuid") is not None:
        before = control.agent_ends(context.app, context.tenant, (given["session_uuid"], given["session_agent_uuid"]))
    agent = insert_update(context, resource, given)
    if ends:
        control.agent_ended(context.app, agent)
    if before is not None and (before.state, given["state"]) == ("wait_for_user_input", "completed"):
        context.warn(
            "The agent was waiting for a person, and is completed without an answer: nothing was checked against its "
            "answerSchema, and its successors are given the agentOutput that it has. executeForUserInput answers."
        )
    return agent


COORDINATION = Resource(
    entity=entities.COORDINATION,
    name="coordination",
    type=types.CoordinationType,
    arguments={
        "coordination_uuid": _text(),
        "coordination_name": _text(),
        "coordination_description": _text(),
        "agents": _objects(),
        "theme_uuid": _text(),
        "updated_by": _required(),
    },
    list_arguments={"coordination_name": _text(), "coordination_description": _text()},
    content=content.coordination,
    words={},
    write=insert_update,
)
TASK = Resource(
    entity=entities.TASK,
    name="task",
    type=types.TaskType,
    arguments={
        "coordination_uuid": _required(),
        "task_uuid": _text(),
        "task_name": _required(),
        "task_description": _text(),
        "initial_task_query": _text(),
        "subtask_queries": _objects(),
        "agent_actions": JSONCamelCase(),
        "on_failure": _text(),
        "placeholders": _text(),
        "updated_by": _required(),
    },
    list_arguments={
        "coordination_uuid": _text(),
        "task_name": _text(),
        "task_description": _text(),
        "initial_task_query": _text(),
    },
    content=content.task,
    words={},
    write=insert_update,
    needs_parent=_needs_agents,
)
TASK_SCHEDULE = Resource(
    entity=entities.TASK_SCHEDULE,
    name="task_schedule",
    type=types.TaskScheduleType,
    arguments={
        "task_uuid": _required(),
        "schedule_uuid": _text(),
        "coordination_uuid": _text(),
        "schedule": _text(),
        "status": _text(),
        "updated_by": _required(),
    },
    list_arguments={"task_uuid": _text(), "coordination_uuid": _text(), "statuses": _texts()},
    content=content.task_schedule,
    words={"statuses": statuses.SCHEDULE_STATUSES},
    write=insert_update,
)
SESSION = Resource(
    entity=entities.SESSION,
    name="session",
    type=types.SessionType,
    arguments={
        "coordination_uuid": _required(),
        "session_uuid": _text(),
        "task_uuid": _text(),
        "user_id": _text(),
        "task_query": _text(),
        "input_files": _objects(),
        "iteration_count": graphene.Int(),
        "subtask_queries": _objects(),
        "status": _text(),
        "logs": _text(),
        "updated_by": _required(),
    },
    list_arguments={
        "coordination_uuid": _text(),
        "task_uuid": _text(),
        "user_id": _text(),
        "statuses": _texts(),
    },
    content=content.session,
    words={"statuses": statuses.SESSION_STATUSES},
    write=_write_session,
    update_condition=_session_update,
)
SESSION_AGENT = Resource(
    entity=entities.SESSION_AGENT,
    name="session_agent",
    type=types.SessionAgentType,
    arguments={
        "session_uuid": _required(),
        "session_agent_uuid": _text(),
        "coordination_uuid": _text(),
        "agent_uuid": _text(),
        "agent_action": JSONCamelCase(),
        "user_input": _text(),
        "agent_input": _text(),
        "agent_output": _text(),
        "in_degree": graphene.Int(),
        "state": _text(),
        "notes": _text(),
        "updated_by": _required(),
    },
    list_arguments={
        "session_uuid": _text(),
        "coordination_uuid": _text(),
        "task_uuid": _text(),
        "agent_uuid": _text(),
        "agent_name": _text(),
        "primary_path": graphene.Boolean(),
        "user_in_the_loop": _text(),
        "predecessor": _text(),
        "predecessors": _texts(),
        "in_degree": graphene.Int(),
        "states": _texts(),
    },
    content=content.session_agent,
    words={"states": statuses.AGENT_STATES},
    write=_write_session_agent,
    update_condition=_session_agent_update,
    delete_condition=_session_agent_delete,
)
SESSION_RUN = Resource(
    entity=entities.SESSION_RUN,
    name="session_run",
    type=types.SessionRunType,
    arguments={
        "session_uuid": _required(),
        "run_uuid": _required(),
        "thread_uuid": _required(),
        "agent_uuid": _required(),
        "coordination_uuid": _required(),
        "async_task_uuid": _required(),
        "session_agent_uuid": _text(),
        "updated_by": _required(),
    },
    list_arguments={
        "session_uuid": _text(),
        "coordination_uuid": _text(),
        "agent_uuid": _text(),
        "thread_uuid": _text(),
    },
    content=content.session_run,
    words={},
    write=insert_once,
    delete_arguments={"coordination_uuid": _text()},
)

INBOX = replace(
    SESSION_AGENT,
    entity=entities.INBOX,
    list_arguments={"user_in_the_loop": _text(), "coordination_uuid": _text()},
    words={},
)
"""What waits for a person."""

RESOURCES = (COORDINATION, TASK, TASK_SCHEDULE, SESSION, SESSION_AGENT, SESSION_RUN)
