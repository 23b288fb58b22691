"""Ids that are unique among all types, and the one query that answers them (GraphQL, "Global Object
Identification").

An id names the type and the key, never the tenant: who asks for it finds a record of the own tenant
or nothing.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.crud import Resource, find, key_names
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import ENTITIES

_SEPARATOR = "\x1f"  # in no uuid: those are printable
_KEYS = {entity.name: key_names(entity) for entity in ENTITIES}


def node_id(record: Record) -> str:
    """The id of a record: base64url without padding of its kind and its key."""
    parts = [record.record_name, *(getattr(record, name) for name in _KEYS[record.record_name])]
    return urlsafe_b64encode(_SEPARATOR.join(parts).encode()).decode().rstrip("=")


class Node(graphene.Interface):
    """A record that can be found by its id alone."""

    id = graphene.Field(graphene.ID, required=True, resolver=lambda record, info: node_id(record))

    @classmethod
    def resolve_type(cls, record: Record, info: GraphQLResolveInfo) -> object:
        """The type whose name is made of the record's."""
        found = info.schema.get_type(f"{record.record_name.title().replace(' ', '')}Type")
        return getattr(found, "graphene_type", None)


def node_field(resources: Iterable[Resource]) -> graphene.Field:
    """The record of an id: one read, or none for what is no id."""
    by_name = {resource.entity.name: resource for resource in resources}

    async def resolve(root: object, info: GraphQLResolveInfo, id: str) -> object:
        name, keys = _parse(id)
        if name not in by_name or len(keys) != len(_KEYS[name]):
            return None
        record = await find(by_name[name], info.context, dict(zip(_KEYS[name], keys, strict=True)))
        # else the id is spelt in another way
        return record if record is None or node_id(record) == id else None

    return graphene.Field(Node, id=graphene.ID(required=True), resolver=resolve)


def _parse(node: str) -> tuple[str, list[str]]:
    """The kind and the key that an id names; nothing that exists when it is none."""
    try:
        name, *keys = urlsafe_b64decode(node.encode() + b"==").decode().split(_SEPARATOR)
    except ValueError:
        return "", []
    return name, keys
