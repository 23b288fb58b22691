"""Read JMESPath literals, and warn about literals that lack their backticks. Pure.

`conditions` parses expressions with this lexer; the API adds the warnings to a task that is saved.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from jmespath import lexer
from jmespath.exceptions import JMESPathError, LexerError

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.shapes import AgentAction

_COMPARATORS = ("eq", "ne", "lt", "lte", "gt", "gte")
# a token after a name that makes the name a path or a function call
_PATH_OR_CALL = ("dot", "lbracket", "flatten", "filter", "lparen")
_LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}  # in any case
_BARE_NUMBER = re.compile(r"(?:[=!<>]=?|&&|\|\|)\s*-?\.?\d")
_DECODER = json_text.decoder(float)


class Lexer(lexer.Lexer):  # type: ignore[misc]  # the library is untyped
    """A lexer that keeps the digits of numbers in literals.

    Text between backticks that is not JSON is a string (JEP-12). The library does the same, but
    with a warning.
    """

    def _consume_literal(self) -> dict[str, object]:
        start = self._position
        text = self._consume_until("`").replace("\\`", "`")
        try:
            value = _literal(text)
        except (ValueError, RecursionError) as error:
            raise LexerError(start, self._expression[start:], f"Bad token {text}") from error
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


def _literal(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        return json.loads(f'"{text.lstrip()}"')


def literal_hint(expression: str) -> str:
    """The end of a syntax error's message: a hint if a number lacks its backticks, else empty."""
    return (
        "; a number takes backticks, as in score < `8`" if _BARE_NUMBER.search(expression) else ""
    )


def bare_literals(expression: str) -> Iterator[str]:
    """A warning for each side of a comparison that looks like a literal but names a field.

    `expression` may be any text; one with invalid tokens gives no warnings.
    """
    try:
        tokens: list[Mapping[str, object]] = list(Lexer().tokenize(expression))
    except JMESPathError:
        return
    for index, token in enumerate(tokens):
        if token["type"] in _COMPARATORS:
            if index and (index == 1 or tokens[index - 2]["type"] != "dot"):
                yield from _warnings(tokens[index - 1])
            if index + 2 < len(tokens) and tokens[index + 2]["type"] not in _PATH_OR_CALL:
                yield from _warnings(tokens[index + 1])


def _warnings(token: Mapping[str, object]) -> Iterator[str]:
    value = str(token["value"])[:100]
    literal = _LITERALS.get(value.lower())
    if token["type"] == "unquoted_identifier" and literal:
        yield (
            f"compares with a field that is called {value}; the literal takes backticks:"
            f" `{literal}`"
        )
    elif token["type"] == "quoted_identifier":
        yield f"compares with a field that is called {value}; a text takes single quotes: '{value}'"


def suspicious_conditions(actions: Mapping[str, AgentAction]) -> Iterator[str]:
    """A warning for each expression in `actions` that compares with a literal without backticks."""
    for agent_uuid, action in actions.items():
        places: Sequence[tuple[str, str | None]] = [
            *(
                (f"conditions.{name[:100]}", each)
                for name, each in (action.conditions or {}).items()
            ),
            ("map.items", action.map.items if action.map else None),
        ]
        for place, expression in places:
            for warning in dict.fromkeys(bare_literals(expression or "")):
                place_of_action = f"agentActions.{agent_uuid[:100]}.{place}"
                yield f"{place_of_action}: {(expression or '')[:200]} {warning}."
