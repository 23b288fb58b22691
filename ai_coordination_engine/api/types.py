"""The object types of the contract, which resolve to the store's records.

A docstring of a type is its description in the schema.
"""

from operator import attrgetter
from typing import Any

import graphene
from graphql import GraphQLResolveInfo
from pydantic.alias_generators import to_camel

from ai_coordination_engine.api import scheduled
from ai_coordination_engine.api.budgets import BudgetType, of_session
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.fields import (
    each,
    each_value,
    endpoint_id,
    one,
    other_fields,
    part_id,
    payload,
)
from ai_coordination_engine.api.nodes import Node
from ai_coordination_engine.api.progress import (
    agent_input,
    agent_name,
    attempt_details,
    attempt_field,
    ended_at,
    in_degree,
    map_index,
    map_session_agent_uuid,
    moment,
    people,
    phase_of,
    question,
    tool_calls,
    usage_fields,
    why_not_running,
)
from ai_coordination_engine.api.scalars import DateTime, JSONCamelCase
from ai_coordination_engine.api.usage_costs import coordination_cost, session_cost
from ai_coordination_engine.domain import records
from ai_coordination_engine.domain.budgets import Budget
from ai_coordination_engine.domain.exposure import wire
from ai_coordination_engine.domain.shapes import Agent, AgentAction, SubtaskQuery
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.graph.keys import agent_key
from ai_coordination_engine.store.models import (
    Coordination,
    Session,
    SessionAgent,
    SessionRun,
    Task,
    TaskSchedule,
)
from ai_coordination_engine.store.records.begun import may_have_begun, status_of


class CoordinationType(graphene.ObjectType):
    """A set of agents that can work together, and how each of them is run."""

    class Meta:
        interfaces = (Node,)

    endpoint_id = endpoint_id()
    part_id = part_id()
    partition_key = graphene.String(required=True)
    coordination_uuid = graphene.String(required=True)
    coordination_name = graphene.String()
    coordination_description = payload(graphene.String, "coordination_description")
    agents = payload(graphene.List(JSONCamelCase), "agents", each(Agent))
    budget = payload(JSONCamelCase, "budget", one(Budget))
    theme_uuid = graphene.String()
    cost = coordination_cost()
    vars().update(other_fields(records.COORDINATION, Coordination, vars()))
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)


def coordination_field() -> graphene.Field:
    """Return the field with the record's coordination."""

    def resolve(record: Any, info: GraphQLResolveInfo) -> object:
        return info.context.loaders.coordination.load(
            (info.context.tenant, record.coordination_uuid)
        )

    return graphene.Field(CoordinationType, resolver=resolve)


class TaskType(graphene.ObjectType):
    """Work for the agents of a coordination: the question for each agent, and the order in which
    they run.
    """

    class Meta:
        interfaces = (Node,)

    task_uuid = graphene.String(required=True)
    coordination_uuid = graphene.String(required=True)
    endpoint_id = endpoint_id()
    partition_key = graphene.String(required=True)
    task_name = graphene.String()
    task_description = payload(graphene.String, "task_description")
    initial_task_query = payload(graphene.String, "initial_task_query")
    subtask_queries = payload(graphene.List(JSONCamelCase), "subtask_queries", each(SubtaskQuery))
    agent_actions = payload(JSONCamelCase, "agent_actions", each_value(AgentAction))
    on_failure = graphene.String()
    placeholders = graphene.String()
    budget = payload(JSONCamelCase, "budget", one(Budget))
    vars().update(other_fields(records.TASK, Task, {*vars(), "expose_as"}))
    expose_as = payload(JSONCamelCase, "expose_as", wire)
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    coordination = coordination_field()


def task_field() -> graphene.Field:
    """Return the field with the record's task."""

    def resolve(record: Any, info: GraphQLResolveInfo) -> object:
        if record.task_uuid is None or record.coordination_uuid is None:
            return None
        return info.context.loaders.task.load((record.coordination_uuid, record.task_uuid))

    return graphene.Field(TaskType, resolver=resolve)


class TaskScheduleType(graphene.ObjectType):
    """The times at which a task is started."""

    class Meta:
        interfaces = (Node,)

    schedule_uuid = graphene.String(required=True)
    task_uuid = graphene.String(required=True)
    coordination_uuid = graphene.String()
    endpoint_id = endpoint_id()
    partition_key = graphene.String(required=True)
    schedule = graphene.String()
    status = graphene.String(required=True)
    vars().update(other_fields(records.TASK_SCHEDULE, TaskSchedule, vars()))
    vars().update(scheduled.fields(lambda: SessionType))
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    task = task_field()
    coordination = coordination_field()


def _key(session: Session) -> tuple[str, str]:
    return session.coordination_uuid, session.session_uuid


async def _definition(session: Session, info: GraphQLResolveInfo) -> object:
    agents = await info.context.loaders.session_agents.load(_key(session))
    return await info.context.call(snapshot, agents)


def _status(session: Session, info: GraphQLResolveInfo) -> object:
    if not may_have_begun(session) or _key(session) in info.context.just_started:
        return session.status
    first = session.first_agent
    return _begun_status(session, info.context) if first is None else status_of(session, first)


async def _begun_status(session: Session, context: Context) -> str:
    return status_of(session, await context.loaders.session_agent.load(agent_key(session, 0)))


class SessionType(graphene.ObjectType):
    """One execution of a task, or one conversation with an agent."""

    class Meta:
        interfaces = (Node,)

    session_uuid = graphene.String(required=True)
    coordination_uuid = graphene.String(required=True)
    task_uuid = graphene.String()
    user_id = graphene.String()
    endpoint_id = endpoint_id()
    partition_key = graphene.String(required=True)
    task_query = payload(graphene.String, "task_query")
    input_files = payload(graphene.List(JSONCamelCase), "input_files")
    iteration_count = graphene.Int()
    subtask_queries = payload(graphene.List(JSONCamelCase), "subtask_queries", each(SubtaskQuery))
    status = graphene.Field(graphene.String, required=True, resolver=_status)
    logs = payload(graphene.String, "logs")
    vars().update(other_fields(records.SESSION, Session, vars()))
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    coordination = coordination_field()
    task = task_field()
    session_agents = graphene.List(
        lambda: SessionAgentType,
        resolver=lambda record, info: info.context.loaders.session_agents.load(_key(record)),
    )
    session_runs = graphene.List(
        lambda: SessionRunType,
        resolver=lambda record, info: info.context.loaders.session_runs.load(_key(record)),
    )
    definition = graphene.Field(JSONCamelCase, resolver=_definition)
    waits_for = graphene.Field(graphene.List(graphene.String), resolver=people)
    cost = session_cost()
    budgets = graphene.Field(
        graphene.List(BudgetType),
        resolver=of_session,
        description="The budgets that it keeps to now, of its task, its coordination and its"
        " tenant, and what is used of them.",
    )


def session_field() -> graphene.Field:
    """Return the field with the record's session."""

    def resolve(record: Any, info: GraphQLResolveInfo) -> object:
        return info.context.loaders.session.load((record.coordination_uuid, record.session_uuid))

    return graphene.Field(SessionType, resolver=resolve)


class SessionAgentType(graphene.ObjectType):
    """One agent in a session: its input, output and state."""

    class Meta:
        interfaces = (Node,)

    session_agent_uuid = graphene.String(required=True)
    session_uuid = graphene.String(required=True)
    coordination_uuid = graphene.String()
    agent_uuid = graphene.String()
    agent_name = graphene.Field(graphene.String, resolver=agent_name)
    agent_action = payload(JSONCamelCase, "agent_action", one(AgentAction))
    user_input = payload(graphene.String, "user_input")
    question = graphene.Field(JSONCamelCase, resolver=question)
    agent_input = graphene.Field(graphene.String, resolver=agent_input)
    agent_output = payload(graphene.String, "agent_output")
    in_degree = graphene.Field(graphene.Int, resolver=in_degree)
    state = graphene.String(required=True)
    phase = graphene.Field(graphene.String, resolver=phase_of)
    notes = payload(graphene.String, "notes")
    attempt = graphene.Int(description="The number of the latest attempt.")
    started_at = moment("started_at")
    ended_at = graphene.Field(DateTime, resolver=ended_at)
    due_at = moment("due_at")
    not_before = moment("not_before")
    lease_until = moment("lease_until")
    map_index = graphene.Field(graphene.Int, resolver=map_index)
    map_session_agent_uuid = graphene.Field(graphene.String, resolver=map_session_agent_uuid)
    why_not_running = graphene.Field(lambda: WhyNotRunningType, resolver=why_not_running)
    successors = graphene.List(
        JSONCamelCase,
        resolver=lambda record, info: info.context.loaders.successors.load(record),
    )
    vars().update(other_fields(records.SESSION_AGENT, SessionAgent, vars()))
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    session = session_field()
    session_runs = graphene.List(
        lambda: SessionRunType,
        resolver=lambda record, info: info.context.loaders.session_agent_runs.load(record),
    )


class WhyNotRunningType(graphene.ObjectType):
    """Why a session agent does not run, as a code and in words; also says that it runs, or how it
    ended.
    """

    code = graphene.String()
    message = graphene.String()
    until = DateTime()
    waits_for = graphene.List(SessionAgentType)
    details = graphene.Field(
        JSONCamelCase,
        resolver=lambda why, info: {to_camel(name): value for name, value in why.details.items()},
    )


class SessionRunType(graphene.ObjectType):
    """One attempt of a session agent. A run never changes."""

    class Meta:
        interfaces = (Node,)

    run_uuid = graphene.String(required=True)
    session_uuid = graphene.String(required=True)
    coordination_uuid = graphene.String()
    session_agent_uuid = graphene.String()
    thread_uuid = graphene.String()
    agent_uuid = graphene.String()
    endpoint_id = endpoint_id()
    partition_key = graphene.String(required=True)
    async_task_uuid = graphene.String()
    async_task = attempt_field(JSONCamelCase, attempt_details)
    status = attempt_field(graphene.String, attrgetter("status"))
    attempt = attempt_field(graphene.Int, attrgetter("attempt"))
    started_at = attempt_field(DateTime, attrgetter("started_at"))
    ended_at = attempt_field(DateTime, attrgetter("ended_at"))
    error = attempt_field(graphene.String, attrgetter("error"))
    error_class = attempt_field(graphene.String, attrgetter("error_class"))
    vars().update(usage_fields())
    tool_calls = attempt_field(graphene.List(JSONCamelCase), tool_calls)
    vars().update(other_fields(records.SESSION_RUN, SessionRun, vars()))
    updated_by = graphene.String()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    session = session_field()
    session_agent = graphene.Field(
        SessionAgentType,
        resolver=lambda record, info: (
            info.context.loaders.session_agent.load(
                (record.session_uuid, record.session_agent_uuid)
            )
            if record.session_agent_uuid
            else None
        ),
    )


class AskOperationHubType(graphene.ObjectType):
    """The uuids under which the answer to a question will be found."""

    run_uuid = graphene.String()
    thread_uuid = graphene.String()
    agent_uuid = graphene.String()
    async_task_uuid = graphene.String()
    session_uuid = graphene.String()
    session_agent_uuid = graphene.String()
    coordination_uuid = graphene.String()
    partition_key = graphene.String()
    updated_at = DateTime()
    session = session_field()


class ProcedureTaskSessionType(graphene.ObjectType):
    """A session that was started from a task."""

    coordination_uuid = graphene.String()
    session_uuid = graphene.String()
    task_uuid = graphene.String()
    user_id = graphene.String()
    task_query = payload(graphene.String, "task_query")
    partition_key = graphene.String()
    coordination = coordination_field()
    session = session_field()
    task = task_field()
