"""Build the queries and mutations of the six records from `Resource` declarations.

A resolver checks its arguments and calls the repository with key and content. `schema` calls
`query_fields` and `mutation_fields` for each resource in `resources`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import graphene
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    SelectionSetNode,
)
from graphql.pyutils import AwaitableOrValue
from pydantic.alias_generators import to_camel

from ai_coordination_engine.api.content import Arguments, Content, check_arguments, unusable_ids
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.loaders import Loaders
from ai_coordination_engine.api.record_loaders import ChildrenLoader
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.domain.statuses import check_enum
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import LIST
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records import guards, lists
from ai_coordination_engine.store.records.entities import COORDINATION, Entity

Write = Callable[[Context, "Resource", Arguments], object]
"""Writes a record; called outside the event loop."""
Guard = tuple[Predicate | None, str]
"""A condition for the stored record, and the error message when it does not hold."""


@dataclass(frozen=True)
class Resource:
    """One record on the wire.

    - `name`: its name in snake_case.
    - `arguments`: the arguments of `insertUpdate…`, except the key.
    - `accepted_values`: those of list arguments, by name.
    - `update_condition`, `delete_condition`: what must hold, with the message when it does not.
    - `from_agents`, `from_runs`: fields that need all session agents or runs of the record.
    """

    entity: Entity[Any]
    name: str
    type: type[graphene.ObjectType]
    arguments: Mapping[str, object]
    list_arguments: Mapping[str, object]
    content: Content
    accepted_values: Mapping[str, tuple[str, ...]]
    write: Write
    update_condition: Callable[[Arguments], Guard] = lambda given: (None, "")
    delete_condition: Callable[[Context, Arguments], Guard] = lambda context, given: (None, "")
    needs_parent: Callable[[Arguments], bool] = lambda given: False
    delete_arguments: Mapping[str, object] | None = None
    from_agents: tuple[str, ...] = ()
    from_runs: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The record's name in PascalCase."""
        return "".join(part.title() for part in self.name.split("_"))


def key_names(entity: Entity[Any]) -> tuple[str, ...]:
    """Return the names of the arguments that are the record's key; the tenant is never one."""
    hash_key, range_key = entity.model.key_names()
    return (range_key,) if entity is COORDINATION else (hash_key, range_key)


def key_of(entity: Entity[Any], tenant: str, given: Arguments) -> Key:
    """Return the key in the arguments."""
    values = [given[name] for name in key_names(entity)]
    return (tenant, values[0]) if entity is COORDINATION else (values[0], values[1])


def parent_key_of(entity: Entity[Any], tenant: str, given: Arguments) -> Key | None:
    """Return the key of the parent in the arguments, or None when it is not complete."""
    if entity.parent is None or any(given.get(name) is None for name in key_names(entity.parent)):
        return None
    return key_of(entity.parent, tenant, given)


# Queries


def query_fields(resource: Resource) -> dict[str, graphene.Field]:
    """Return the query for one record and the query for a list."""
    return {
        resource.name: one_field(resource, partial(resolve_one, resource)),
        f"{resource.name}_list": list_field(resource, f"{resource.title}ListType"),
    }


def one_field(resource: Resource, resolve: Callable[..., object]) -> graphene.Field:
    """Return a field for the record under a key."""
    arguments = {name: graphene.String(required=True) for name in key_names(resource.entity)}
    return graphene.Field(resource.type, **arguments, resolver=resolve)


def list_field(resource: Resource, type_name: str) -> graphene.Field:
    """Return a query for a page of records; `type_name` is the name of its type."""
    return graphene.Field(
        _list_type(resource, type_name),
        page_number=graphene.Int(),
        limit=graphene.Int(),
        cursor=graphene.String(),
        **resource.list_arguments,
        resolver=partial(_resolve_list, resource),
    )


def _list_type(resource: Resource, name: str) -> type[graphene.ObjectType]:
    fields = {
        f"{resource.name}_list": graphene.List(resource.type),
        "page_size": graphene.Int(),
        "page_number": graphene.Int(),
        "total": graphene.Int(),
        "next_cursor": graphene.String(),
        "__doc__": (
            f"One page of {resource.entity.name}s. `total` is counted only when it is selected."
        ),
    }
    return type(name, (graphene.ObjectType,), fields)


def find(
    resource: Resource,
    context: Context,
    given: Arguments,
    below: Callable[[Loaders], ChildrenLoader[Any] | None] = lambda loaders: None,
) -> AwaitableOrValue[Record | None]:
    """Return the record whose key is in the arguments; None when there is none or the key is not
    valid.

    `below` returns the loader of children that the query asks for as well.
    """
    if unusable_ids(given):
        return None
    loaders = context.loaders
    key = key_of(resource.entity, context.tenant, given)
    found: AwaitableOrValue[Record | None] = loaders.of(resource.entity).one(key, below(loaders))
    return found


def resolve_one(
    resource: Resource, root: object, info: GraphQLResolveInfo, **given: object
) -> object:
    """Return the record under the key in the arguments, or what it must be awaited from."""

    def below(loaders: Loaders) -> ChildrenLoader[Any] | None:
        if any(selects(info, to_camel(name)) for name in resource.from_agents):
            return loaders.session_agents
        if any(selects(info, to_camel(name)) for name in resource.from_runs):
            return loaders.session_runs
        return None

    return find(resource, info.context, given, below)


async def _resolve_list(
    resource: Resource, root: object, info: GraphQLResolveInfo, **given: Any
) -> object:
    context: Context = info.context
    paging = {name: given.pop(name, None) for name in ("page_number", "limit", "cursor")}
    check_arguments(given, are_filters=True)
    for name, accepted in resource.accepted_values.items():
        for word in given.get(name) or ():
            check_enum(name, word or "", accepted)
    if resource.entity is COORDINATION:
        given.pop("endpoint_id", None)
    context.meter.spend(LIST)
    page = await context.call(
        lists.read_page,
        context.reading.records,
        resource.entity,
        context.tenant,
        given,
        with_total=selects(info, "total"),
        **paging,
    )
    for warning in page.warnings:
        context.warn(warning)
    return {
        f"{resource.name}_list": page.records,
        "page_size": page.page_size,
        "page_number": page.page_number,
        "total": page.total,
        "next_cursor": page.next_cursor,
    }


def selects(info: GraphQLResolveInfo, name: str) -> bool:
    """Whether the query selects this field of the object."""
    return any(_selected(node.selection_set, name, info.fragments) for node in info.field_nodes)


def _selected(
    selection: SelectionSetNode | None, name: str, fragments: Mapping[str, FragmentDefinitionNode]
) -> bool:
    for node in selection.selections if selection else ():
        if isinstance(node, FieldNode):
            if node.name.value == name:
                return True
        elif isinstance(node, FragmentSpreadNode):
            if _selected(fragments[node.name.value].selection_set, name, fragments):
                return True
        # an inline fragment
        elif _selected(node.selection_set, name, fragments):  # type: ignore[attr-defined]
            return True
    return False


# Mutations


def mutation_fields(resource: Resource) -> dict[str, graphene.Field]:
    """Return the mutations `insertUpdate…` and `delete…` of a record."""
    return {
        f"insert_update_{resource.name}": _insert_update(resource).Field(),
        f"delete_{resource.name}": _delete(resource).Field(),
    }


def _mutation(
    name: str,
    arguments: Mapping[str, object],
    output: Mapping[str, object],
    resolve: object,
    doc: str,
) -> type[graphene.Mutation]:
    body = {
        "Arguments": type("Arguments", (), dict(arguments)),
        "mutate": resolve,
        "__doc__": doc,
        **output,
    }
    return type(name, (graphene.Mutation,), body)


def _insert_update(resource: Resource) -> type[graphene.Mutation]:
    async def mutate(root: object, info: GraphQLResolveInfo, **given: object) -> object:
        context: Context = info.context
        check_arguments(given)
        return {resource.name: await context.change(resource.write, context, resource, given)}

    never_changes = resource.write is insert_once
    rest = "; it never changes." if never_changes else ", or update the given fields."
    return _mutation(
        f"InsertUpdate{resource.title}",
        resource.arguments,
        {resource.name: graphene.Field(resource.type)},
        mutate,
        f"Create the {resource.entity.name}{rest}",
    )


def _delete(resource: Resource) -> type[graphene.Mutation]:
    async def mutate(root: object, info: GraphQLResolveInfo, **given: object) -> object:
        context: Context = info.context
        check_arguments(given)
        condition, conflict = await context.call(resource.delete_condition, context, given)
        key = key_of(resource.entity, context.tenant, given)
        await context.change(
            guards.delete,
            context.app.records,
            resource.entity,
            context.tenant,
            key,
            condition=condition,
            conflict=conflict,
        )
        return {"ok": True}

    arguments = {name: graphene.String(required=True) for name in key_names(resource.entity)}
    return _mutation(
        f"Delete{resource.title}",
        {**arguments, **(resource.delete_arguments or {})},
        {"ok": graphene.Boolean()},
        mutate,
        f"Delete the {resource.entity.name}; an error when other records depend on it.",
    )


def insert_update(context: Context, resource: Resource, given: Arguments) -> Any:
    """Create the record when its uuid is absent or unknown, or else update the given fields."""
    entity, records = resource.entity, context.app.records
    *above, own = key_names(entity)
    values = {name: value for name, value in given.items() if name not in (*above, own)}
    parent_key = parent_key_of(entity, context.tenant, given)

    def content(parent: Record | None, new: bool) -> Mapping[str, object]:
        return resource.content(context, values if new else _changes(entity, values), parent, new)

    if given.get(own) is None:
        key = key_of(entity, context.tenant, {**given, own: new_uuid(context.app.clock.now())})
        return records.create(entity, context.tenant, key, content, parent_key=parent_key)
    condition, conflict = resource.update_condition(given)
    return records.write(
        entity,
        context.tenant,
        key_of(entity, context.tenant, given),
        content,
        parent_key=parent_key,
        needs_parent=resource.needs_parent(given),
        condition=condition,
        conflict=conflict,
    )


def insert_once(context: Context, resource: Resource, given: Arguments) -> object:
    """Create an immutable record; succeeds when it exists with the same content."""
    entity = resource.entity
    parent_key = parent_key_of(entity, context.tenant, given)
    if parent_key is None:
        raise BadUserInput("coordinationUuid is required.")
    values = {name: value for name, value in given.items() if name not in key_names(entity)}
    content = resource.content(context, values, None, True)
    key = key_of(entity, context.tenant, given)
    return context.app.records.create_once(entity, context.tenant, key, content, parent_key)


def _changes(entity: Entity[Any], values: Arguments) -> dict[str, object]:
    """Return the fields that an update changes; the parent of a record is fixed."""
    fixed = key_names(entity.parent) if entity.parent else ()
    return {name: value for name, value in values.items() if name not in fixed}
