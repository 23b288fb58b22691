"""The computed fields of session agents and session runs, which are never stored."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import graphene
from graphql import GraphQLResolveInfo
from pydantic.alias_generators import to_camel

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.scalars import DateTime
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.lifecycle.phases import phase
from ai_coordination_engine.domain.shapes import AsyncTask, ToolCall
from ai_coordination_engine.domain.statuses import AgentState
from ai_coordination_engine.domain.usage import COUNTS, MAX_COUNT, Usage
from ai_coordination_engine.engine.control import explain
from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS, agent_key
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.transitions.counter_shards import is_wide


def moment(name: str, description: str | None = None) -> graphene.Field:
    """Return a field for an attribute in epoch seconds."""

    def resolve(record: object, info: GraphQLResolveInfo) -> datetime | None:
        return _at(getattr(record, name))

    return graphene.Field(DateTime, resolver=resolve, description=description)


def ended_at(agent: SessionAgent, info: GraphQLResolveInfo) -> datetime | None:
    """Return when the latest attempt ended; None if it has not begun, even when a time is
    stored.
    """
    return None if agent.started_at is None else _at(agent.ended_at)


def _at(seconds: float | None) -> datetime | None:
    # A value that is not positive is no time: it marks why a lease was expired.
    return None if seconds is None or seconds <= 0 else datetime.fromtimestamp(seconds, UTC)


async def question(agent: SessionAgent, info: GraphQLResolveInfo) -> object:
    """Return what the agent's runtime asks a person now, in wire form."""
    asks = await _asks(agent, info)
    names = ("id", "text", "answer_schema", "details")
    return asks and {to_camel(name): asks[name] for name in names if name in asks}


async def _asks(agent: SessionAgent, info: GraphQLResolveInfo) -> Any:
    """The question of an agent that waits because its runtime has asked; None for others."""
    if agent.state != AgentState.WAIT_FOR_USER_INPUT or agent.stored("asks") is None:
        return None
    return await info.context.loaders.payload.value(agent, "asks")


async def agent_input(agent: SessionAgent, info: GraphQLResolveInfo) -> object:
    """Return the input of the agent: what a client wrote, or else computed from its
    predecessors.
    """
    context: Context = info.context
    if (asks := await _asks(agent, info)) is not None:
        return asks["text"]
    if agent.stored("agent_input") is not None:
        return await context.loaders.payload.value(agent, "agent_input")
    # A person who is asked needs the input before the first attempt.
    waits = agent.state == AgentState.WAIT_FOR_USER_INPUT
    if agent.ordinal is None or (agent.attempt is None and not waits):
        return None
    return await context.loaders.agent_input.load(agent)


def agent_name(agent: SessionAgent, info: GraphQLResolveInfo) -> object:
    """Return the agent's name from its own definition, or else from its coordination."""
    definition = agent.stored("definition")
    if isinstance(definition, Mapping):
        return definition.get("agent_name")
    return info.context.loaders.agent_name.load(agent)


async def in_degree(agent: SessionAgent, info: GraphQLResolveInfo) -> int | None:
    """Return the number of unfinished predecessors; a wide join counts them in counter shards."""
    if not agent.in_degree or not is_wide(agent):
        return agent.in_degree
    context: Context = info.context
    return await context.loaders.in_degree.load(agent)


def map_index(agent: SessionAgent, info: GraphQLResolveInfo) -> int | None:
    """Return the position of an element in its map, from 0; None for other agents."""
    return None if agent.map_ordinal is None else agent.ordinal % MAX_ELEMENTS


def map_session_agent_uuid(agent: SessionAgent, info: GraphQLResolveInfo) -> str | None:
    """Return the session agent of the map to which an element belongs; None for other agents."""
    return None if agent.map_ordinal is None else agent_key(agent, agent.map_ordinal)[1]


def phase_of(agent: SessionAgent, info: GraphQLResolveInfo) -> str:
    """Return what the agent is doing, or waiting for, now."""
    app = info.context.app
    return str(phase(agent, app.clock.now().timestamp()))


async def people(session: Session, info: GraphQLResolveInfo) -> list[str]:
    """Return the people that the session waits for, each once, in the order of the task."""
    loaders = info.context.loaders
    agents = await loaders.session_agents.load(session.key)
    waiting = [each for each in agents if each.state == AgentState.WAIT_FOR_USER_INPUT]
    actions = await loaders.payload.values(waiting, "agent_action")
    named = [
        agent.awaits_user or (action or {}).get("user_in_the_loop")
        for agent, action in zip(waiting, actions, strict=True)
    ]
    return [*dict.fromkeys(each for each in named if each)]


async def why_not_running(agent: SessionAgent, info: GraphQLResolveInfo) -> explain.Why:
    """Return why the agent does not run, from its session and the first agents that it
    waits for.
    """
    context: Context = info.context
    loaders = context.loaders
    session = await loaders.session.load(agent.session_key)
    counter_shards = [
        each
        for each in await loaders.counter_shard.load_many(explain.counter_shard_keys(agent))
        if each
    ]
    others = [
        each
        for each in await loaders.session_agent.load_many(explain.neighbours(agent, counter_shards))
        if each
    ]
    scene = explain.Scene(
        session=session,
        others=others,
        unfinished=await in_degree(agent, info) or 0,
        now=context.app.clock.now().timestamp(),
        job=(
            (await loaders.async_task.load(agent.async_task_uuid) or {})
            if agent.async_task_uuid
            else {}
        ),
    )
    return explain.explain(agent, scene)


def attempt_field(of_type: object, value: Callable[[Attempt], object]) -> graphene.Field:
    """Return a field of a run that shows a value of its attempt."""

    async def later(loading: Awaitable[Attempt]) -> object:
        return value(await loading)

    def resolve(run: SessionRun, info: GraphQLResolveInfo) -> object:
        loader = info.context.loaders.attempt
        known = loader.known(run)
        return later(loader.load(run)) if known is None else value(known)

    return graphene.Field(of_type, resolver=resolve)


def usage_fields() -> dict[str, graphene.Field]:
    """Return the fields of a run that show its usage, and what that costs.

    The calls of tools are a field of their own.
    """
    fields = {
        name: attempt_field(
            graphene.Int if name in COUNTS else graphene.String, attrgetter(f"usage.{name}")
        )
        for name in Usage.__dataclass_fields__
        if name != "tool_calls"
    }
    cost = attempt_field(graphene.Int, _cost)
    return {
        **fields,
        "cost_micro_usd": cost,
        "price_version": attempt_field(graphene.String, attrgetter("price_version")),
    }


def _cost(attempt: Attempt) -> int | None:
    """Return the cost if it is an `Int` of GraphQL; the run's details have any."""
    cost = attempt.cost_micro_usd
    return cost if cost is not None and cost <= MAX_COUNT else None


def tool_calls(attempt: Attempt) -> object:
    """Return the tool calls of an attempt in wire form."""
    calls = attempt.tool_calls
    return None if calls is None else [ToolCall.model_validate(each).wire() for each in calls]


def attempt_details(attempt: Attempt) -> object:
    """Return the details of an attempt, in wire form, as its runtime reported them."""
    return None if attempt.details is None else AsyncTask.model_validate(attempt.details).wire()
