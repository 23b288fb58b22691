"""The global `id` of a record, and the query `node` (GraphQL, "Global Object Identification").

An id contains the type and the key of the record but not its tenant. A caller finds a record of its
own tenant or none.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from inspect import isawaitable

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.crud import Resource, find, key_names
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import ENTITIES

_SEPARATOR = "\x1f"  # not in any uuid, because uuids are printable
_KEYS = {entity.name: key_names(entity) for entity in ENTITIES}


def node_id(record: Record) -> str:
    """Return the id of a record: its type and key in base64url without padding."""
    parts = [record.record_name, *(getattr(record, name) for name in _KEYS[record.record_name])]
    return urlsafe_b64encode(_SEPARATOR.join(parts).encode()).decode().rstrip("=")


class Node(graphene.Interface):
    """A record with an id that is unique among all types."""

    id = graphene.Field(graphene.ID, required=True, resolver=lambda record, info: node_id(record))

    @classmethod
    def resolve_type(cls, record: Record, info: GraphQLResolveInfo) -> object:
        """Return the GraphQL type of a record, which is named after the record."""
        found = info.schema.get_type(f"{record.record_name.title().replace(' ', '')}Type")
        return getattr(found, "graphene_type", None)


def node_field(resources: Iterable[Resource]) -> graphene.Field:
    """Return the query `node`: it reads one record, or nothing for an invalid id."""
    by_name = {resource.entity.name: resource for resource in resources}

    async def resolve(root: object, info: GraphQLResolveInfo, id: str) -> object:
        name, keys = _parse(id)
        if name not in by_name or len(keys) != len(_KEYS[name]):
            return None
        found = find(by_name[name], info.context, dict(zip(_KEYS[name], keys, strict=True)))
        record = await found if isawaitable(found) else found
        # Accept only the canonical spelling, so that equal records have equal ids.
        return record if record is None or node_id(record) == id else None

    return graphene.Field(Node, id=graphene.ID(required=True), resolver=resolve)


def _parse(node: str) -> tuple[str, list[str]]:
    """Return the type and the key in an id; an unknown type for an invalid id."""
    try:
        name, *keys = urlsafe_b64decode(node.encode() + b"==").decode().split(_SEPARATOR)
    except ValueError:
        return "", []
    return name, keys
