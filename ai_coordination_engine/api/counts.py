"""The query `sessionCounts`: how many sessions of a tenant have which status."""

from collections.abc import Sequence

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.domain.statuses import SESSION_STATUSES, check_enum
from ai_coordination_engine.store.records.counts import (
    MAX_PER_STATUS,
    Count,
    StatusCount,
    session_counts,
    waiting_count,
)

Statuses = tuple[str, ...]
"""The statuses to count."""
_BOUNDED = "Whether there may be more: nothing is counted beyond `bound`."


class SessionCountType(graphene.ObjectType):
    """The number of sessions with one status."""

    status = graphene.String(
        required=True,
        description="The status. `in_progress` includes `dispatched`; this one has no number.",
    )
    count = graphene.Int(required=True, description="The number of sessions.")
    is_lower_bound = graphene.Boolean(required=True, description=_BOUNDED)


class WaitingCountType(graphene.ObjectType):
    """The number of sessions in which an agent waits for a person."""

    count = graphene.Int(required=True, description="The number of sessions.")
    is_lower_bound = graphene.Boolean(required=True, description=_BOUNDED)


async def _by_status(statuses: Statuses, info: GraphQLResolveInfo) -> list[StatusCount]:
    context: Context = info.context
    return await context.call(session_counts, context.reading.records, context.tenant, statuses)


async def _waits_for_person(statuses: Statuses, info: GraphQLResolveInfo) -> Count:
    context: Context = info.context
    return await context.call(waiting_count, context.reading.records, context.tenant)


class SessionCountsType(graphene.ObjectType):
    """How many sessions the tenant has."""

    by_status = graphene.Field(
        graphene.List(SessionCountType),
        resolver=_by_status,
        description="The numbers by status, in the order of a session's life.",
    )
    waits_for_person = graphene.Field(
        WaitingCountType,
        resolver=_waits_for_person,
        description="Those in which an agent waits for a person, among the sessions of the 1,000"
        " latest questions.",
    )
    bound = graphene.Int(
        resolver=lambda statuses, info: MAX_PER_STATUS,
        description="The number up to which the sessions of a status are counted.",
    )


def counts_field() -> graphene.Field:
    """Return the field of the query."""

    def resolve(
        root: object, info: GraphQLResolveInfo, statuses: Sequence[str | None] | None = None
    ) -> Statuses:
        for each in statuses or ():
            check_enum("statuses", each or "", SESSION_STATUSES)
        return SESSION_STATUSES if statuses is None else tuple(each or "" for each in statuses)

    return graphene.Field(
        SessionCountsType,
        statuses=graphene.List(graphene.String),
        resolver=resolve,
        description="The number of sessions by status, and of those that wait for a person.",
    )
