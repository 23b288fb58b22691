"""PynamoDB's conditions and updates, evaluated on a stored item as DynamoDB does it.

Only whole attributes are supported: the store uses no path into one, and such a path raises
`NotImplementedError`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

from pynamodb.expressions import condition as conditions
from pynamodb.expressions import operand as operands
from pynamodb.expressions import update as updates
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.store.attributes import AttributePath
from ai_coordination_engine.store.tables.values import (
    EXACT,
    SETS,
    Invalid,
    Value,
    comparable,
    digits,
    size,
    stored,
)

Item = Mapping[str, Value]
_ORDERED = frozenset({"S", "N", "B"})
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Evaluated(Condition, ABC):
    """A condition that evaluates an item itself."""

    @abstractmethod
    def holds(self, item: Item) -> bool:
        """Whether an item, as it is stored, meets the condition."""


def holds(condition: Condition, item: Item) -> bool:
    """Whether an item meets a condition. A missing item is one without attributes."""
    if isinstance(condition, Evaluated):
        return condition.holds(item)
    return _CONDITIONS[type(condition)](condition, item)


def updated(item: Item, actions: Iterable[Action], key_names: Iterable[str]) -> dict[str, Value]:
    """The item after an update. Each action reads the item as it was before; raises `Invalid`."""
    new, written = dict(item), set(key_names)
    for action in actions:
        path, *rest = action.values
        name = name_of(path)
        if name in written:
            raise Invalid(f"{name} is a key, or is written twice")
        written.add(name)
        _ACTIONS[type(action)](item, new, name, *rest)
    return new


def given_size(operand: Any) -> int:
    """The bytes of the values in an update or an operand."""
    if isinstance(operand, operands.Value):
        return size(operand.values[0])
    if isinstance(operand, operands.Path):
        return 0
    return sum(map(given_size, getattr(operand, "values", ())))


def name_of(path: Any) -> str:
    """The attribute that a path names."""
    if isinstance(path, AttributePath):
        return path.name
    (name,) = path.path
    if "[" in name:
        raise NotImplementedError("a path within an attribute")
    return str(name)


# Conditions


def _comparison(condition: Any, item: Item) -> bool:
    one, other = (_value(each, item) for each in condition.values)
    return compare(condition.operator, one, other)


def compare(operator: str, one: Value | None, other: Value | None) -> bool:
    """Whether a comparison of two values is true; None is an attribute that does not exist."""
    if one is None or other is None:
        return operator == "<>"
    if operator == "=":
        return _equal(one, other)
    if operator == "<>":
        return not _equal(one, other)
    (kind, left), (other_kind, right) = comparable(one), comparable(other)
    return kind == other_kind and kind in _ORDERED and _COMPARE[operator](left, right)


def _equal(one: Value, other: Value) -> bool:
    return one == other or comparable(one) == comparable(other)


def _between(condition: Any, item: Item) -> bool:
    value, low, high = (_value(each, item) for each in condition.values)
    return compare(">=", value, low) and compare("<=", value, high)


def _in(condition: Any, item: Item) -> bool:
    value, *others = (_value(each, item) for each in condition.values)
    return any(compare("=", value, other) for other in others)


def _is_type(condition: Any, item: Item) -> bool:
    value, kind = (_value(each, item) for each in condition.values)
    return value is not None and kind is not None and set(value) == {kind["S"]}


def _begins_with(condition: Any, item: Item) -> bool:
    value, prefix = (_value(each, item) for each in condition.values)
    if value is None or prefix is None or "S" not in value:
        return False
    return bool(value["S"].startswith(prefix["S"]))


def _contains(condition: Any, item: Item) -> bool:
    return contains(*(_value(each, item) for each in condition.values))


def contains(value: Value | None, wanted: Value | None) -> bool:
    """Whether a text, a set or a list contains a value."""
    if value is None or wanted is None:
        return False
    ((kind, inner),), ((wanted_kind, looked_for),) = value.items(), wanted.items()
    if kind == "S":
        return wanted_kind == "S" and looked_for in inner
    if kind in SETS:
        return kind[0] == wanted_kind and _is_member(looked_for, kind, inner)
    return kind == "L" and comparable(wanted) in comparable(value)[1]


def _is_member(looked_for: Any, kind: str, members: Any) -> bool:
    """Whether a set has a member. As a rule it is there as it is written, and no numbers are
    compared.
    """
    if looked_for in members or kind != "NS":
        return looked_for in members
    return Decimal(looked_for) in map(Decimal, members)


_CONDITIONS: Mapping[type[Condition], Callable[[Any, Item], bool]] = {
    conditions.And: lambda each, item: all(holds(part, item) for part in each.values),
    conditions.Or: lambda each, item: any(holds(part, item) for part in each.values),
    conditions.Not: lambda each, item: not holds(each.values[0], item),
    conditions.Exists: lambda each, item: _value(each.values[0], item) is not None,
    conditions.NotExists: lambda each, item: _value(each.values[0], item) is None,
    conditions.Comparison: _comparison,
    conditions.Between: _between,
    conditions.In: _in,
    conditions.IsType: _is_type,
    conditions.BeginsWith: _begins_with,
    conditions.Contains: _contains,
}


# Operands


def _value(operand: Any, item: Item) -> Value | None:
    """The value of an operand; None for an attribute that does not exist."""
    return _OPERANDS[type(operand)](operand, item)


def _size_of(operand: Any, item: Item) -> Value | None:
    value = _value(operand.values[0], item)
    if value is None:
        return None
    ((kind, inner),) = value.items()
    return {"N": str(size(value) if kind == "S" else len(inner))}


def _sum(operand: Any, item: Item) -> Value | None:
    one, other = (_value(each, item) for each in operand.values)
    if one is None or other is None:
        return None
    if "N" not in one or "N" not in other:
        raise Invalid("a sum of values that are not numbers")
    more = Decimal(other["N"])
    is_less = isinstance(operand, operands._Decrement)
    return {"N": _added(one["N"], more.copy_negate() if is_less else more)}


def _added(text: str, more: Decimal) -> str:
    return digits(EXACT.add(Decimal(text), more))


def _if_not_exists(operand: Any, item: Item) -> Value | None:
    path, other = operand.values
    found = _value(path, item)
    return found if found is not None else _value(other, item)


def _appended(operand: Any, item: Item) -> Value | None:
    one, other = (_value(each, item) for each in operand.values)
    return None if one is None or other is None else {"L": [*one["L"], *other["L"]]}


_OPERANDS: Mapping[type[Any], Callable[[Any, Item], Value | None]] = {
    operands.Value: lambda operand, item: operand.values[0],
    AttributePath: lambda operand, item: item.get(operand.name),
    operands.Path: lambda operand, item: item.get(name_of(operand)),
    operands._Size: _size_of,
    operands._Increment: _sum,
    operands._Decrement: _sum,
    operands._IfNotExists: _if_not_exists,
    operands._ListAppend: _appended,
}


# Updates


def _set(old: Item, new: dict[str, Value], name: str, operand: Any) -> None:
    value = _value(operand, old)
    if value is None:
        raise Invalid(f"{name} is set to an attribute that does not exist")
    new[name] = stored(value)


def _remove(old: Item, new: dict[str, Value], name: str) -> None:
    new.pop(name, None)


def _add(old: Item, new: dict[str, Value], name: str, operand: Any) -> None:
    ((kind, added),) = operand.value.items()
    before = old.get(name)
    if before is not None and kind not in before:
        raise Invalid(f"the value added to {name} is of another type")
    if kind == "N":
        new[name] = {"N": _added(before["N"] if before else "0", Decimal(added))}
    else:
        new[name] = _set_of(kind, [*(before[kind] if before else ()), *added])


def _delete(old: Item, new: dict[str, Value], name: str, operand: Any) -> None:
    ((kind, taken),) = operand.value.items()
    before = old.get(name)
    if before is None:
        return
    if kind not in before:
        raise Invalid(f"the value deleted from {name} is of another type")
    gone = set(_set_of(kind, taken)[kind])
    if left := [each for each in before[kind] if each not in gone]:
        new[name] = {kind: left}
    else:
        del new[name]  # there is no empty set


def _set_of(kind: str, members: Iterable[Any]) -> Value:
    """A set of these members, each once."""
    found = stored({kind: [*members]})[kind]
    return {kind: [*dict.fromkeys(found)]}


_ACTIONS: Mapping[type[Action], Callable[..., None]] = {
    updates.SetAction: _set,
    updates.RemoveAction: _remove,
    updates.AddAction: _add,
    updates.DeleteAction: _delete,
}
