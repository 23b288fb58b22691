"""Compile DynamoDB expressions: conditions to predicates, updates to changes of an item.

The grammar is that of "Condition and filter expressions" and "Update expressions" (Amazon DynamoDB
Developer Guide).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from benchmarks.harness.memory.values import (
    DIGITS,
    EXACT,
    SETS,
    Item,
    Value,
    comparable,
    number,
    size,
)

Names = Mapping[str, str]
Values = Mapping[str, Value]
Operand = Callable[[Item, Names, Values], Value | None]
Predicate = Callable[[Item, Names, Values], bool]
Change = Callable[[Item, Item, Names, Values], None]
"""Reads the old item and changes the new one."""

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+\-.\[\]]|[#:]?[\w]+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
}
_ORDERED = {"S", "N", "B"}


class Invalid(Exception):
    """An error that DynamoDB reports as a ValidationException."""


@dataclass
class _Tokens:
    left: list[str]

    @classmethod
    def of(cls, text: str) -> "_Tokens":
        found, at = [], 0
        text = text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise Invalid(f"Syntax error near {text[at:]!r}")
            found.append(match[1])
            at = match.end()
        return cls(found[::-1])

    def peek(self) -> str:
        return self.left[-1] if self.left else ""

    def word(self) -> str:
        return self.peek().upper()

    def take(self) -> str:
        return self.left.pop() if self.left else ""

    def accept(self, *tokens: str) -> bool:
        if self.word() in tokens:
            self.left.pop()
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise Invalid(f"Syntax error: {token!r} is missing before {self.peek()!r}")


@lru_cache(maxsize=10_000)
def condition(text: str) -> Predicate:
    """Return the predicate of a condition; an item that does not exist is `{}`."""
    tokens = _Tokens.of(text)
    found = _either(tokens)
    if tokens.left:
        raise Invalid(f"Syntax error near {tokens.peek()!r}")
    return found


def _either(tokens: _Tokens) -> Predicate:
    parts = [_both(tokens)]
    while tokens.accept("OR"):
        parts.append(_both(tokens))
    return parts[0] if len(parts) == 1 else lambda *given: any(part(*given) for part in parts)


def _both(tokens: _Tokens) -> Predicate:
    parts = [_negated(tokens)]
    while tokens.accept("AND"):
        parts.append(_negated(tokens))
    return parts[0] if len(parts) == 1 else lambda *given: all(part(*given) for part in parts)


def _negated(tokens: _Tokens) -> Predicate:
    if tokens.accept("NOT"):
        inner = _negated(tokens)
        return lambda *given: not inner(*given)
    if tokens.peek() == "(":
        tokens.take()
        inner = _either(tokens)
        tokens.expect(")")
        return inner
    return _function(tokens) or _comparison(tokens)


def _function(tokens: _Tokens) -> Predicate | None:
    name = tokens.peek()
    if name not in _FUNCTIONS:
        return None
    tokens.take()
    tokens.expect("(")
    operands = [_operand(tokens)]
    while tokens.accept(","):
        operands.append(_operand(tokens))
    tokens.expect(")")
    function = _FUNCTIONS[name]
    return lambda *given: function(*(each(*given) for each in operands))


def _begins_with(value: Value | None, prefix: Value) -> bool:
    return value is not None and set(value) == set(prefix) and value["S"].startswith(prefix["S"])


def _contains(value: Value | None, wanted: Value | None) -> bool:
    if value is None or wanted is None:
        return False
    ((kind, inner),), ((wanted_kind, looked_for),) = value.items(), wanted.items()
    if kind == "S":
        return wanted_kind == "S" and looked_for in inner
    if kind in SETS:
        return kind[0] == wanted_kind and comparable(wanted)[1] in comparable(value)[1]
    return kind == "L" and comparable(wanted) in comparable(value)[1]


_FUNCTIONS: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "attribute_type": lambda value, kind: value is not None and set(value) == {kind["S"]},
    "begins_with": _begins_with,
    "contains": _contains,
}


def _comparison(tokens: _Tokens) -> Predicate:
    one = _operand(tokens)
    if tokens.accept("BETWEEN"):
        low = _operand(tokens)
        tokens.expect("AND")
        high = _operand(tokens)
        return lambda *given: (
            _compare(">=", one(*given), low(*given)) and _compare("<=", one(*given), high(*given))
        )
    if tokens.accept("IN"):
        tokens.expect("(")
        others = [_operand(tokens)]
        while tokens.accept(","):
            others.append(_operand(tokens))
        tokens.expect(")")
        return lambda *given: any(_compare("=", one(*given), each(*given)) for each in others)
    operator = tokens.take()
    if operator not in ("=", "<>", *_COMPARE):
        raise Invalid(f"Syntax error near {operator!r}")
    other = _operand(tokens)
    return lambda *given: _compare(operator, one(*given), other(*given))


def _compare(operator: str, one: Value | None, other: Value | None) -> bool:
    if one is None or other is None:
        return operator == "<>"
    (kind, left), (other_kind, right) = comparable(one), comparable(other)
    if operator == "=":
        return kind == other_kind and bool(left == right)
    if operator == "<>":
        return kind != other_kind or bool(left != right)
    return kind == other_kind and kind in _ORDERED and _COMPARE[operator](left, right)


# Operands


def _operand(tokens: _Tokens) -> Operand:
    if tokens.peek() == "size":
        tokens.take()
        tokens.expect("(")
        inner = _operand(tokens)
        tokens.expect(")")
        return lambda *given: _size_of(inner(*given))
    if tokens.peek().startswith(":"):
        name = tokens.take()
        return lambda item, names, values: values[name]
    path = _path(tokens)
    return lambda item, names, values: _at(item, path(names))


def _size_of(value: Value | None) -> Value | None:
    if value is None:
        return None
    ((kind, inner),) = value.items()
    return {"N": str(size(value) if kind == "S" else len(inner))}


def _path(tokens: _Tokens) -> Callable[[Names], list[str | int]]:
    parts: list[str | int] = [tokens.take()]
    while tokens.peek() in (".", "["):
        if tokens.take() == ".":
            parts.append(tokens.take())
        else:
            parts.append(int(tokens.take()))
            tokens.expect("]")
    if not parts[0] or not re.fullmatch(r"#?\w+", str(parts[0])):
        raise Invalid(f"Syntax error near {parts[0]!r}")
    return lambda names: [
        names[each] if isinstance(each, str) and each.startswith("#") else each for each in parts
    ]


def _at(item: Item, path: Sequence[str | int]) -> Value | None:
    found: Any = {"M": item}
    for step in path:
        if isinstance(step, int):
            inner = found.get("L")
            if inner is None or step >= len(inner):
                return None
            found = inner[step]
        else:
            found = found.get("M", {}).get(step)
        if found is None:
            return None
    return found  # type: ignore[no-any-return]


# Updates


@lru_cache(maxsize=10_000)
def update(text: str) -> Change:
    """Return the change of an update expression."""
    tokens = _Tokens.of(text)
    changes: list[Change] = []
    while tokens.left:
        clause = _CLAUSES.get(tokens.take().upper())
        if clause is None:
            raise Invalid(f"Syntax error in {text!r}")
        changes.append(clause(tokens))
        while tokens.accept(","):
            changes.append(clause(tokens))

    def change(old: Item, new: Item, names: Names, values: Values) -> None:
        for each in changes:
            each(old, new, names, values)

    return change


def _set(tokens: _Tokens) -> Change:
    path = _path(tokens)
    tokens.expect("=")
    value = _sum(tokens)

    def change(old: Item, new: Item, names: Names, values: Values) -> None:
        found = value(old, names, values)
        if found is None:
            raise Invalid(
                "The provided expression refers to an attribute that does not exist in the item"
            )
        new[_top(path(names))] = found

    return change


def _sum(tokens: _Tokens) -> Operand:
    one = _set_operand(tokens)
    if tokens.peek() not in ("+", "-"):
        return one
    is_less = tokens.take() == "-"
    other = _set_operand(tokens)

    def add(item: Item, names: Names, values: Values) -> Value | None:
        left, right = one(item, names, values), other(item, names, values)
        if left is None or right is None:
            return None
        if "N" not in left or "N" not in right:
            raise Invalid("An operand in the update expression has an incorrect data type")
        more = Decimal(right["N"])
        return _added(left["N"], more.copy_negate() if is_less else more)

    return add


def _added(text: str, more: Decimal) -> Value:
    found = EXACT.add(Decimal(text), more)
    if found != DIGITS.plus(found):
        raise Invalid("DynamoDB only supports precision up to 38 digits")
    return number(found)


def _set_operand(tokens: _Tokens) -> Operand:
    name = tokens.peek()
    if name not in ("if_not_exists", "list_append"):
        return _operand(tokens)
    tokens.take()
    tokens.expect("(")
    one = _set_operand(tokens)
    tokens.expect(",")
    other = _set_operand(tokens)
    tokens.expect(")")
    if name == "if_not_exists":
        return lambda *given: found if (found := one(*given)) is not None else other(*given)

    def append(item: Item, names: Names, values: Values) -> Value | None:
        left, right = one(item, names, values), other(item, names, values)
        return None if left is None or right is None else {"L": [*left["L"], *right["L"]]}

    return append


def _remove(tokens: _Tokens) -> Change:
    path = _path(tokens)

    def change(old: Item, new: Item, names: Names, values: Values) -> None:
        new.pop(_top(path(names)), None)

    return change


def _add(tokens: _Tokens) -> Change:
    path, operand = _path(tokens), tokens.take()

    def change(old: Item, new: Item, names: Names, values: Values) -> None:
        name, added = _top(path(names)), values[operand]
        ((kind, inner),) = added.items()
        before = old.get(name)
        if before is not None and kind not in before:
            raise Invalid("An operand in the update expression has an incorrect data type")
        if kind == "N":
            new[name] = _added(before["N"] if before else "0", Decimal(inner))
        elif kind in SETS:
            new[name] = {kind: sorted({*(before[kind] if before else ()), *inner})}
        else:
            raise Invalid("Incorrect operand type for operator or function; operator: ADD")

    return change


def _delete(tokens: _Tokens) -> Change:
    path, operand = _path(tokens), tokens.take()

    def change(old: Item, new: Item, names: Names, values: Values) -> None:
        name, taken = _top(path(names)), values[operand]
        ((kind, inner),) = taken.items()
        before = old.get(name)
        if kind not in SETS or (before is not None and kind not in before):
            raise Invalid("An operand in the update expression has an incorrect data type")
        if before is not None:
            left = set(before[kind]) - set(inner)
            if left:
                new[name] = {kind: sorted(left)}
            else:
                del new[name]

    return change


def _top(path: Sequence[str | int]) -> str:
    if len(path) > 1:
        raise NotImplementedError("an update within an attribute")
    return str(path[0])


_CLAUSES: dict[str, Callable[[_Tokens], Change]] = {
    "SET": _set,
    "REMOVE": _remove,
    "ADD": _add,
    "DELETE": _delete,
}
