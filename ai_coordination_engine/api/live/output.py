"""The field `agentOutput` of `Subscription`: the text of an agent while it is written."""

from zlib import crc32

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import unusable_ids
from ai_coordination_engine.api.context import Context, Heard
from ai_coordination_engine.data_classes import dataclass
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
    heard, attempt = context.heard, agent.attempt or 0
    written = context.app.outputs.read(context.tenant, *key, heard.parts, heard.attempt)
    if agent.state in TERMINAL_AGENT_STATES:
        context.is_last_answer = True
        output = await context.loaders.payload.value(agent, "agent_output")
        delta = ""
        if written is not None and written.attempt == attempt:
            delta, heard = written.text, heard.with_text(attempt, written.parts, written.text)
        delta += _rest(output or "", heard, attempt)
        return Part(delta, done=True, attempt=agent.attempt)
    if written is None:
        return Part("", done=False, attempt=agent.attempt)
    context.hears = heard.with_text(written.attempt, written.parts, written.text)
    return Part(written.text, done=False, attempt=written.attempt)


def _rest(output: str, heard: Heard, attempt: int) -> str:
    """Return what the client lacks of the output; nothing if it has got something else, such as
    the text before an action function replaced it.
    """
    if heard.attempt != attempt:
        return output
    begun = output[: heard.length].encode(errors="replace")
    return output[heard.length :] if crc32(begun) == heard.checksum else ""
