"""The budgets of a session on the wire: their limits, and what is spent and reserved."""

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budgets import Scope
from ai_coordination_engine.engine.control import budgets
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.budgets import Period, Used


@dataclass(frozen=True)
class Shown:
    """A budget and what is used of it."""

    scope: Scope
    used: Used


def _amount(of: str, unit: str, description: str) -> graphene.Field:
    """Return a field of what is spent or reserved. A Float holds each whole number exactly."""

    def resolve(shown: Shown, info: GraphQLResolveInfo) -> int:
        return int(getattr(getattr(shown.used, of), unit))

    return graphene.Field(graphene.Float, required=True, resolver=resolve, description=description)


def _limit(unit: str, description: str) -> graphene.Field:
    def resolve(shown: Shown, info: GraphQLResolveInfo) -> int | None:
        found: int | None = getattr(shown.scope.budget, unit)
        return found

    return graphene.Field(graphene.Float, resolver=resolve, description=description)


class BudgetType(graphene.ObjectType):
    """A budget that a session keeps to, and what all sessions of its period have used of it."""

    scope = graphene.String(
        required=True,
        resolver=lambda shown, info: shown.scope.kind,
        description="Whose budget it is: `task`, `coordination` or `tenant`.",
    )
    per = graphene.String(
        required=True,
        resolver=lambda shown, info: shown.scope.per,
        description="What the limit counts for: a `session`, a UTC `day`, or in `total`.",
    )
    on_exceeded = graphene.String(
        required=True,
        resolver=lambda shown, info: shown.scope.budget.on_exceeded,
        description="What becomes of an agent that does not fit: `fail`, `pause` or `fallback`.",
    )
    limit_micro_usd = _limit("micro_usd", "The limit in millionths of a dollar, if there is one.")
    limit_tokens = _limit("tokens", "The limit in tokens, if there is one.")
    spent_micro_usd = _amount("spent", "micro_usd", "What attempts that have ended have cost.")
    spent_tokens = _amount("spent", "tokens", "The tokens of attempts that have ended.")
    reserved_micro_usd = _amount("reserved", "micro_usd", "What running attempts may cost at most.")
    reserved_tokens = _amount("reserved", "tokens", "The most tokens of running attempts.")


async def of_session(session: Session, info: GraphQLResolveInfo) -> list[Shown]:
    """Return the budgets that a session has now: of its task, its coordination, its tenant."""
    context: Context = info.context
    loaders = context.loaders
    coordination = await loaders.coordination.load((context.tenant, session.coordination_uuid))
    task = None
    if session.task_uuid is not None:
        task = await loaders.task.load((session.coordination_uuid, session.task_uuid))
    now = context.app.clock.now()
    found = budgets.scopes(
        context.app, context.tenant, session.session_uuid, coordination, task, now
    )
    used = await loaders.used.load_many([Period.of(each) for each in found])
    return [Shown(*each) for each in zip(found, used, strict=True)]
