"""Answers that must be JSON by one of the engine's own schemas: the instructions for the agent, and
how its answer is read. Pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import documents, json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.json_text import NotJSON
from ai_coordination_engine.domain.shapes import Agent

# Cold start: few agents answer by a schema, so what reads it is imported when one does.
# ruff: noqa: PLC0415

TRIES = 2
"""How often an agent is asked by default: once, and once more with the error."""
_SHOWN = 10  # problems that a message names
_DESCRIPTION = 500  # characters of a description
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


class Unfit(ValueError):
    """An answer does not have the required form. The message, for the agent and for people, lists
    what is wrong; `problems` are its parts, each after the JSON Pointer of its place.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - _SHOWN
        shown = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        super().__init__(f"The answer cannot be used: {'; '.join(shown)}.")


@dataclass(frozen=True)
class Structured:
    """What an agent has to answer.

    `schema` is a JSON Schema (draft 2020-12) with a `title`, in which every object names all of its
    properties as `required` and allows no others, as "Structured outputs" of the OpenAI API asks.
    `orders` are added to the agent's own instructions. `check` returns what is wrong with a value
    that conforms, each problem after a JSON Pointer. The agent is asked `tries` times at most. An
    answer has at most `most` characters.
    """

    schema: Mapping[str, Any]
    orders: str = ""
    check: Callable[[Any], Sequence[str]] = lambda value: ()
    tries: int = TRIES
    most: int | None = None

    def instructions(self) -> str:
        """The orders, and the schema for agents that receive it in no other way."""
        shape = (
            "Answer with one JSON object and nothing else. It must conform to this JSON Schema:\n"
            f"{json_text.dumps(self.schema, compact=True)}"
        )
        return "\n\n".join(filter(None, (self.orders, shape)))

    def read(self, text: str, budget: Budget) -> Any:
        """The value of an answer; a fence, prose or thoughts around the JSON do not count, as
        `documents.read` says. Raises `Unfit`.
        """
        from ai_coordination_engine.domain import json_schema

        def problems(value: Any) -> Sequence[str]:
            return json_schema.violations(self.schema, value, budget) or self.check(value)

        return self._read(text, budget, problems)

    def _read(self, text: str, budget: Budget, problems: Callable[[Any], Sequence[str]]) -> Any:
        if self.most is not None and len(text) > self.most:
            raise Unfit([f"at /, it has {len(text)} characters; it may have {self.most}"])
        try:
            value = documents.read(text, budget)
            found = list(islice(_invalid(value), _SHOWN)) or problems(value)
        except NotJSON as error:
            raise Unfit([f"it {error}; it begins: {documents.quoted(text)}"]) from error
        except Spent as error:
            raise Unfit(["it takes too long to read"]) from error
        if found:
            raise Unfit(found)
        return value


def _invalid(value: object) -> Iterator[str]:
    """The texts and keys that JSON can escape and nothing can store: halves of surrogate pairs."""
    left = [("", value)]
    while left:
        place, each = left.pop()
        texts = [each] if isinstance(each, str) else [name for name, _ in _parts(each)]
        if any(map(_HALF_OF_A_PAIR.search, texts)):
            yield f"at {place or '/'}, holds an invalid character: half of a surrogate pair"
        left += [(f"{place}/{_escaped(name)}", part) for name, part in _parts(each)][::-1]


def _parts(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return (
        [(str(index), each) for index, each in enumerate(value)] if isinstance(value, list) else []
    )


def _escaped(name: str) -> str:
    return _HALF_OF_A_PAIR.sub("?", name[:100]).replace("~", "~0").replace("/", "~1")


def described(agent: Agent) -> str:
    """The name and description of an agent, for the instructions of another."""
    words = [each for each in (agent.agent_name, agent.agent_description) if each]
    return in_one_line(". ".join(words)) or "no description"


def in_one_line(text: str) -> str:
    """The beginning of a text. In a list of agents, a line of it would look like one more."""
    return " ".join(text[:_DESCRIPTION].split())


def correction(problem: str) -> str:
    """The instructions for an agent that is asked again, after those that it had."""
    return (
        f"This was asked before. {problem}\nAnswer again, with JSON that conforms to the schema"
        " and nothing else."
    )
