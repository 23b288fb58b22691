"""JMESPath over an agent's output: the conditions of edges, the elements of a map. Pure.

The specification is jmespath.org/specification.html. An expression comes from a tenant and runs in a process that
serves others too, so that its length, and what it may make of a value, are bounded.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

from jmespath import Options, compile
from jmespath.functions import Functions, signature

from ai_coordination_engine.errors import BadUserInput

MAX_LENGTH = 1_000
MAX_COPIES = 64
"""How many times an expression may put a value into its result: `[@, @] | [@, @]` is 4."""
MAX_JOINED = 10_000_000  # characters of separators that `join` may write


class _Functions(Functions):  # type: ignore[misc]  # the library is untyped
    """The functions of the specification, `join` bounded."""

    @signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, texts: list[str]) -> str:
        if len(separator) * len(texts) > MAX_JOINED:
            raise ValueError("the joined text is too long")
        return separator.join(texts)


_PREAMBLE = re.compile("^(invalid|bad) jmespath expression: ", re.IGNORECASE)
_OPTIONS = Options(custom_functions=_Functions())


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

    Raises `BadUserInput` when it does not apply: a function is given what it does not take.
    """
    compiled = _compiled(expression)
    try:
        return compiled.search(value, options=_OPTIONS)
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
        raise BadUserInput(f"{_cut(expression)} is no JMESPath expression: {_reason(error)}.") from error
    if unknown := _functions(compiled.parsed) - set(_Functions.FUNCTION_TABLE):
        raise BadUserInput(f"{_cut(expression)} calls {_cut(min(unknown))}, which is no function of JMESPath.")
    if copies > MAX_COPIES:
        raise BadUserInput(f"{_cut(expression)} repeats values {copies} times; it takes at most {MAX_COPIES}.")
    return compiled


def _copies(node: Mapping[str, Any]) -> int:
    """At most how many times one value can stand in the result: what multi-selects write, multiplied."""
    children = [each for each in node["children"] if isinstance(each, dict)]
    within = prod(_copies(each) for each in children)
    return within * max(len(children), 1) if node["type"].startswith("multi_select") else within


def _functions(node: Mapping[str, Any]) -> set[str]:
    """The names of the functions that are called."""
    own = {node["value"]} if node["type"] == "function_expression" else set()
    return own.union(*(_functions(each) for each in node["children"] if isinstance(each, dict)))


def _reason(error: Exception) -> str:
    """The library's message without its preamble and the drawing of where it stopped."""
    return _cut(_PREAMBLE.sub("", str(error).partition("\n")[0]).rstrip(".:"))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
