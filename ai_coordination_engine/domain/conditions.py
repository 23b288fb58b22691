"""Check and evaluate JMESPath expressions on an agent's output. Pure.

The conditions of edges, the elements of a map and placeholders with a path use this. Source:
jmespath.org/specification.html. Expressions come from tenants who share the process, so three
things are bounded: their length, their running time and the size of what they create.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

from jmespath.exceptions import ParseError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult, Parser

from ai_coordination_engine.domain import documents
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.literals import Lexer, literal_hint
from ai_coordination_engine.domain.search import Interpreter, Node
from ai_coordination_engine.errors import BadUserInput, TooCostly

MAX_LENGTH = 1_000
MAX_COPIES = 64
"""How many times an expression may put a value into its result: `[@, @] | [@, @]` is 4."""
COMPILED = 30
"""The price of one character of an expression, in units of a `Budget`."""
_BY_EXPRESSION = ("map", "max_by", "min_by", "sort_by")  # the functions that take an expression
_PREAMBLE = re.compile("^(invalid|bad) jmespath expression: ", re.IGNORECASE)


class _Parser(Parser):  # type: ignore[misc]  # the library is untyped
    """A parser without the library's cache, which keeps 512 expressions of any size.

    Numbers in literals keep their digits.
    """

    _CACHE: ClassVar[dict[str, object]] = {}
    _MAX_SIZE = 0

    def _parse(self, expression: str) -> object:
        self._tokens = list(Lexer().tokenize(expression))
        self._index = 0
        parsed = self._expression(binding_power=0)
        last = self._lookahead_token(0)
        if last["type"] != "eof":
            raise ParseError(
                last["start"], last["value"], last["type"], f"Unexpected token: {last['value']}"
            )
        return ParsedResult(expression, parsed)


def check(expression: str, budget: Budget) -> None:
    """Raise `BadUserInput` if the expression is invalid, too long or repeats values too often.

    Raises `TooCostly` when the budget is used up.
    """
    with _priced(
        expression, budget, "comes after more expressions and schemas than can be checked at once"
    ):
        _compiled(expression)


def parsed(expression: str, budget: Budget) -> Node:
    """Return the syntax tree of an expression; raises like `check`."""
    check(expression, budget)
    tree: Node = _compiled(expression).parsed
    return tree


def value_for(expression: str, output: str, budget: Budget) -> object:
    """Read an output as JSON, in order to evaluate `expression` on it.

    Raises `json_text.NotJSON` if it is not JSON, and `TooCostly` when the budget is used up; that
    message names the expression.
    """
    try:
        return documents.read(output, budget)
    except Spent as error:
        raise TooCostly(
            f"{_cut(expression)} needs JSON, and there is more of it to read than one step may."
        ) from error


def holds(expression: str, value: object, budget: Budget) -> bool:
    """Whether the expression's result is true in JMESPath: not null, false, "", [] or {}.

    Raises like `select`.
    """
    found = select(expression, value, budget)
    return not (found is None or found is False or found in ("", [], {}))


def select(expression: str, value: object, budget: Budget) -> object:
    """Evaluate the expression on a JSON value; None if it finds nothing.

    Raises `BadUserInput` if it does not apply to the value (for example, a function gets an
    argument of a wrong type), and `TooCostly` when the budget is used up.
    """
    with _priced(expression, budget, "takes too long, or makes too much, of so large a value"):
        compiled = _compiled(expression)
        try:
            return Interpreter(budget).visit(compiled.parsed, value)
        except RecursionError as error:
            raise BadUserInput(
                f"{_cut(expression)} meets a value that is nested too deeply."
            ) from error
        # every error that the library raises
        except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError) as error:
            raise BadUserInput(
                f"{_cut(expression)} does not apply to the value: {_cut(str(error))}."
            ) from error


@contextmanager
def _priced(expression: str, budget: Budget, too_much: str) -> Iterator[None]:
    """Charge the parsing of the expression, cached or not, and translate `Spent` to `TooCostly`.

    `too_much` completes the error message after the expression.
    """
    try:
        budget.spend(COMPILED * min(len(expression), MAX_LENGTH))
        yield
    except Spent as error:
        raise TooCostly(f"{_cut(expression)} {too_much}.") from error


@lru_cache(128)  # each at most 300 KB
def _compiled(expression: str) -> Any:
    if len(expression) > MAX_LENGTH:
        raise BadUserInput(
            f"A JMESPath expression takes at most {MAX_LENGTH} characters; this has"
            f" {len(expression)}."
        )
    try:
        compiled = _Parser().parse(expression)
        copies = _copies(compiled.parsed)
    except RecursionError as error:
        raise BadUserInput(f"{_cut(expression)} is nested too deeply.") from error
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise BadUserInput(
            f"{_cut(expression)} is not a valid JMESPath expression:"
            f" {_reason(error)}{literal_hint(expression)}."
        ) from error
    if unknown := _functions(compiled.parsed) - set(Functions.FUNCTION_TABLE):
        raise BadUserInput(
            f"{_cut(expression)} calls {_cut(min(unknown))}, which is not a function of JMESPath."
        )
    if _is_stray(compiled.parsed, {}):
        raise BadUserInput(
            f"{_cut(expression)} uses & elsewhere than in {', '.join(_BY_EXPRESSION)}."
        )
    if copies > MAX_COPIES:
        raise BadUserInput(
            f"{_cut(expression)} repeats values {copies} times; it takes at most {MAX_COPIES}."
        )
    if not all(map(_is_json, _literals(compiled.parsed))):
        raise BadUserInput(f"{_cut(expression)} holds a number that JSON cannot hold.")
    return compiled


def _copies(node: Node) -> int:
    """An upper bound of how often one value occurs in the result.

    It is the product of the number of entries of each multi-select and `merge`.
    """
    children = [each for each in node["children"] if isinstance(each, dict)]
    within = prod(_copies(each) for each in children)
    repeats = node["type"].startswith("multi_select") or _calls(node, "merge")
    return within * max(len(children), 1) if repeats else within


def _calls(node: Node, *names: str) -> bool:
    return node.get("type") == "function_expression" and node["value"] in names


def _is_stray(node: Node, parent: Node) -> bool:
    """Whether `&expression` is used outside the functions that take one: it is not a JSON value."""
    if node["type"] == "expref" and not _calls(parent, *_BY_EXPRESSION):
        return True
    return any(_is_stray(each, node) for each in node["children"] if isinstance(each, dict))


def _functions(node: Node) -> set[str]:
    """The names of the functions that the expression calls."""
    own = {node["value"]} if node["type"] == "function_expression" else set()
    return own.union(*(_functions(each) for each in node["children"] if isinstance(each, dict)))


def _literals(node: Node) -> Iterator[object]:
    if node["type"] == "literal":
        yield node["value"]
    for each in node["children"]:
        if isinstance(each, dict):
            yield from _literals(each)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # `NaN`, and 1e400, which is compared as infinity
        return False
    return True


def _reason(error: Exception) -> str:
    """The library's error message, without its preamble and the picture of the position."""
    return _cut(_PREAMBLE.sub("", str(error).partition("\n")[0]).rstrip(".:"))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
