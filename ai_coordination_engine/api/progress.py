"""Fields that say how an agent or an attempt is getting on: worked out when they are asked for,
never stored.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.shapes import AsyncTask
from ai_coordination_engine.engine.control import explain
from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS, agent_key
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.transitions.counter_shards import is_wide


def moment(name: str, description: str | None = None) -> graphene.Field:
    """A field over an attribute that holds epoch seconds."""

    def resolve(record: object, info: GraphQLResolveInfo) -> datetime | None:
        return _at(getattr(record, name))

    return graphene.Field(graphene.DateTime, resolver=resolve, description=description)


def ended_at(agent: SessionAgent, info: GraphQLResolveInfo) -> datetime | None:
    """When the latest attempt ended; what never began has no end either, though it may be
    stored.
    """
    return None if agent.started_at is None else _at(agent.ended_at)


def _at(seconds: float | None) -> datetime | None:
    # else it tells why the lease was expired
    return None if seconds is None or seconds <= 0 else datetime.fromtimestamp(seconds, UTC)


async def agent_input(agent: SessionAgent, info: GraphQLResolveInfo) -> object:
    """What the agent was given, or would be: as a client wrote it, else worked out from what it
    depends on.
    """
    context: Context = info.context
    if agent.stored("agent_input") is not None:
        return await context.loaders.payload.value(agent, "agent_input")
    # its person needs to see what the question is about
    waits = agent.state == "wait_for_user_input"
    if agent.ordinal is None or (agent.attempt is None and not waits):
        return None
    return await context.loaders.agent_input.load(agent)


def agent_name(agent: SessionAgent, info: GraphQLResolveInfo) -> object:
    """What the agent is called: as its own definition says, else as what must be read for it
    does.
    """
    definition = agent.stored("definition")
    if isinstance(definition, Mapping):
        return definition.get("agent_name")
    return info.context.loaders.agent_name.load(agent)


async def in_degree(agent: SessionAgent, info: GraphQLResolveInfo) -> int | None:
    """The unfinished predecessors; those of a wide join are counted where they are kept."""
    if not agent.in_degree or not is_wide(agent):
        return agent.in_degree
    context: Context = info.context
    return await context.loaders.in_degree.load(agent)


def map_index(agent: SessionAgent, info: GraphQLResolveInfo) -> int | None:
    """Which element of its map the agent is, from 0."""
    return None if agent.map_ordinal is None else agent.ordinal % MAX_ELEMENTS


def map_session_agent_uuid(agent: SessionAgent, info: GraphQLResolveInfo) -> str | None:
    """The agent of which this is an element."""
    return None if agent.map_ordinal is None else agent_key(agent, agent.map_ordinal)[1]


async def why_not_running(agent: SessionAgent, info: GraphQLResolveInfo) -> explain.Why:
    """From the session, and the first of the agents that this one waits for."""
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
        lost_before=context.app.lost_before(),
        job=(
            (await loaders.async_task.load(agent.async_task_uuid) or {})
            if agent.async_task_uuid
            else {}
        ),
    )
    return explain.explain(agent, scene)


def of_attempt(of_type: object, value: Callable[[Attempt], object]) -> graphene.Field:
    """A field of a run over its attempt."""

    async def later(loading: Awaitable[Attempt]) -> object:
        return value(await loading)

    def resolve(run: SessionRun, info: GraphQLResolveInfo) -> object:
        loader = info.context.loaders.attempt
        known = loader.known(run)
        return later(loader.load(run)) if known is None else value(known)

    return graphene.Field(of_type, resolver=resolve)


def as_told(attempt: Attempt) -> object:
    """The details of an attempt in whatever form its runtime told them, as they go out."""
    return None if attempt.details is None else AsyncTask.model_validate(attempt.details).wire()
