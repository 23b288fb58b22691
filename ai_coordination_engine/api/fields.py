"""Fields of the object types that resolve to attributes of a record."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.scalars import DateTime, JSONCamelCase
from ai_coordination_engine.domain import records
from ai_coordination_engine.domain.records import Field, Kind
from ai_coordination_engine.domain.shapes import Shape
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.record import Record

Out = Callable[[Any], object]
"""Converts a stored value to its value on the wire."""


def payload(of_type: object, name: str, out: Out | None = None, **extra: object) -> graphene.Field:
    """Return a field for an attribute that may be stored in a blob.

    `out` converts the stored value to the wire value, once per record; a blob is read once per
    request.
    """

    def resolve(record: Record, info: GraphQLResolveInfo) -> object:
        value = record.stored(name)
        if isinstance(value, BlobReference):
            return from_blob(record, info.context)
        return (
            value
            if value is None or out is None
            else info.context.converted(record, name, out, value)
        )

    async def from_blob(record: Record, context: Context) -> object:
        value = await context.loaders.payload.load((record, name))
        return (
            value if value is None or out is None else context.converted(record, name, out, value)
        )

    return graphene.Field(of_type, resolver=resolve, **extra)


def each(shape: type[Shape]) -> Out:
    """Return the conversion of a list of shapes."""
    return lambda values: [shape.model_validate(value).wire() for value in values]


def each_value(shape: type[Shape]) -> Out:
    """Return the conversion of an object whose keys are data and whose values are shapes."""
    return lambda values: {key: shape.model_validate(value).wire() for key, value in values.items()}


def one(shape: type[Shape]) -> Out:
    """Return the conversion of one shape."""
    return lambda value: shape.model_validate(value).wire()


def endpoint_id() -> graphene.Field:
    """Return the field with the endpoint id of the record's tenant."""
    return graphene.Field(
        graphene.String,
        required=True,
        resolver=lambda record, info: info.context.tenant.partition("#")[0],
    )


def part_id() -> graphene.Field:
    """Return the field with the part id of the record's tenant."""
    return graphene.Field(
        graphene.String, resolver=lambda record, info: info.context.tenant.partition("#")[2] or None
    )


_PLAIN: Mapping[Kind, object] = {
    Kind.TEXT: graphene.String,
    Kind.WHOLE: graphene.Int,
    Kind.FLAG: graphene.Boolean,
    Kind.MOMENT: DateTime,
    Kind.JSON: JSONCamelCase,
    Kind.JSON_LIST: graphene.List(JSONCamelCase),
}


def other_fields(
    record: tuple[Field, ...], model: type[Record], shown: Iterable[str]
) -> dict[str, object]:
    """Return fields for the declared fields of a record that are not in `shown`, without
    conversion.
    """
    payloads = model.payload_names()
    return {
        each.name: (
            payload(_PLAIN[each.kind], each.name)
            if each.name in payloads
            else graphene.Field(_PLAIN[each.kind])
        )
        for each in record
        if each.name not in shown and each is not records.UPDATED_BY
    }
