"""JMESPath over an agent's output: the conditions of edges, the elements of a map. Pure.

The specification is jmespath.org/specification.html. An expression comes from a tenant and runs in
a process that serves others too, so that its length, how long it runs, and what it may make of a
value, are bounded.
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
"""What a character of an expression costs."""
_BY_EXPRESSION = ("map", "max_by", "min_by", "sort_by")  # the functions that take an expression
_PREAMBLE = re.compile("^(invalid|bad) jmespath expression: ", re.IGNORECASE)


class _Parser(Parser):  # type: ignore[misc]  # the library is untyped
    """Keeps nothing: the library would keep 512 parsed expressions of any size. Literals keep their
    digits.
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
    """Raises `BadUserInput` for an expression that does not parse, is too long or repeats values
    too often.
    """
    with _priced(
        expression, budget, "comes after more expressions and schemas than can be checked at once"
    ):
        _compiled(expression)


def value_for(expression: str, output: str, budget: Budget) -> object:
    """The JSON value of the output that the expression is asked of; raises `json_text.NotJSON`, and
    `TooCostly`.
    """
    try:
        return documents.read(output, budget)
    except Spent as error:
        raise TooCostly(
            f"{_cut(expression)} needs JSON, and there is more of it to read than one step may."
        ) from error


def holds(expression: str, value: object, budget: Budget) -> bool:
    """Whether the expression is true of a JSON value as JMESPath sees it: null, false, "", [] and
    {} are not.

    Raises like `select`.
    """
    found = select(expression, value, budget)
    return not (found is None or found is False or found in ("", [], {}))


def select(expression: str, value: object, budget: Budget) -> object:
    """What the expression finds in a JSON value, None for nothing.

    Raises `BadUserInput` when it does not apply (a function is given what it does not take), and
    `TooCostly` when the budget is used up.
    """
    with _priced(expression, budget, "takes too long, or makes too much, of so large a value"):
        compiled = _compiled(expression)
        try:
            return Interpreter(budget).visit(compiled.parsed, value)
        except RecursionError as error:
            raise BadUserInput(
                f"{_cut(expression)} meets a value that is nested too deeply."
            ) from error
        # all of the library's
        except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError) as error:
            raise BadUserInput(
                f"{_cut(expression)} does not apply to the value: {_cut(str(error))}."
            ) from error


@contextmanager
def _priced(expression: str, budget: Budget, too_much: str) -> Iterator[None]:
    """Pays for reading the expression, whether or not it was read before; says so when the budget
    is used up.
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
            f"{_cut(expression)} is no JMESPath expression:"
            f" {_reason(error)}{literal_hint(expression)}."
        ) from error
    if unknown := _functions(compiled.parsed) - set(Functions.FUNCTION_TABLE):
        raise BadUserInput(
            f"{_cut(expression)} calls {_cut(min(unknown))}, which is no function of JMESPath."
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
    """At most how many times one value can stand in the result: what multi-selects and merges
    write, multiplied.
    """
    children = [each for each in node["children"] if isinstance(each, dict)]
    within = prod(_copies(each) for each in children)
    repeats = node["type"].startswith("multi_select") or _calls(node, "merge")
    return within * max(len(children), 1) if repeats else within


def _calls(node: Node, *names: str) -> bool:
    return node.get("type") == "function_expression" and node["value"] in names


def _is_stray(node: Node, parent: Node) -> bool:
    """Whether an expression stands where it would be a value, which JSON does not know."""
    if node["type"] == "expref" and not _calls(parent, *_BY_EXPRESSION):
        return True
    return any(_is_stray(each, node) for each in node["children"] if isinstance(each, dict))


def _functions(node: Node) -> set[str]:
    """The names of the functions that are called."""
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
    """The library's message without its preamble and the drawing of where it stopped."""
    return _cut(_PREAMBLE.sub("", str(error).partition("\n")[0]).rstrip(".:"))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
