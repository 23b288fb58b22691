"""The attributes of records: those of PynamoDB, made cheap.

An attribute is read from the item when it is asked for, and its path is made once: both took much
of the time of a step on one machine. What is stored and what is sent is as with PynamoDB's own
classes. `store.models` declares records with these.
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from typing import Any, Protocol, Self, TypeVar, cast, overload

from pynamodb import attributes
from pynamodb.constants import NULL, NUMBER, NUMBER_SET, STRING_SET
from pynamodb.expressions import condition as conditions
from pynamodb.expressions import update as updates
from pynamodb.expressions.operand import Path, Value, _IfNotExists, _Operand

T = TypeVar("T")
SETS = frozenset({STRING_SET, NUMBER_SET})
"""The types of attributes that are sets."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000", re.ASCII)


class HasValues(Protocol):
    """The part of a record that an attribute uses.

    `item_read`: the item that it was read from. `values_read`: what was read of that, or set.
    """

    item_read: Mapping[str, Any]
    values_read: dict[str, Any]

    def stored(self, name: str) -> Any:
        """The value of an attribute; None when there is none."""


class AttributePath(Path):
    """The path of a whole attribute; a value beside it is serialised as a value of the attribute.

    PynamoDB takes a JSON value like `{"S": "x"}` for one that is serialised already.
    """

    attribute: Any
    attr_type: str

    def __init__(self, attribute: "Stored[Any]") -> None:
        super().__init__(attribute)
        self.name = attribute.attr_name

    def serialize(self, placeholder_names: dict[str, str], expression_attribute_values: Any) -> str:
        """The placeholder of its name, which is added if it is new."""
        return placeholder_names.setdefault(self.name, f"#{len(placeholder_names)}")

    def operand(self, value: Any) -> Value:
        """A value of the attribute, beside it or in a sum."""
        return value_of(self.serialized(value))

    def _to_operand(self, value: Any) -> Any:
        if isinstance(value, _Operand):
            return value
        return value.path if isinstance(value, Stored) else self.operand(value)

    def contains(self, item: Any) -> conditions.Contains:
        """Whether the text or the set contains a value."""
        return conditions.Contains(self, Value(self.element(item)))  # type: ignore[no-untyped-call]

    def element(self, item: Any) -> dict[str, Any]:
        """A value that the text or the set may contain, as it is stored."""
        if self.attr_type not in SETS:
            return self.serialized(item)
        (element,) = self.attribute.serialize([item])
        return {self.attr_type[0]: element}

    def serialized(self, value: Any) -> dict[str, Any]:
        """A value of the attribute as it is stored."""
        if value is None:
            return {NULL: True}
        return {self.attr_type: self.attribute.serialize(value)}

    _to_value = operand


def value_of(stored: dict[str, Any]) -> Value:
    """The operand of a value as it is stored. PynamoDB's own looks for its type in a list."""
    operand = Value.__new__(Value)
    (operand.attr_type,), operand.values = stored, (stored,)
    return operand


class Stored(attributes.Attribute[T]):
    """An attribute of a record; on the class of the record, it makes conditions and updates."""

    @cached_property
    def path(self) -> AttributePath:
        """Its path, which never changes."""
        return AttributePath(self)

    @cached_property
    def name(self) -> str:
        """Its name, in the record and in the item."""
        return self.attr_name

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: HasValues | None, owner: Any) -> Any:
        if instance is None:
            return self
        name = self.name
        read = instance.values_read
        if name in read:
            return read[name]
        return instance.stored(name) if name in instance.item_read else None

    def __set__(self, instance: HasValues, value: T | None) -> None:
        instance.values_read[self.name] = value

    # Conditions

    def __eq__(self, other: Any) -> conditions.Comparison:  # type: ignore[override]
        return cast(conditions.Comparison, self.path == other)

    def __ne__(self, other: Any) -> conditions.Comparison:  # type: ignore[override]
        return cast(conditions.Comparison, self.path != other)

    def __lt__(self, other: Any) -> conditions.Comparison:
        return cast(conditions.Comparison, self.path < other)

    def __le__(self, other: Any) -> conditions.Comparison:
        return cast(conditions.Comparison, self.path <= other)

    def __gt__(self, other: Any) -> conditions.Comparison:
        return cast(conditions.Comparison, self.path > other)

    def __ge__(self, other: Any) -> conditions.Comparison:
        return cast(conditions.Comparison, self.path >= other)

    def between(self, lower: Any, upper: Any) -> conditions.Between:
        """Whether it is at least one value and at most another."""
        return self.path.between(lower, upper)

    def is_in(self, *values: Any) -> conditions.In:
        """Whether it is one of these values."""
        return self.path.is_in(*values)

    def exists(self) -> conditions.Exists:
        """Whether it has a value."""
        return self.path.exists()

    def does_not_exist(self) -> conditions.NotExists:
        """Whether it has no value."""
        return self.path.does_not_exist()

    def startswith(self, prefix: str) -> conditions.BeginsWith:
        """Whether its text begins with a prefix."""
        return self.path.startswith(prefix)

    def contains(self, item: Any) -> conditions.Contains:
        """Whether its text or set contains a value."""
        return self.path.contains(item)

    # Updates

    def __add__(self, other: Any) -> Any:
        return self.path + other

    def __sub__(self, other: Any) -> Any:
        return self.path - other

    def __or__(self, other: Any) -> _IfNotExists:
        return cast(_IfNotExists, self.path | other)

    def set(self, value: Any) -> updates.SetAction | updates.RemoveAction:
        """Give it a value; an empty set removes it."""
        path = self.path
        if isinstance(value, _Operand | Stored):
            return path.set(value)
        stored = path.serialized(value)
        if None in stored.values():
            return updates.RemoveAction(path)
        return updates.SetAction(path, value_of(stored))

    def remove(self) -> updates.RemoveAction:
        """Remove it."""
        return updates.RemoveAction(self.path)

    def add(self, *values: Any) -> updates.AddAction:
        """Add to a number, or to a set."""
        return self.path.add(*values)

    def delete(self, *values: Any) -> updates.DeleteAction:
        """Delete values from a set."""
        return self.path.delete(*values)


class UnicodeAttribute(Stored[str], attributes.UnicodeAttribute):
    """A text."""


class BooleanAttribute(Stored[bool], attributes.BooleanAttribute):
    """A truth value."""


class NumberAttribute(Stored[float], attributes.NumberAttribute):
    """A number; whole numbers are read as integers."""

    def serialize(self, value: float) -> str:
        """Its digits, as JSON."""
        return _digits(value)

    def deserialize(self, value: str) -> float:
        """The number from its digits."""
        return _number(value)


class IntegerAttribute(Stored[int], attributes.Attribute[int]):
    """A whole number."""

    attr_type = NUMBER

    def serialize(self, value: int) -> str:
        """The number as decimal digits."""
        return str(int(value))

    def deserialize(self, value: str) -> int:
        """The number from its digits."""
        return int(value)


class NumberSetAttribute(Stored[set[float]], attributes.NumberSetAttribute):
    """A set of numbers."""

    def serialize(self, value: Iterable[float]) -> list[str] | None:
        """Their digits; None for an empty set, which cannot be stored."""
        return [*map(_digits, value)] or None

    def deserialize(self, value: Iterable[str]) -> set[float]:
        """The numbers from their digits."""
        return {*map(_number, value)}


def _digits(value: float) -> str:
    """A number as JSON."""
    is_plain = type(value) in (int, float) and isfinite(value)
    return repr(value) if is_plain else json.dumps(value)


def _number(text: str) -> float:
    """A number from its JSON; a whole one is an int."""
    if text.isdecimal():
        return int(text)
    return float(text) if "." in text else cast(float, json.loads(text))


class UnicodeSetAttribute(Stored[set[str]], attributes.UnicodeSetAttribute):
    """A set of texts."""


class UTCDateTimeAttribute(Stored[datetime], attributes.UTCDateTimeAttribute):
    """A moment, as text of 31 characters in UTC: `2026-11-26T10:15:00.000000+0000`."""

    def serialize(self, value: datetime) -> str:
        """The text."""
        if value.tzinfo is not UTC:
            value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.isoformat(timespec="microseconds")[:-6] + "+0000"

    def deserialize(self, value: str) -> datetime:
        """The moment; raises `ValueError` for another text."""
        if _MOMENT.fullmatch(value):
            with suppress(ValueError):
                return datetime.fromisoformat(value)
        return self._fast_parse_utc_date_string(value)
