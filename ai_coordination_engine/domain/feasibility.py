"""Find out before anything runs whether a condition can be true for any output. Pure.

A condition is split into ways: alternatives, each a set of facts about the values of its terms.
A way is possible if, for each term, one value satisfies all facts about it. Facts compare a term
with literals, so it is enough to try the literals and the values next to them. A condition that is
not understood counts as possible; "can never hold" is therefore never wrong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, floor, inf, isfinite, nextafter
from typing import Any, NamedTuple

from ai_coordination_engine.domain import conditions
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.known import ANYTHING, Known, of_node
from ai_coordination_engine.domain.search import Interpreter, Node
from ai_coordination_engine.errors import BadUserInput, TooCostly

MAX_WAYS = 256
_A_NODE = 8  # units of the budget
_FLIPPED = {"gt": "lt", "lt": "gt", "gte": "lte", "lte": "gte", "eq": "eq", "ne": "ne"}
_ALIKE = {"eq": True, "ne": False, "lt": False, "gt": False}
_OPERATORS = ("comparator", "or_expression", "and_expression", "not_expression")
_USUAL: Sequence[object] = (None, True, False, 0, "", "a", [], [0], {}, {"a": 0})


class Fact(NamedTuple):
    """`term operator literal` is true (`wanted`) or is not; `is_true` has no literal."""

    term: str
    operator: str
    literal: str
    wanted: bool


Way = frozenset[Fact]
_FREE: list[Way] = [frozenset()]
_NEVER: list[Way] = []


class _TooManyWays(Exception):
    """There are more alternatives than `MAX_WAYS`."""


def can_hold(expressions: Iterable[str], known: Known, budget: Budget) -> bool:
    """Return whether one value can satisfy all of these conditions; true if that is not known."""
    ways, conjunction = _Ways(budget), _FREE
    try:
        for each in expressions:
            conjunction = _both(
                conjunction, ways.of(conditions.parsed(each, budget), True, known, "")
            )
        return any(ways.are_possible(way) for way in conjunction)
    except (_TooManyWays, Spent, TooCostly, RecursionError):
        return True


def _both(left: Sequence[Way], right: Sequence[Way]) -> list[Way]:
    if len(left) * len(right) > MAX_WAYS:
        raise _TooManyWays
    return list(dict.fromkeys(one | other for one in left for other in right))


def _either(left: Sequence[Way], right: Sequence[Way]) -> list[Way]:
    if len(left) + len(right) > MAX_WAYS:
        raise _TooManyWays
    return list(dict.fromkeys([*left, *right]))


class _Ways:
    """Splits conditions on one value into ways. `within` names the value that a term is part of."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[str, Known] = {}
        self._literals: dict[str, object] = {}

    def of(self, node: Node, wanted: bool, known: Known, within: str) -> list[Way]:
        """Return the ways in which a condition is true, or is not."""
        self._budget.spend(_A_NODE)
        match node["type"]:
            case "or_expression" | "and_expression" as kind:
                left, right = (self.of(each, wanted, known, within) for each in node["children"])
                return (_either if (kind == "or_expression") is wanted else _both)(left, right)
            case "not_expression":
                return self.of(node["children"][0], not wanted, known, within)
            case "pipe":
                left, right = node["children"]
                inner = f"{within}{left!r}|"
                return self.of(right, wanted, of_node(left, known), inner)
            case "comparator" if not _is_constant(node):
                return self._comparison(node, wanted, known, within)
            case "filter_projection" if wanted and not self._finds(node):
                return _NEVER
        return self._truth(node, wanted, known, within)

    def are_possible(self, way: Way) -> bool:
        """Return whether each term has a value that satisfies all facts about it."""
        terms: dict[str, list[Fact]] = {}
        for fact in way:
            terms.setdefault(fact.term, []).append(fact)
        return all(self._is_possible(term, facts) for term, facts in terms.items())

    def _comparison(self, node: Node, wanted: bool, known: Known, within: str) -> list[Way]:
        left, right = node["children"]
        operator = node["value"]
        if repr(left) == repr(right) and operator in _ALIKE:
            return _FREE if _ALIKE[operator] is wanted else _NEVER
        if _is_constant(left):
            left, right, operator = right, left, _FLIPPED[operator]
        if not _is_constant(right):
            return self._truth(node, wanted, known, within)
        return self._fact(left, operator, [_value(right, self._budget)], wanted, known, within)

    def _truth(self, node: Node, wanted: bool, known: Known, within: str) -> list[Way]:
        """Return the ways in which a value counts as true, or does not."""
        if _is_constant(node):
            return _FREE if _is_true(_value(node, self._budget)) is wanted else _NEVER
        return self._fact(node, "is_true", [], wanted, known, within)

    def _fact(
        self,
        node: Node,
        operator: str,
        literals: Sequence[object],
        wanted: bool,
        known: Known,
        within: str,
    ) -> list[Way]:
        term = f"{within}{node!r}"
        self._budget.spend(len(term))
        self._known[term] = of_node(node, known)
        name = repr(literals)
        self._literals[name] = literals[0] if literals else None
        return [frozenset({Fact(term, operator, name, wanted)})]

    def _finds(self, node: Node) -> bool:
        """Return whether an element can pass a filter."""
        apart = _Ways(self._budget)
        ways = apart.of(node["children"][2], True, ANYTHING, "")
        return any(apart.are_possible(way) for way in ways)

    def _is_possible(self, term: str, facts: Sequence[Fact]) -> bool:
        known = self._known[term]
        literals = [self._literals[fact.literal] for fact in facts if fact.operator != "is_true"]
        return any(
            known.admits(value) and all(self._is_right(fact, value) for fact in facts)
            for value in [*_USUAL, *(known.among or ()), *_neighbours(literals)]
        )

    def _is_right(self, fact: Fact, value: object) -> bool:
        if fact.operator == "is_true":
            return _is_true(value) is fact.wanted
        literal = self._literals[fact.literal]
        found = _compared(fact.operator, value, literal, self._budget)
        return found is not None and _is_true(found[0]) is fact.wanted


def _neighbours(literals: Iterable[object]) -> Iterator[object]:
    """Yield the literals, and the values directly before and after them in their order."""
    for each in literals:
        yield each
        if isinstance(each, str):
            yield f"{each}\0"
        elif isinstance(each, int | float) and not isinstance(each, bool):
            beside = (floor(each) + 1, ceil(each) - 1, *(nextafter(each, to) for to in (inf, -inf)))
            yield from (number for number in beside if isfinite(number))


def _is_true(value: object) -> bool:
    return not (value is None or value is False or value in ("", [], {}))


def _is_constant(node: Node) -> bool:
    """Return whether a part of a condition does not depend on the output."""
    if node["type"] in _OPERATORS:
        return all(map(_is_constant, node["children"]))
    if node["type"] == "function_expression":
        children = node["children"]
        return all(map(_is_constant, children))
    return bool(node["type"] == "literal")


def _value(node: Node, budget: Budget) -> Any:
    """Return the value of a constant; None if it raises."""
    try:
        return Interpreter(budget).visit(node, None)
    except Spent:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError):
        return None


def _compared(
    operator: str, value: object, literal: object, budget: Budget
) -> tuple[object] | None:
    """Return the result of a comparison; None if it raises: its negation fails, too."""
    sides: list[Mapping[str, object]] = [
        {"type": "literal", "value": each, "children": []} for each in (value, literal)
    ]
    try:
        found = Interpreter(budget).visit(
            {"type": "comparator", "value": operator, "children": sides}, None
        )
    except Spent:
        raise
    except (ValueError, TypeError, BadUserInput):
        return None
    return (found,)
