"""Evaluate a JMESPath expression on a JSON value within a budget. Pure.

The `jmespath` library evaluates. This module charges each step and each value that is created to
the budget, and keeps the digits of numbers. `domain.conditions` is the caller.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from jmespath import Options, exceptions
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import Budget, Spent

# prices in units of a `Budget`
STEP = 8  # each node that is visited
# each part of a value that is created, by the memory that it takes
_CHARACTER, _LIST, _ELEMENT, _OBJECT, _KEY = 2, 20, 2, 40, 16
_COMPARED = 2  # each value inside two values that are compared
_LOOKED_AT = 5  # each element of a list that `contains` searches
_ORDERED = 2  # each element that is sorted, times the logarithm of their number
_MAKERS = (
    "multi_select",
    "flatten",
    "slice",
    "projection",
    "value_projection",
    "filter_projection",
    "function",
)
_CHEAP = (
    "abs",
    "ceil",
    "floor",
    "length",
    "not_null",
    "starts_with",
    "ends_with",
    "to_array",
    "to_number",
    "type",
)
"""The functions whose time does not grow with the size of their arguments."""
_KINDS: Mapping[type, str] = {
    list: "array",
    dict: "object",
    str: "string",
    int: "number",
    float: "number",
    json_text.Number: "number",
    bool: "boolean",
    type(None): "null",
}
_ORDERABLE = {"number", "string"}
Node = Mapping[str, Any]
"""A node of a parsed expression: its `type`, and usually a `value` and `children`."""
Visit = Callable[[Node, object], object]


class Interpreter(TreeInterpreter):  # type: ignore[misc]  # the library is untyped
    """Evaluates a parsed expression. Raises `Spent` when `budget` is used up, and the library's
    errors.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._visits: dict[str, Visit] = {}
        super().__init__(Options(custom_functions=_Functions(budget)))

    def visit(self, node: Node, value: object) -> object:
        """Evaluate a node on `value`."""
        budget = self._budget
        budget.left -= STEP  # in place: this is called a million times a second
        if budget.left < 0:
            raise Spent
        kind = node["type"]
        found = self._visits.get(kind)
        if found is None:
            found = self._visits[kind] = self._visit_of(kind)
        return found(node, value)

    def visit_field(self, node: Node, value: object) -> object:
        """Evaluate a field: the member of an object; None for any other value.

        The library raises and catches an error for other values, which is slow.
        """
        return value.get(node["value"]) if isinstance(value, dict) else None

    def visit_value_projection(self, node: Node, value: object) -> object:
        """Evaluate `*` on an object: the results for its values that are not null."""
        base = self.visit(node["children"][0], value)
        if not isinstance(base, dict):
            return None
        found = (self.visit(node["children"][1], each) for each in base.values())
        return [each for each in found if each is not None]

    def visit_flatten(self, node: Node, value: object) -> object:
        """Evaluate `[]`: join the lists in a list. The size is checked before the list is built."""
        base = self.visit(node["children"][0], value)
        if isinstance(base, list):
            self._budget.spend(len(base))
            self._budget.require(
                _ELEMENT * sum(len(each) for each in base if isinstance(each, list))
            )
        return super().visit_flatten({"children": [{"type": "literal", "value": base}]}, value)

    def visit_comparator(self, node: Node, value: object) -> object:
        """Evaluate a comparison. Equal values are compared to their end, so they cost most."""
        left, right = [self.visit(each, value) for each in node["children"]]
        if isinstance(left, str | list | dict):
            self._budget.spend(_to_compare(left, right, self._budget.left))
        name = node["value"]
        if name not in self._EQUALITY_OPS and not {kind_of(left), kind_of(right)} <= _ORDERABLE:
            return None
        return self.COMPARATOR_FUNC[name](left, right)

    def _visit_of(self, kind: str) -> Visit:
        visit: Visit = getattr(self, f"visit_{kind}")
        if not kind.startswith(_MAKERS):
            return visit

        def make(node: Node, value: object) -> object:
            made = visit(node, value)
            self._budget.spend(_cost(made))
            return made

        return make


class _Functions(Functions):  # type: ignore[misc]  # the library is untyped
    """The functions of the specification.

    A function whose result can be larger than its arguments checks the budget first.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: list[object]) -> object:
        """Call a function; reading its arguments is charged first."""
        if function_name not in _CHEAP:
            self._budget.spend(sum(map(_size, resolved_args)))
        found = super().call_function(function_name, resolved_args)
        if type(found) is float and not isfinite(found):
            raise ValueError(f"{function_name}() gives a number that JSON cannot hold")
        return found

    @signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, texts: list[str]) -> str:
        self._budget.require(
            _CHARACTER * (len(separator) * max(len(texts) - 1, 0) + sum(map(len, texts)))
        )
        return str(super()._func_join(separator, texts))

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: object) -> str:
        if isinstance(value, str):
            return value
        try:
            return json_text.dumps(
                value, compact=True, ascii_only=True, limit=self._budget.left // _CHARACTER
            )
        except json_text.TooLong:
            raise Spent from None

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_number(self, value: Any) -> int | float | None:
        if isinstance(value, str):
            self._budget.spend(len(value))
            return json_text.number(value)
        return value if kind_of(value) == "number" else None

    @signature({"types": ["object"], "variadic": True})  # type: ignore[untyped-decorator]
    def _func_merge(self, *objects: dict[str, object]) -> dict[str, object]:
        self._budget.require(_KEY * sum(map(len, objects)))
        return dict(super()._func_merge(*objects))

    @signature({"types": ["array", "string"]}, {"types": []})  # type: ignore[untyped-decorator]
    def _func_contains(self, subject: object, search: object) -> bool:
        if isinstance(subject, list) and isinstance(search, str | list | dict):
            self._budget.spend(_LOOKED_AT * len(subject))
            for each in subject:
                self._budget.spend(_to_compare(each, search, self._budget.left))
        return bool(super()._func_contains(subject, search))

    @signature({"types": ["array-string", "array-number"]})  # type: ignore[untyped-decorator]
    def _func_sort(self, values: list[object]) -> list[object]:
        self._spend_on_order(values)
        return list(super()._func_sort(values))

    @signature({"types": ["array"]}, {"types": ["expref"]})  # type: ignore[untyped-decorator]
    def _func_sort_by(self, values: list[object], expression: object) -> list[object]:
        self._spend_on_order(values)
        return list(super()._func_sort_by(values, expression))

    def _spend_on_order(self, values: list[object]) -> None:
        self._budget.spend(_ORDERED * len(values) * len(values).bit_length() // 4)

    # The library checks the names of Python types, and does not know `json_text.Number`.

    def _type_check_single(self, current: Any, types: list[str], function_name: str) -> None:
        within = {outer: inner for outer, _, inner in (each.partition("-") for each in types)}
        kind = kind_of(current)
        if kind not in within:
            raise exceptions.JMESPathTypeError(function_name, _short(current), kind, types)
        if kind == "array" and any(within.values()):
            self._check_elements(current, types, function_name)

    def _check_elements(self, values: list[object], types: list[str], function_name: str) -> None:
        allowed = [inner for _, _, inner in (each.partition("-") for each in types) if inner]
        first = kind_of(values[0]) if values else allowed[0]
        for each in values:
            kind = kind_of(each)
            if kind != first or kind not in allowed:
                raise exceptions.JMESPathTypeError(function_name, _short(each), kind, types)

    def _create_key_func(
        self, expref: Any, allowed_types: list[str], function_name: str
    ) -> Callable[[object], object]:
        def key(value: object) -> object:
            found = expref.visit(expref.expression, value)
            kind = kind_of(found)
            if kind not in allowed_types:
                raise exceptions.JMESPathTypeError(
                    function_name, _short(found), kind, allowed_types
                )
            return found

        return key

    def _convert_to_jmespath_type(self, name: str) -> str:
        return (
            "number"
            if name == json_text.Number.__name__
            else str(super()._convert_to_jmespath_type(name))
        )


def kind_of(value: object) -> str:
    """Return JMESPath's name of a value's type; `expref` if it is not JSON."""
    return _KINDS.get(type(value), "expref")


def _short(value: object) -> object:
    """The value as an error message shows it, cut if it is long."""
    if isinstance(value, str):
        return value if len(value) <= 100 else f"{value[:100]}…"
    return f"<{kind_of(value)}>" if isinstance(value, list | dict) else value


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value) // 16
    return len(value) if isinstance(value, list | dict) else 0


def _cost(made: object) -> int:
    if isinstance(made, str):
        return _CHARACTER * len(made)
    if isinstance(made, list):
        return _LIST + _ELEMENT * len(made)
    return _OBJECT + _KEY * len(made) if isinstance(made, dict) else 0


def _to_compare(left: object, right: object, limit: int) -> int:
    """The price of comparing two values, at most about `limit`.

    Values of different types or lengths cost nothing: they differ at first sight.
    """
    if isinstance(left, str) and isinstance(right, str):
        return min(len(left), len(right)) // 64
    begin_alike = (
        isinstance(left, list | dict) and type(left) is type(right) and len(left) == len(right)
    )
    return _to_compare_within(left, limit) if begin_alike else 0


def _to_compare_within(value: object, limit: int) -> int:
    cost, rest = 0, [value]
    while rest and cost <= limit:
        each = rest.pop()
        if isinstance(each, list | dict):
            cost += _COMPARED * (1 + len(each))
            rest.extend(each if isinstance(each, list) else each.values())
        elif isinstance(each, str):
            cost += len(each) // 64
    return cost
