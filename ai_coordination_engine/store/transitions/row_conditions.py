"""The conditions of the rows of `domain.lifecycle`: compiled once for each model, evaluated on an
item as it is stored.

`store.transitions.rows` makes the condition that DynamoDB evaluates; both say the same.
"""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from ai_coordination_engine.domain.predicates import (
    Absent,
    AllOf,
    AnyOf,
    Below,
    Contains,
    Differs,
    Exists,
    Given,
    OneOf,
    Predicate,
    Unchanged,
    UpTo,
    valued,
)
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.expressions import compare, contains
from ai_coordination_engine.store.tables.values import Value

Item = Mapping[str, Value]
Parameters = Mapping[str, Any]
"""The values that a row is given, by name, and the record that was read before as `seen`."""
Test = Callable[[Item, Parameters], bool]
Operand = Callable[[Parameters], Value]
_OPERATORS: Mapping[type[Any], str] = {UpTo: "<=", Below: "<"}


def test_of(predicate: Predicate, model: type[Record]) -> Test:
    """A function that evaluates a predicate on a stored item of a model."""
    match predicate:
        case AllOf(parts=parts):
            return _all_of([test_of(each, model) for each in parts])
        case AnyOf(parts=parts):
            return _any_of([test_of(each, model) for each in parts])
        case Absent(field=field):
            return lambda item, given: field not in item
        case Exists(field=field):
            return lambda item, given: field in item
        case OneOf() | Differs() | UpTo() | Below() | Contains() | Unchanged():
            return _test_of_value(predicate, model.get_attributes()[predicate.field])
        case _:
            assert_never(predicate)


def _all_of(tests: list[Test]) -> Test:
    def test(item: Item, given: Parameters) -> bool:
        for each in tests:  # noqa: SIM110 - a generator takes twice the time
            if not each(item, given):
                return False
        return True

    return test


def _any_of(tests: list[Test]) -> Test:
    def test(item: Item, given: Parameters) -> bool:
        for each in tests:  # noqa: SIM110
            if each(item, given):
                return True
        return False

    return test


def _test_of_value(
    predicate: OneOf | Differs | UpTo | Below | Contains | Unchanged, attribute: Any
) -> Test:
    field, serialized = predicate.field, attribute.path.serialized
    match predicate:
        case OneOf(values=values):
            return _one_of(field, [_operand(each, serialized) for each in values])
        case Differs(value=value):
            other = _operand(value, serialized)
            return lambda item, given: field in item and compare("<>", item[field], other(given))
        case UpTo(value=value) | Below(value=value):
            most, operator = _operand(value, serialized), _OPERATORS[type(predicate)]
            return lambda item, given: compare(operator, item.get(field), most(given))
        case Contains(value=value):
            element = _operand(value, attribute.path.element)
            return lambda item, given: contains(item.get(field), element(given))
        case Unchanged():
            return _unchanged(field, serialized)
        case _:
            assert_never(predicate)


def _operand(value: object, serialized: Callable[[object], Value]) -> Operand:
    """A function that looks up a value; a constant is serialised once."""
    if isinstance(value, Given):
        return lambda given: serialized(valued(value, given))
    constant = serialized(value)
    return lambda given: constant


def _one_of(field: str, wanted: list[Operand]) -> Test:
    def test(item: Item, given: Parameters) -> bool:
        value = item.get(field)
        return value is not None and any(compare("=", value, each(given)) for each in wanted)

    return test


def _unchanged(field: str, serialized: Callable[[object], Value]) -> Test:
    def test(item: Item, given: Parameters) -> bool:
        seen = given["seen"].stored(field)
        if seen is None:
            return field not in item
        return compare("=", item.get(field), serialized(seen))

    return test
