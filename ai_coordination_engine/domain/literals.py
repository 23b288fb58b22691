"""JMESPath's literals: how they are read, and expressions that lack the backticks around them.
Pure.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from jmespath import lexer
from jmespath.exceptions import JMESPathError, LexerError

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.shapes import AgentAction

_COMPARATORS = ("eq", "ne", "lt", "lte", "gt", "gte")
# what follows a field that is looked into, or a function
_GOES_ON = ("dot", "lbracket", "flatten", "filter", "lparen")
_LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}  # in any case
_BARE_NUMBER = re.compile(r"(?:[=!<>]=?|&&|\|\|)\s*-?\.?\d")
_DECODER = json_text.decoder(float)


class Lexer(lexer.Lexer):  # type: ignore[misc]  # the library is untyped
    """Reads literals with the digits of their numbers. What is not JSON between backticks is a text
    (JEP-12), which the library accepts with a warning.
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
    """A hint behind the message of an expression that does not parse, when it compares with a bare
    number.
    """
    return (
        "; a number takes backticks, as in score < `8`" if _BARE_NUMBER.search(expression) else ""
    )


def bare_literals(expression: str) -> Iterator[str]:
    """Words on each side of a comparison that is a field, but looks like a literal. The expression
    may be any text.
    """
    try:
        tokens: list[Mapping[str, object]] = list(Lexer().tokenize(expression))
    except JMESPathError:
        return
    for index, token in enumerate(tokens):
        if token["type"] in _COMPARATORS:
            if index and (index == 1 or tokens[index - 2]["type"] != "dot"):
                yield from _words(tokens[index - 1])
            if index + 2 < len(tokens) and tokens[index + 2]["type"] not in _GOES_ON:
                yield from _words(tokens[index + 1])


def _words(token: Mapping[str, object]) -> Iterator[str]:
    value = str(token["value"])[:100]
    literal = _LITERALS.get(value.lower())
    if token["type"] == "unquoted_identifier" and literal:
        yield (
            f"compares with a field that is called {value}; the literal takes backticks:"
            f" `{literal}`"
        )
    elif token["type"] == "quoted_identifier":
        yield f"compares with a field that is called {value}; a text takes single quotes: '{value}'"


def odd_conditions(actions: Mapping[str, AgentAction]) -> Iterator[str]:
    """Words on the expressions of each action that compare with what is no literal."""
    for agent_uuid, action in actions.items():
        places: Sequence[tuple[str, str | None]] = [
            *(
                (f"conditions.{name[:100]}", each)
                for name, each in (action.conditions or {}).items()
            ),
            ("map.items", action.map.items if action.map else None),
        ]
        for place, expression in places:
            for words in dict.fromkeys(bare_literals(expression or "")):
                yield (
                    f"agentActions.{agent_uuid[:100]}.{place}: {(expression or '')[:200]} {words}."
                )
