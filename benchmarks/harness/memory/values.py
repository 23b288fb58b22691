"""Attribute values in wire format (`{"S": "x"}`, `{"N": "1"}` …): comparison and size."""

from collections.abc import Mapping
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

Value = Mapping[str, Any]
Item = dict[str, Any]
SETS = {"SS", "NS", "BS"}
DIGITS, EXACT = Context(prec=38), Context(prec=300)


def comparable(value: Value) -> tuple[str, Any]:
    """Return the type and a Python value that compares as in DynamoDB."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return kind, Decimal(inner)
    if kind == "NS":
        return kind, frozenset(map(Decimal, inner))
    if kind in ("SS", "BS"):
        return kind, frozenset(inner)
    if kind == "L":
        return kind, [comparable(each) for each in inner]
    if kind == "M":
        return kind, {name: comparable(each) for name, each in inner.items()}
    return kind, inner


def number(digits: Decimal) -> Value:
    """Return a number in wire format, without a decimal point if possible."""
    text = format(digits.normalize(DIGITS), "f")
    return {"N": "0" if text == "-0" else text}


def size(value: Value) -> int:
    """Return the approximate size in bytes ("Item sizes and formats", Amazon DynamoDB Developer
    Guide).
    """
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner.encode())
    if kind == "N":
        return (len(inner.lstrip("-").replace(".", "")) + 1) // 2 + 1
    if kind == "B":
        return len(inner)
    if kind in ("SS", "NS", "BS"):
        return sum(size({kind[0]: each}) for each in inner)
    if kind == "L":
        return 3 + sum(1 + size(each) for each in inner)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size(each) for name, each in inner.items())
    return 1


class Stored(dict[str, Any]):
    """An item that is never modified, only replaced, so that its size is computed once."""

    @cached_property
    def size(self) -> int:
        """The size in bytes."""
        return item_size(self)


def item_size(item: Mapping[str, Value]) -> int:
    """Return the size of an item in bytes."""
    return sum(len(name.encode()) + size(value) for name, value in item.items())
