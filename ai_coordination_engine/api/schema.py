"""Assemble the GraphQL schema from the six resources and the operations."""

import graphene

from ai_coordination_engine.api.counts import counts_field
from ai_coordination_engine.api.crud import list_field, mutation_fields, query_fields
from ai_coordination_engine.api.descriptions import describe
from ai_coordination_engine.api.live.root import subscription_type
from ai_coordination_engine.api.nodes import node_field
from ai_coordination_engine.api.operations import OPERATIONS, ask_query, ping
from ai_coordination_engine.api.plans import plan_field
from ai_coordination_engine.api.prices import set_price
from ai_coordination_engine.api.resources import INBOX, RESOURCES
from ai_coordination_engine.api.usage_costs import usage_field


def _queries() -> dict[str, object]:
    fields: dict[str, object] = {"ping": ping()}
    for resource in RESOURCES:
        fields.update(query_fields(resource))
    fields["node"] = node_field(RESOURCES)
    fields["user_inbox"] = list_field(INBOX, "UserInboxType")
    fields["session_counts"] = counts_field()
    fields["usage_by_day"] = usage_field()
    fields["plan_session"] = plan_field()
    return {**fields, "ask_operation_hub": ask_query()}


def _mutation() -> type[graphene.ObjectType]:
    fields: dict[str, object] = {}
    for resource in RESOURCES:
        fields.update(mutation_fields(resource))
    fields.update((each.name, each.mutation()) for each in OPERATIONS)
    return type("Mutation", (graphene.ObjectType,), fields)


_QUERIES = _queries()
SCHEMA = graphene.Schema(
    query=type("Query", (graphene.ObjectType,), _QUERIES),
    mutation=_mutation(),
    subscription=subscription_type(_QUERIES),
)
"""The schema of the API; `str(SCHEMA)` is its SDL."""
describe(SCHEMA.graphql_schema)
for operation in OPERATIONS:
    set_price(SCHEMA.graphql_schema, operation.name, operation.price)
