"""What sessions, coordinations and days cost.

Sums may be above the 32 bits of `Int`: they are `Float`, and whole numbers.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.scalars import DateTime
from ai_coordination_engine.domain.accounts import Counts, counts_of, loaded, total
from ai_coordination_engine.engine.advance.accounts import is_counted
from ai_coordination_engine.engine.control.costs import (
    UsageOfDay,
    UsageQuery,
    cost_of_coordination,
    usage_by_day,
)
from ai_coordination_engine.engine.control.final import has_ended
from ai_coordination_engine.store.models import Coordination, Session
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.transitions.usage_counters import UsageCounters

_SHOWN = {
    "input_tokens": "The tokens that models read, as far as they are known.",
    "output_tokens": "The tokens that models wrote, as far as they are known.",
}
_ALSO = {
    "cached_tokens": "Those of `inputTokens` that were read from a cache.",
    "reasoning_tokens": "Those of `outputTokens` in which models reasoned.",
    "requests": "How often models were asked.",
    "tool_calls": "How often tools were called.",
    "runs": "The attempts that asked a model.",
    "failed_runs": "Those of them that did not complete.",
}
_UNPRICED = (
    "The attempts whose cost is not known: their model has no price, or their tokens are unknown."
)


def _field(of: Callable[[Counts], int | None], description: str) -> graphene.Field:
    return graphene.Field(
        graphene.Float, resolver=lambda given, info: of(_counts(given)), description=description
    )


def _counts(given: Counts | UsageOfDay) -> Counts:
    return given.counts if isinstance(given, UsageOfDay) else given


def _cost_fields() -> dict[str, graphene.Field]:
    """Return the fields of what something cost."""
    cost = "Millionths of a dollar, of the attempts that have a price; null if none has one."
    return {
        "micro_usd": _field(lambda counts: counts.known_micro_usd, cost),
        **_measures(_SHOWN),
        "unpriced_runs": graphene.Field(
            graphene.Int,
            resolver=lambda given, info: _counts(given).unpriced_runs,
            description=_UNPRICED,
        ),
    }


def _measures(described: dict[str, str]) -> dict[str, graphene.Field]:
    return {
        name: _field(lambda counts, name=name: getattr(counts, name), text)  # type: ignore[misc]
        for name, text in described.items()
    }


class CostType(graphene.ObjectType):
    """What the models that agents asked have cost."""

    vars().update(_cost_fields())


class UsageByDayType(graphene.ObjectType):
    """What one agent used of one model on one day."""

    day = graphene.String(description="The day in UTC, for example 2026-11-26.")
    coordination_uuid = graphene.String(description="The coordination's uuid.")
    agent_uuid = graphene.String(description="The agent's uuid.")
    model = graphene.String(
        description="The model; `unknown` if the runtime did not name it, and `other` for all"
        " further ones of a day with more than 100."
    )
    vars().update(_cost_fields())
    vars().update(_measures(_ALSO))


class UsageByDayPageType(graphene.ObjectType):
    """A page of what was used, by day."""

    usage_by_day_list = graphene.List(
        UsageByDayType,
        resolver=lambda page, info: page.rows,
        description="The rows, by day; those of a day have no order.",
    )
    next_cursor = graphene.String(description="Where the next page begins; null at the end.")


def session_cost() -> graphene.Field:
    """Return the field of a session."""

    async def resolve(session: Session, info: GraphQLResolveInfo) -> Counts:
        loaders = info.context.loaders
        if has_ended(session) and is_counted(session):
            counted = session.stored("counted")
            if isinstance(counted, BlobReference):
                counted = await loaders.payload.load((session, "counted"))
            return total(loaded(counted).values())
        runs = await loaders.session_runs.load((session.coordination_uuid, session.session_uuid))
        return total(map(counts_of, await loaders.attempt.load_many(runs)))

    return graphene.Field(
        CostType,
        resolver=resolve,
        description="What the session has cost until now, failed attempts included.",
    )


def coordination_cost() -> graphene.Field:
    """Return the field of a coordination."""

    async def resolve(
        coordination: Coordination, info: GraphQLResolveInfo, since: datetime | None = None
    ) -> Counts:
        context: Context = info.context
        uuid = coordination.coordination_uuid
        return await context.call(
            cost_of_coordination, _counters(context), context.tenant, uuid, _utc(since)
        )

    return graphene.Field(
        CostType,
        since=DateTime(description="From the beginning of this day, in UTC. Omitted: all days."),
        resolver=resolve,
        description="What its sessions have cost; a session is counted when it has ended.",
    )


def usage_field() -> graphene.Field:
    """Return the field of the query `usageByDay`."""

    async def resolve(root: object, info: GraphQLResolveInfo, **given: Any) -> object:
        context: Context = info.context
        days = {"first": _day(given.pop("from_")), "last": _day(given.pop("to"))}
        query = UsageQuery(
            **days, **{name: each for name, each in given.items() if each is not None}
        )
        return await context.call(usage_by_day, _counters(context), context.tenant, query)

    return graphene.Field(
        UsageByDayPageType,
        from_=DateTime(required=True, name="from", description="The first day, in UTC."),
        to=DateTime(required=True, description="The last day, which is included."),
        coordination_uuid=graphene.String(),
        agent_uuid=graphene.String(),
        model=graphene.String(),
        limit=graphene.Int(),
        cursor=graphene.String(),
        resolver=resolve,
        description="What the tenant's agents used, by day, coordination, agent and model. A"
        " session is counted when it has ended.",
    )


def _counters(context: Context) -> UsageCounters:
    return UsageCounters(context.reading.records)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else moment


def _day(moment: datetime) -> Any:
    found = _utc(moment)
    assert found is not None
    return found.date()
