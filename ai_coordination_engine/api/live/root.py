"""The root type `Subscription`: its fields have the types and resolvers of the queries of their
names.
"""

from collections.abc import Mapping
from inspect import isawaitable

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import one_field, resolve_one
from ai_coordination_engine.api.live.output import output_field
from ai_coordination_engine.api.resources import SESSION
from ai_coordination_engine.engine.control.final import has_ended, is_final
from ai_coordination_engine.store.models import Session


def subscription_type(queries: Mapping[str, object]) -> type[graphene.ObjectType]:
    """Return the type; `queries` are the fields of the query type by name, in snake_case."""
    fields = {
        "session": one_field(SESSION, _resolve_session),
        "session_list": queries["session_list"],
        "user_inbox": queries["user_inbox"],
        "agent_output": output_field(),
    }
    return type("Subscription", (graphene.ObjectType,), fields)


async def _resolve_session(root: object, info: GraphQLResolveInfo, **given: object) -> object:
    """Return the session; its stream ends with the session and its agents."""
    context: Context = info.context
    found = resolve_one(SESSION, root, info, **given)
    session = await found if isawaitable(found) else found
    if isinstance(session, Session) and has_ended(session):
        agents = await context.loaders.session_agents.load(session.key)
        context.is_last_answer = is_final(session, agents)
    return session
