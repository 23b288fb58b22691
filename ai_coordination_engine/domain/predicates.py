"""Predicates over the attributes of a record, as data. Pure.

`holds` evaluates a predicate in Python; `store.transitions.rows` compiles it to a condition of
the database. An absent attribute is None in Python. A comparison with an absent attribute is false,
as in DynamoDB ("Condition and filter expressions", Amazon DynamoDB Developer Guide). The rows of
`domain.lifecycle` are written with these predicates.
"""

from collections.abc import Mapping
from typing import Any, assert_never

from ai_coordination_engine.data_classes import dataclass


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter: its value is looked up by name (`now`, `epoch`, …) during evaluation."""

    name: str


Value = object
"""A constant, or a `Given`."""
NOW = Given("now")
TENANT = Given("tenant")
EPOCH = Given("epoch")
EDGE = Given("edge_id")
SINK = Given("sink")
TARGET = Given("target")
"""The state that the caller sets."""


class _Operators:
    __slots__ = ()

    def __and__(self, other: "Predicate") -> "AllOf":
        return AllOf(*_parts(AllOf, self), *_parts(AllOf, other))

    def __or__(self, other: "Predicate") -> "AnyOf":
        return AnyOf(*_parts(AnyOf, self), *_parts(AnyOf, other))


@dataclass(frozen=True, slots=True)
class Exists(_Operators):
    """The attribute has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Absent(_Operators):
    """The attribute has no value."""

    field: str


@dataclass(frozen=True, slots=True)
class OneOf(_Operators):
    """The attribute has one of these values."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Differs(_Operators):
    """The attribute has a value other than this one."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class UpTo(_Operators):
    """The attribute is at most this number."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Below(_Operators):
    """The attribute is smaller than this number."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Contains(_Operators):
    """The set has this element."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Unchanged(_Operators):
    """The attribute has the value of the item that was read before (given as `seen`).

    If it was absent then, it must be absent now.
    """

    field: str


@dataclass(frozen=True, slots=True, init=False)
class AllOf(_Operators):
    """All of these hold."""

    parts: tuple["Predicate", ...]

    def __init__(self, *parts: "Predicate") -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True, slots=True, init=False)
class AnyOf(_Operators):
    """One of these holds."""

    parts: tuple["Predicate", ...]

    def __init__(self, *parts: "Predicate") -> None:
        object.__setattr__(self, "parts", parts)


_OfOne = Exists | Absent | OneOf | Differs | UpTo | Below | Contains
Predicate = _OfOne | Unchanged | AllOf | AnyOf


def _parts(kind: type[Any], predicate: Any) -> tuple[Any, ...]:
    return predicate.parts if isinstance(predicate, kind) else (predicate,)


def absent(*fields: str) -> Predicate:
    """None of these attributes has a value."""
    return AllOf(*map(Absent, fields)) if len(fields) > 1 else Absent(fields[0])


def equals(field: str, value: Value) -> Predicate:
    """The attribute has this value."""
    return OneOf(field, (value,))


def unchanged(*fields: str) -> Predicate:
    """These attributes have the values of the item that was read before."""
    return AllOf(*map(Unchanged, fields)) if len(fields) > 1 else Unchanged(fields[0])


def valued(value: Value, given: Mapping[str, object]) -> object:
    """The constant itself, or the value of the parameter."""
    return given[value.name] if isinstance(value, Given) else value


def holds(predicate: Predicate, item: Any, given: Mapping[str, object]) -> bool:
    """Whether the predicate holds for an item.

    `given`: the values of the parameters by name, and the item that was read before as `seen`.
    """
    match predicate:
        case AllOf(parts=parts):
            return all(holds(each, item, given) for each in parts)
        case AnyOf(parts=parts):
            return any(holds(each, item, given) for each in parts)
        case Unchanged(field=field):
            return bool(getattr(item, field) == getattr(given["seen"], field))
        case Exists() | Absent() | OneOf() | Differs() | UpTo() | Below() | Contains():
            return _holds(predicate, getattr(item, predicate.field), given)
        case _:
            assert_never(predicate)


def _holds(
    predicate: _OfOne,
    value: Any,
    given: Mapping[str, object],
) -> bool:
    if isinstance(predicate, Absent):
        return value is None
    if value is None:
        return False
    match predicate:
        case Exists():
            return True
        case OneOf(values=values):
            return value in [valued(each, given) for each in values]
        case Differs(value=other):
            return bool(value != valued(other, given))
        case UpTo(value=most):
            return bool(value <= valued(most, given))
        case Below(value=most):
            return bool(value < valued(most, given))
        case Contains(value=element):
            return valued(element, given) in value
        case _:
            assert_never(predicate)


def described(predicate: Predicate) -> str:
    """The predicate in words, for `docs/states.md`."""
    match predicate:
        case AllOf(parts=parts):
            return _joined("and", parts, bracketed=AnyOf)
        case AnyOf(parts=parts):
            return _joined("or", parts, bracketed=AllOf)
        case Absent(field=field):
            return f"no `{field}`"
        case Exists(field=field):
            return f"`{field}`"
        case Unchanged(field=field):
            return f"`{field}` unchanged"
        case OneOf(field=field, values=values):
            return f"`{field}` is {' or '.join(map(value_in_words, values))}"
        case (
            Differs(field=field, value=value)
            | UpTo(field=field, value=value)
            | Below(field=field, value=value)
            | Contains(field=field, value=value)
        ):
            return f"`{field}` {_SIGNS[type(predicate)]} {value_in_words(value)}"
        case _:
            assert_never(predicate)


def _joined(word: str, parts: tuple[Predicate, ...], *, bracketed: type[AllOf | AnyOf]) -> str:
    return f" {word} ".join(
        f"({described(each)})" if isinstance(each, bracketed) else described(each) for each in parts
    )


_SIGNS: Mapping[type[Any], str] = {Differs: "≠", UpTo: "≤", Below: "<", Contains: "has"}


def value_in_words(value: Value) -> str:
    """A constant, or the name of a parameter, for `docs/states.md`."""
    return value.name if isinstance(value, Given) else str(value)
