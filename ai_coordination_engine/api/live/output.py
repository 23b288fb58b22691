"""The field `agentOutput` of `Subscription`: the text of an agent while it is written."""

from dataclasses import dataclass

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import unusable_ids
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES


class AgentOutputType(graphene.ObjectType):
    """A part of the text that an agent writes."""

    delta = graphene.String(required=True)
    done = graphene.Boolean(required=True)
    attempt = graphene.Int()


@dataclass(frozen=True)
class Part:
    """The fields of `AgentOutputType`."""

    delta: str
    done: bool
    attempt: int | None


def output_field() -> graphene.Field:
    """Return the field; it is null while the session agent does not exist."""
    return graphene.Field(
        AgentOutputType,
        session_uuid=graphene.String(required=True),
        session_agent_uuid=graphene.String(required=True),
        resolver=_resolve,
    )


async def _resolve(
    root: object, info: GraphQLResolveInfo, session_uuid: str, session_agent_uuid: str
) -> Part | None:
    context: Context = info.context
    key = session_uuid, session_agent_uuid
    if unusable_ids({"session_uuid": session_uuid, "session_agent_uuid": session_agent_uuid}):
        return None
    agent = await context.loaders.session_agent.load(key)
    if agent is None:
        return None
    if agent.state not in TERMINAL_AGENT_STATES:
        return Part("", done=False, attempt=agent.attempt)
    context.is_last_answer = True
    text = await context.loaders.payload.value(agent, "agent_output")
    return Part(text or "", done=True, attempt=agent.attempt)
