"""What is known about an agent's output before it runs: which kinds of JSON it can be. Pure.

Everything here only narrows the possible values; what is unknown can be any JSON.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.search import Node, kind_of
from ai_coordination_engine.domain.shapes import Agent, AgentAction

KINDS = frozenset({"null", "boolean", "number", "string", "array", "object"})
_OF_TYPE: Mapping[str, str] = {kind: kind for kind in KINDS} | {"integer": "number"}
_MAX_DEPTH = 16


@dataclass(frozen=True)
class Known:
    """What is known about a JSON value.

    `kinds`: the types it can have. `among`: it is one of these values. `counts`: a number is whole
    and not negative. `fields`: the members of an object; `closed`: it has no other members.
    """

    kinds: frozenset[str] = KINDS
    among: tuple[object, ...] | None = None
    counts: bool = False
    fields: Mapping[str, "Known"] = field(default_factory=dict)
    closed: bool = False

    def admits(self, value: Any) -> bool:
        """Return whether the value can be this one."""
        kind = kind_of(value)
        if kind not in self.kinds:
            return False
        if self.counts and kind == "number" and not _is_count(value):
            return False
        return self.among is None or any(is_same(each, value) for each in self.among)

    def member(self, name: str) -> "Known":
        """Return what is known about a member; an absent member is null."""
        if "object" not in self.kinds or (self.closed and name not in self.fields):
            return NULL
        found = self.fields.get(name, ANYTHING)
        return found if self.kinds == {"object"} else found.or_null()

    def or_null(self) -> "Known":
        """Return the same, with null as a further possible value."""
        listed = None if self.among is None else (*self.among, None)
        return replace(self, kinds=self.kinds | {"null"}, among=listed)


def among(*values: object) -> Known:
    """Return that a value is one of these."""
    return Known(frozenset(map(kind_of, values)), among=values)


def _is_count(number: float) -> bool:
    return number >= 0 and number == int(number)


def of_kinds(*kinds: str) -> Known:
    """Return that a value has one of these types."""
    return Known(frozenset(kinds))


ANYTHING = Known()
NULL = of_kinds("null")
NOTHING = of_kinds()
"""No value at all: the expression raises."""
COUNT = Known(frozenset({"number"}), counts=True)


def is_same(left: object, right: object) -> bool:
    """Return whether two JSON values are equal; 1 is not equal to true."""
    return kind_of(left) == kind_of(right) and left == right


def of_schema(schema: object, depth: int = 0) -> Known:
    """Return what a JSON Schema says about a value.

    Keywords that are not read here could only narrow it down further.
    """
    if schema is False:
        return NOTHING
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return ANYTHING
    types = schema.get("type", [])
    named = types if isinstance(types, list) else [types]
    kinds = frozenset(
        _OF_TYPE[each] for each in named if isinstance(each, str) and each in _OF_TYPE
    )
    found = _listed(schema)
    return replace(
        found,
        kinds=found.kinds & (kinds or KINDS),
        fields=_fields(schema, depth),
        closed=schema.get("additionalProperties") is False and "patternProperties" not in schema,
    )


def _listed(schema: Mapping[str, Any]) -> Known:
    if "const" in schema:
        return among(schema["const"])
    listed = schema.get("enum")
    return among(*listed) if isinstance(listed, list) else ANYTHING


def _fields(schema: Mapping[str, Any], depth: int) -> Mapping[str, Known]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return {}
    needed = required if isinstance(required, list) else []
    found = {name: of_schema(each, depth + 1) for name, each in properties.items()}
    return {name: each if name in needed else each.or_null() for name, each in found.items()}


def of_output(agent: Agent, action: AgentAction) -> Known:
    """Return what is known about an agent's output."""
    if action.action_function.function_name:
        return ANYTHING  # it may rewrite the output
    if action.map is not None:
        return of_kinds("array")
    if action.fallback is not None or agent.runtime is None:
        return ANYTHING
    if agent.gives_answer:
        known = of_schema(action.answer_schema)
        # an answer such as 5 conforms as the text that it is
        return ANYTHING if "string" in known.kinds else known
    return _of_response(agent.runtime.response_format)


def _of_response(form: object) -> Known:
    """Return what a `response_format` says about a model's answer."""
    if not isinstance(form, dict):
        return ANYTHING
    if form.get("type") == "json_object":
        return of_kinds("object")
    described = form.get("json_schema")
    return of_schema(described.get("schema")) if isinstance(described, dict) else ANYTHING


def of_node(node: Node, value: Known) -> Known:
    """Return what is known about the result of an expression for such a value."""
    of = _OF_NODES.get(node["type"])
    return ANYTHING if of is None else of(node, value)


def _of_chain(node: Node, value: Known) -> Known:
    for each in node["children"]:
        value = of_node(each, value)
    return value


def _of_list(node: Node, value: Known) -> Known:
    """A projection gives a list for a list, and null for anything else."""
    base = of_node(node["children"][0], value)
    return of_kinds("array", "null") if "array" in base.kinds else NULL


def _of_values(node: Node, value: Known) -> Known:
    base = of_node(node["children"][0], value)
    return of_kinds("array", "null") if "object" in base.kinds else NULL


def _of_index(node: Node, value: Known) -> Known:
    return ANYTHING if "array" in value.kinds else NULL


_TEXT, _LIST, _TRUTH = of_kinds("string"), of_kinds("array"), of_kinds("boolean")
_ANSWERS: Mapping[str, Known] = {
    "length": COUNT,
    "contains": _TRUTH,
    "starts_with": _TRUTH,
    "ends_with": _TRUTH,
    **dict.fromkeys(("abs", "ceil", "floor", "sum"), of_kinds("number")),
    **dict.fromkeys(("join", "to_string"), _TEXT),
    **dict.fromkeys(("keys", "values", "map", "sort", "sort_by", "to_array"), _LIST),
    "merge": of_kinds("object"),
    "reverse": of_kinds("string", "array"),
    "to_number": of_kinds("number", "null"),
}
"""The results of the functions."""
_TAKES: Mapping[str, frozenset[str]] = {
    "length": frozenset({"string", "array", "object"}),
    "contains": frozenset({"string", "array"}),
    "reverse": frozenset({"string", "array"}),
    **dict.fromkeys(("starts_with", "ends_with"), frozenset({"string"})),
    **dict.fromkeys(("abs", "ceil", "floor"), frozenset({"number"})),
    **dict.fromkeys(("keys", "values", "merge"), frozenset({"object"})),
    **dict.fromkeys(
        ("sum", "avg", "max", "min", "sort", "sort_by", "max_by", "min_by"), frozenset({"array"})
    ),
}
"""The types that functions accept as their first argument; for others they raise."""


def _of_function(node: Node, value: Known) -> Known:
    name = node["value"]
    if node["children"] and (name in _TAKES or name == "type"):
        given = of_node(node["children"][0], value)
        if not given.kinds & _TAKES.get(name, KINDS):
            return NOTHING
        if name == "type":
            return among(*sorted(given.kinds))
    return _ANSWERS.get(name, ANYTHING)


_OF_NODES: Mapping[str, Any] = {
    "identity": lambda node, value: value,
    "current": lambda node, value: value,
    "field": lambda node, value: value.member(node["value"]),
    "literal": lambda node, value: among(node["value"]),
    "subexpression": _of_chain,
    "index_expression": _of_chain,
    "pipe": _of_chain,
    "index": _of_index,
    "projection": _of_list,
    "filter_projection": _of_list,
    "flatten": _of_list,
    "value_projection": _of_values,
    "comparator": lambda node, value: of_kinds("boolean", "null"),
    "not_expression": lambda node, value: _TRUTH,
    "multi_select_list": lambda node, value: of_kinds("array", "null"),
    "multi_select_dict": lambda node, value: of_kinds("object", "null"),
    "function_expression": _of_function,
}
