"""Shorten an answer that is too large for one message: the keys of its objects remain."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    get_named_type,
    get_operation_ast,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.values import get_variable_values

from ai_coordination_engine.api.live.subscription import Answer, Subscription
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text

_KEYS = ("id", "__typename", "status", "state", "pageSize", "pageNumber", "total")
_LISTS = 1  # of objects inside one another, at first
_LONG = 1_000  # characters of a text that must not be null; a longer one is left empty


def truncated(subscription: Subscription, answer: Answer, room: int) -> str:
    """Return the JSON of the answer with the keys of its objects alone, and null for all else, in
    at most `room` bytes; `extensions.truncated` is true.

    If the keys of the objects in lists have no room either, these lists are empty or null; if
    nothing has, the field is null.
    """
    shortened = _Shortened.of(subscription)
    for lists in range(_LISTS, -1, -1):
        text = _text(shortened.root(answer.payload.get("data") or {}, lists))
        if len(text.encode()) <= room:
            return text
    return _text({subscription.alias: None})


def _text(data: Mapping[str, Any]) -> str:
    payload = {"data": data, "extensions": {"truncated": True}}
    return json_text.encode(payload).encode(errors="replace").decode()


@dataclass(frozen=True)
class _Shortened:
    """The operation of an answer."""

    subscription: Subscription
    fragments: dict[str, FragmentDefinitionNode]
    variables: dict[str, Any]

    @classmethod
    def of(cls, subscription: Subscription) -> "_Shortened":
        """Read the operation of a subscription."""
        document, parameters = subscription.document, subscription.parameters
        operation = get_operation_ast(document, parameters.operation_name)
        assert operation is not None  # it has been executed
        values = get_variable_values(
            subscription.schema, operation.variable_definitions, dict(parameters.variables)
        )
        assert isinstance(values, dict)
        fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        return cls(subscription, fragments, values)

    def root(self, data: Mapping[str, Any], lists: int) -> dict[str, Any]:
        """The data with keys alone, and so many levels of lists of objects."""
        schema, document = self.subscription.schema, self.subscription.document
        root = schema.subscription_type
        operation = get_operation_ast(document, self.subscription.parameters.operation_name)
        assert root is not None
        assert operation is not None
        fields = collect_fields(
            schema, self.fragments, self.variables, root, operation.selection_set
        )
        return self._fields(root, fields, data, lists)

    def _fields(
        self,
        parent: GraphQLObjectType,
        fields: Mapping[str, Sequence[FieldNode]],
        data: Mapping[str, Any],
        lists: int,
    ) -> dict[str, Any]:
        return {
            name: self._value(parent, [*nodes], data.get(name), lists)
            for name, nodes in fields.items()
        }

    def _value(
        self, parent: GraphQLObjectType, nodes: list[FieldNode], value: Any, lists: int
    ) -> Any:
        field = parent.fields.get(nodes[0].name.value)
        if value is None or field is None:  # `__typename` has no field
            return value
        named, is_required = get_named_type(field.type), is_non_null_type(field.type)
        if is_leaf_type(named):
            return _leaf(value, is_required, _is_key(nodes[0].name.value))
        if not isinstance(value, list):
            return self._object(named, nodes, value, lists)
        if lists == 0:
            return [] if is_required else None
        return [self._object(named, nodes, each, lists - 1) for each in value]

    def _object(self, named: Any, nodes: list[FieldNode], value: Any, lists: int) -> Any:
        if value is None or not isinstance(named, GraphQLObjectType):
            return None
        fields = collect_sub_fields(
            self.subscription.schema, self.fragments, self.variables, named, nodes
        )
        return self._fields(named, fields, value, lists)


def _leaf(value: Any, is_required: bool, is_key: bool) -> Any:
    if is_key:
        return value
    if isinstance(value, str) and len(value) > _LONG:
        value = ""
    return value if is_required else None


def _is_key(name: str) -> bool:
    return name in _KEYS or name.endswith("Uuid")
