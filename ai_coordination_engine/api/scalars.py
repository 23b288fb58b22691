"""The scalars of the contract."""

import reprlib
from collections.abc import Mapping
from datetime import datetime
from math import isfinite

import graphene
from graphql import (
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)

from ai_coordination_engine.domain.json_text import to_float
from ai_coordination_engine.errors import BadUserInput


class JSONCamelCase(graphene.Scalar):
    """Any JSON. Keys of the schema are accepted in camelCase or snake_case and returned in
    camelCase; other keys are data and returned unchanged.
    """

    @staticmethod
    def serialize(value: object) -> object:
        """Return the value unchanged: the resolvers of the types convert keys."""
        return value

    @staticmethod
    def parse_value(value: object) -> object:
        """Return the JSON of a variable unchanged."""
        return value

    @classmethod
    def parse_literal(
        cls, node: ValueNode, variables: Mapping[str, object] | None = None
    ) -> object:
        """Return the JSON of a literal in the document, with the values of its variables."""
        if isinstance(node, ObjectValueNode):
            return {
                field.name.value: cls.parse_literal(field.value, variables) for field in node.fields
            }
        if isinstance(node, ListValueNode):
            return [cls.parse_literal(value, variables) for value in node.values]
        if isinstance(node, VariableNode):
            return (variables or {}).get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value)
        if isinstance(node, FloatValueNode):
            return _finite(node.value)
        return getattr(node, "value", None)  # a string, a boolean or an enum; null has no value


class DateTime(graphene.DateTime):
    """A moment; one that is given has any form of ISO 8601, in the years 1 to 9999."""

    @staticmethod
    def parse_value(value: object) -> datetime:
        """Return the moment of a variable or of a text in the document."""
        try:
            moment: datetime = graphene.DateTime.parse_value(value)
        except (GraphQLError, OverflowError) as error:  # midnight after the last day of year 9999
            raise GraphQLError(
                f"{reprlib.repr(value)} is no date and time in ISO 8601; write for example"
                " 2026-12-24T18:00:00Z"
            ) from error
        return moment


def _finite(text: str) -> float:
    value = to_float(text)
    if not isfinite(value):
        raise BadUserInput(f"{text} is not a number that JSON can hold")
    return value
