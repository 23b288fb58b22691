"""The query `planSession`: a dry run of a task."""

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import check_arguments, unusable_ids
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import selects
from ai_coordination_engine.api.scalars import JSONCamelCase
from ai_coordination_engine.domain.dry_run import DryRun
from ai_coordination_engine.engine.planning.preview import plan_session, with_forecast
from ai_coordination_engine.store.transitions.usage_counters import UsageCounters

_RANGE = (
    "`low`, `expected` and `high`, from what the same agents have used before; null where that is"
    " not known, and a warning says why."
)
_FORECAST = ("tokens", "costMicroUsd")


class PlanType(graphene.ObjectType):
    """The dry run of a task: what a start would do. Agents are named by their uuids."""

    layers = graphene.List(
        graphene.List(graphene.String),
        description="The order: an agent is in the layer after its last predecessor, once for each"
        " of its subtasks.",
    )
    width = graphene.Int(description="The number of session agents in the largest layer.")
    critical_path = graphene.List(
        graphene.String, description="The longest chain of agents, the first of them first."
    )
    agent_calls = graphene.Field(
        JSONCamelCase,
        description="The number of calls by agent if no attempt fails; null for a map, which calls"
        " its agent once for each element.",
    )
    model_calls = graphene.Field(JSONCamelCase, description="The number of calls by model.")
    warnings = graphene.List(
        graphene.String, description="The warnings; each begins with its place in the task."
    )
    tokens = graphene.Field(JSONCamelCase, description=f"The tokens: {_RANGE}")
    cost_micro_usd = graphene.Field(
        JSONCamelCase, description=f"The cost in millionths of a dollar: {_RANGE}"
    )


def plan_field() -> graphene.Field:
    """Return the field of the query."""

    async def resolve(root: object, info: GraphQLResolveInfo, **given: str) -> DryRun | None:
        context: Context = info.context
        check_arguments(given, are_filters=True)
        if unusable_ids(given):
            return None
        found = await context.call(plan_session, context.reading, context.tenant, **given)
        if found is None or not any(selects(info, name) for name in _FORECAST):
            return found
        uuid, counters = given["coordination_uuid"], UsageCounters(context.reading.records)
        return await context.call(with_forecast, counters, context.tenant, uuid, found)

    return graphene.Field(
        PlanType,
        coordination_uuid=graphene.String(required=True),
        task_uuid=graphene.String(required=True),
        task_query=graphene.String(description="The query. Omitted: the task's own."),
        resolver=resolve,
        description="What a start of the task would do; nothing is written. Null if the task does"
        " not exist, an error if it cannot be started.",
    )
