"""Scalars of the contract."""

from collections.abc import Mapping
from math import isfinite

import graphene
from graphql import (
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)

from ai_coordination_engine.domain.json_text import to_float
from ai_coordination_engine.errors import BadUserInput


class JSONCamelCase(graphene.Scalar):
    """Any JSON. Keys of the schema come in camelCase or snake_case and go out in camelCase; other
    keys are data and stay as they are.
    """

    @staticmethod
    def serialize(value: object) -> object:
        """JSON as it goes out: the type's resolver has named the keys."""
        return value

    @staticmethod
    def parse_value(value: object) -> object:
        """JSON of a variable."""
        return value

    @classmethod
    def parse_literal(
        cls, node: ValueNode, variables: Mapping[str, object] | None = None
    ) -> object:
        """JSON written into the document; variables inside take their values."""
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
        return getattr(node, "value", None)  # a string, a boolean, an enum's name; null has none


def _finite(text: str) -> float:
    value = to_float(text)
    if not isfinite(value):
        raise BadUserInput(f"{text} is no number that JSON can hold")
    return value
