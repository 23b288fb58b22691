"""Attribute values as they are stored, `{"S": "x"}`, `{"N": "1"}` …: what they are equal to, and
how large they are.
"""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

Value = Mapping[str, Any]
SETS = frozenset({"SS", "NS", "BS"})
# numbers have 38 digits ("Supported data types and naming rules", Amazon DynamoDB)
DIGITS = Context(prec=38)
EXACT = Context(prec=300)  # for sums: DynamoDB refuses one with more digits, and rounds nothing
# as it is stored, with 38 digits at most
_PLAIN = re.compile(r"-?(?:[1-9][0-9]{0,37}|(?:0|[1-9][0-9]{0,18})\.[0-9]{0,17}[1-9])")
_POWERS = range(-130, 126)  # of ten, of the first digit


class Invalid(ValueError):
    """A write that DynamoDB refuses with a ValidationException; a fault of the store."""


def comparable(value: Value) -> tuple[str, Any]:
    """The type and a Python value that compares as DynamoDB does."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return kind, Decimal(inner)
    if kind == "NS":
        return kind, frozenset(map(Decimal, inner))
    if kind in SETS:
        return kind, frozenset(inner)
    if kind == "L":
        return kind, [comparable(each) for each in inner]
    if kind == "M":
        return kind, {name: comparable(each) for name, each in inner.items()}
    return kind, inner


def are_equal(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    """Whether two items are equal; the members of a set have no order."""
    return comparable({"M": one}) == comparable({"M": other})


def digits(number: Decimal) -> str:
    """A number as it is stored: without an exponent, and without zeros that say nothing. Raises
    `Invalid`.
    """
    if not number:
        return "0"
    short = number.normalize(DIGITS)
    if not number.is_finite() or short != number or short.adjusted() not in _POWERS:
        raise Invalid(f"{number} is no number of 38 digits")
    return format(short, "f")


def stored(value: Value) -> Value:
    """A value as it is stored: its numbers are written in one way. Raises `Invalid`."""
    ((kind, inner),) = value.items()
    if kind == "S":
        return value
    if kind == "N":
        return {"N": _stored_number(inner)}
    if kind == "NS":
        return {"NS": sorted(map(_stored_number, inner))}
    if kind == "L":
        return {"L": [stored(each) for each in inner]}
    if kind == "M":
        return {"M": {name: stored(each) for name, each in inner.items()}}
    return {kind: sorted(inner)} if kind in SETS else value


def _stored_number(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else digits(Decimal(text))


def size(value: Value) -> int:
    """Its bytes ("DynamoDB item sizes and formats")."""
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner.encode("utf-8", "surrogatepass"))
    if kind == "N":
        return _number_size(Decimal(inner).normalize(DIGITS))
    if kind in SETS:
        return sum(size({kind[0]: each}) for each in inner)
    if kind == "L":
        return 3 + sum(1 + size(each) for each in inner)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size(each) for name, each in inner.items())
    return 1


def _number_size(number: Decimal) -> int:
    """A byte for two digits on the same side of the point, one for a minus sign, and one more."""
    if not number:
        return 1
    pairs = number.adjusted() // 2 - (number.adjusted() - len(number.as_tuple().digits) + 1) // 2
    return pairs + 2 + number.is_signed()


def item_size(item: Mapping[str, Value]) -> int:
    """The bytes of an item."""
    return sum(len(name.encode()) + size(value) for name, value in item.items())
