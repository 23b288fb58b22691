"""The predicates of `domain.lifecycle` in the database's terms, compiled once for each model: a
test of an item as it is stored, and the expression that DynamoDB evaluates. Both say the same.
"""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from ai_coordination_engine.data_classes import dataclass
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
Names = dict[str, str]
"""The placeholders of an expression, by name."""
Values = dict[str, Any]
"""The values of an expression, by placeholder."""
Writer = Callable[[Parameters, Names, Values], str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A predicate: the test of an item, and what writes the expression."""

    test: Test
    write: Writer


def compiled(predicate: Predicate, model: type[Record]) -> Compiled:
    """Compile a predicate on items of a model."""
    match predicate:
        case AllOf(parts=parts):
            return _all_of([compiled(each, model) for each in parts])
        case AnyOf(parts=parts):
            return _any_of([compiled(each, model) for each in parts])
        case Absent(field=field):
            return Compiled(
                lambda item, given: field not in item,
                lambda given, names, values: f"attribute_not_exists ({_name(field, names)})",
            )
        case Exists(field=field):
            return _existing(field)
        case OneOf() | Differs() | UpTo() | Below() | Contains() | Unchanged():
            return _of_value(predicate, model.get_attributes()[predicate.field])
        case _:
            assert_never(predicate)


def _all_of(parts: list[Compiled]) -> Compiled:
    tests = [each.test for each in parts]

    def test(item: Item, given: Parameters) -> bool:
        for each in tests:  # noqa: SIM110 - a generator takes twice the time
            if not each(item, given):
                return False
        return True

    return Compiled(test, _joined("AND", parts))


def _any_of(parts: list[Compiled]) -> Compiled:
    tests = [each.test for each in parts]

    def test(item: Item, given: Parameters) -> bool:
        for each in tests:  # noqa: SIM110
            if each(item, given):
                return True
        return False

    return Compiled(test, _joined("OR", parts))


def _joined(word: str, parts: list[Compiled]) -> Writer:
    first, *others = (each.write for each in parts)

    def write(given: Parameters, names: Names, values: Values) -> str:
        text = first(given, names, values)
        for each in others:
            text = f"({text} {word} {each(given, names, values)})"
        return text

    return write


def _of_value(
    predicate: OneOf | Differs | UpTo | Below | Contains | Unchanged, attribute: Any
) -> Compiled:
    field, serialized = predicate.field, attribute.path.serialized
    match predicate:
        case OneOf(values=(value,)):
            return _compared(field, "=", _operand(value, serialized))
        case OneOf(values=several):
            return _one_of(field, [_operand(each, serialized) for each in several])
        case Differs(value=value):
            differs = _compared(field, "<>", _operand(value, serialized))
            return _all_of([_existing(field), differs])
        case UpTo(value=value):
            return _compared(field, "<=", _operand(value, serialized))
        case Below(value=value):
            return _compared(field, "<", _operand(value, serialized))
        case Contains(value=value):
            return _containing(field, _operand(value, attribute.path.element))
        case Unchanged():
            return _unchanged(field, serialized)
        case _:
            assert_never(predicate)


def _existing(field: str) -> Compiled:
    return Compiled(
        lambda item, given: field in item,
        lambda given, names, values: f"attribute_exists ({_name(field, names)})",
    )


def _operand(value: object, serialized: Callable[[object], Value]) -> Operand:
    """A function that looks up a value; a constant is serialised once."""
    if isinstance(value, Given):
        return lambda given: serialized(valued(value, given))
    constant = serialized(value)
    return lambda given: constant


def _compared(field: str, operator: str, operand: Operand) -> Compiled:
    def write(given: Parameters, names: Names, values: Values) -> str:
        return f"{_name(field, names)} {operator} {_value(operand(given), values)}"

    return Compiled(lambda item, given: compare(operator, item.get(field), operand(given)), write)


def _one_of(field: str, operands: list[Operand]) -> Compiled:
    def test(item: Item, given: Parameters) -> bool:
        value = item.get(field)
        return value is not None and any(compare("=", value, each(given)) for each in operands)

    def write(given: Parameters, names: Names, values: Values) -> str:
        name = _name(field, names)
        return f"{name} IN ({', '.join(_value(each(given), values) for each in operands)})"

    return Compiled(test, write)


def _containing(field: str, operand: Operand) -> Compiled:
    def write(given: Parameters, names: Names, values: Values) -> str:
        return f"contains ({_name(field, names)}, {_value(operand(given), values)})"

    return Compiled(lambda item, given: contains(item.get(field), operand(given)), write)


def _unchanged(field: str, serialized: Callable[[object], Value]) -> Compiled:
    def test(item: Item, given: Parameters) -> bool:
        seen = given["seen"].stored(field)
        if seen is None:
            return field not in item
        return compare("=", item.get(field), serialized(seen))

    def write(given: Parameters, names: Names, values: Values) -> str:
        name, seen = _name(field, names), given["seen"].stored(field)
        if seen is None:
            return f"attribute_not_exists ({name})"
        return f"{name} = {_value(serialized(seen), values)}"

    return Compiled(test, write)


def _name(field: str, names: Names) -> str:
    """The placeholder of a name, as PynamoDB makes it."""
    return names.setdefault(field, f"#{len(names)}")


def _value(value: Value, values: Values) -> str:
    """The placeholder of a value."""
    placeholder = f":{len(values)}"
    values[placeholder] = value
    return placeholder
