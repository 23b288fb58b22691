"""JMESPath over an agent's output: the conditions of edges, the elements of a map. Pure.

The specification is jmespath.org/specification.html. An expression comes from a tenant and runs in a process that
serves others too, so that its length, how long it runs, and what it may make of a value, are bounded.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

from jmespath import Options, compile
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter

from ai_coordination_engine.domain.literals import literal_hint
from ai_coordination_engine.domain.texts import size_of
from ai_coordination_engine.errors import BadUserInput

MAX_LENGTH = 1_000
MAX_COPIES = 64
"""How many times an expression may put a value into its result: `[@, @] | [@, @]` is 4."""
MAX_WORK = 10_000_000
"""What one search may spend: a step costs 1, a text its characters, a list or an object what follows."""
_LIST, _OBJECT, _KEY = 10, 20, 8  # about what they take in memory, in units of ten bytes; an element of a list costs 1
_MAKERS = ("multi_select", "flatten", "slice", "projection", "value_projection", "filter_projection", "function")
_BY_EXPRESSION = ("map", "max_by", "min_by", "sort_by")  # the functions that take an expression
_PREAMBLE = re.compile("^(invalid|bad) jmespath expression: ", re.IGNORECASE)


class _TooMuch(Exception):
    """The budget of a search is used up."""


class _Budget:
    """What one search may still spend."""

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, cost: int) -> None:
        """Take `cost` off; raises `_TooMuch`."""
        self.left -= cost
        self.require(0)

    def require(self, cost: int) -> None:
        """Raises `_TooMuch` when less is left."""
        if cost > self.left:
            raise _TooMuch


class _Functions(Functions):  # type: ignore[misc]  # the library is untyped
    """The functions of the specification; those that make more than they are given ask first whether it fits."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget

    @signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, texts: list[str]) -> str:
        self._budget.require(len(separator) * max(len(texts) - 1, 0) + sum(map(len, texts)))
        return str(super()._func_join(separator, texts))

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: Any) -> str:
        if not isinstance(value, str):
            self._budget.require(size_of(value, self._budget.left))
        return str(super()._func_to_string(value))

    @signature({"types": ["object"], "variadic": True})  # type: ignore[untyped-decorator]
    def _func_merge(self, *objects: dict[str, Any]) -> dict[str, Any]:
        self._budget.require(_KEY * sum(map(len, objects)))
        return dict(super()._func_merge(*objects))


class _Interpreter(TreeInterpreter):  # type: ignore[misc]  # the library is untyped
    """One search: every step, and all that it makes, is paid from its budget."""

    def __init__(self) -> None:
        self._budget = _Budget()
        super().__init__(Options(custom_functions=_Functions(self._budget)))

    def visit(self, node: Mapping[str, Any], value: Any) -> Any:
        """The value of a node."""
        self._budget.spend(1)
        kind = node["type"]
        found = getattr(self, f"visit_{kind}")(node, value)
        if kind.startswith(_MAKERS):
            self._budget.spend(_cost(found))
        return found

    def visit_flatten(self, node: Mapping[str, Any], value: Any) -> Any:
        """The lists within a list, as one: of the same lists, repeated, it may be a very long one."""
        base = self.visit(node["children"][0], value)
        if isinstance(base, list):
            self._budget.require(sum(len(each) for each in base if isinstance(each, list)))
        return super().visit_flatten({"children": [{"type": "literal", "value": base}]}, value)


def _cost(made: Any) -> int:
    if isinstance(made, str):
        return len(made)
    if isinstance(made, list):
        return _LIST + len(made)
    return _OBJECT + _KEY * len(made) if isinstance(made, dict) else 0


def check(expression: str) -> None:
    """Raises `BadUserInput` for an expression that does not parse, is too long or repeats values too often."""
    _compiled(expression)


def holds(expression: str, value: Any) -> bool:
    """Whether the expression is true of a JSON value as JMESPath sees it: null, false, "", [] and {} are not.

    Raises `BadUserInput` like `select`.
    """
    found = select(expression, value)
    return not (found is None or found is False or found in ("", [], {}))


def select(expression: str, value: Any) -> Any:
    """What the expression finds in a JSON value, None for nothing.

    Raises `BadUserInput` when it does not apply: a function is given what it does not take, or it takes too much.
    """
    compiled = _compiled(expression)
    try:
        return _Interpreter().visit(compiled.parsed, value)
    except _TooMuch as error:
        raise BadUserInput(f"{_cut(expression)} takes too long, or makes too much, of so large a value.") from error
    except RecursionError as error:
        raise BadUserInput(f"{_cut(expression)} meets a value that is nested too deeply.") from error
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        ArithmeticError,
    ) as error:  # the library lets all of them out
        raise BadUserInput(f"{_cut(expression)} does not apply to the value: {_cut(str(error))}.") from error


@lru_cache(1024)
def _compiled(expression: str) -> Any:
    if len(expression) > MAX_LENGTH:
        raise BadUserInput(f"A JMESPath expression takes at most {MAX_LENGTH} characters; this has {len(expression)}.")
    try:
        compiled = compile(expression)
        copies = _copies(compiled.parsed)
    except RecursionError as error:
        raise BadUserInput(f"{_cut(expression)} is nested too deeply.") from error
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise BadUserInput(
            f"{_cut(expression)} is no JMESPath expression: {_reason(error)}{literal_hint(expression)}."
        ) from error
    if unknown := _functions(compiled.parsed) - set(_Functions.FUNCTION_TABLE):
        raise BadUserInput(f"{_cut(expression)} calls {_cut(min(unknown))}, which is no function of JMESPath.")
    if _is_stray(compiled.parsed, {}):
        raise BadUserInput(f"{_cut(expression)} uses & elsewhere than in {', '.join(_BY_EXPRESSION)}.")
    if copies > MAX_COPIES:
        raise BadUserInput(f"{_cut(expression)} repeats values {copies} times; it takes at most {MAX_COPIES}.")
    return compiled


def _copies(node: Mapping[str, Any]) -> int:
    """At most how many times one value can stand in the result: what multi-selects and merges write, multiplied."""
    children = [each for each in node["children"] if isinstance(each, dict)]
    within = prod(_copies(each) for each in children)
    repeats = node["type"].startswith("multi_select") or _calls(node, "merge")
    return within * max(len(children), 1) if repeats else within


def _calls(node: Mapping[str, Any], *names: str) -> bool:
    return node.get("type") == "function_expression" and node["value"] in names


def _is_stray(node: Mapping[str, Any], parent: Mapping[str, Any]) -> bool:
    """Whether an expression stands where it would be a value, which JSON does not know."""
    if node["type"] == "expref" and not _calls(parent, *_BY_EXPRESSION):
        return True
    return any(_is_stray(each, node) for each in node["children"] if isinstance(each, dict))


def _functions(node: Mapping[str, Any]) -> set[str]:
    """The names of the functions that are called."""
    own = {node["value"]} if node["type"] == "function_expression" else set()
    return own.union(*(_functions(each) for each in node["children"] if isinstance(each, dict)))


def _reason(error: Exception) -> str:
    """The library's message without its preamble and the drawing of where it stopped."""
    return _cut(_PREAMBLE.sub("", str(error).partition("\n")[0]).rstrip(".:"))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
