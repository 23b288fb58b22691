"""Answers that must be JSON by a schema of the engine's own: what an agent is told of it, and how
its answer is read. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_coordination_engine.domain import documents, json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.json_text import NotJSON

# Cold start: few agents answer by a schema, so what reads it is imported when one does.
# ruff: noqa: PLC0415

TRIES = 2
"""How often an agent is asked, unless it is said: once, and once more with what was wrong."""
_SHOWN = 10  # problems that a message names


class Unfit(ValueError):
    """An answer is not what was asked for. The message tells the agent, and people, exactly what is
    wrong; `problems` are its parts, each after the JSON Pointer of its place.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - _SHOWN
        told = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        super().__init__(f"The answer cannot be used: {'; '.join(told)}.")


@dataclass(frozen=True)
class Structured:
    """What an agent has to answer.

    `schema` is a JSON Schema (draft 2020-12) with a `title`, in which every object names all of its
    properties as `required` and allows no others, as "Structured outputs" of the OpenAI API asks.
    `orders` are told beside the agent's own instructions. `check` names what is wrong with a value
    that conforms, each problem after a JSON Pointer. The agent is asked `tries` times at most.
    """

    schema: Mapping[str, Any]
    orders: str = ""
    check: Callable[[Any], Sequence[str]] = lambda value: ()
    tries: int = TRIES

    def instructions(self) -> str:
        """What the agent is told: its orders, and the schema for those who know no other way."""
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

        try:
            value = documents.read(text, budget)
            violations = json_schema.violations(self.schema, value, budget)
        except NotJSON as error:
            raise Unfit([f"it {error}; it begins: {documents.quoted(text)}"]) from error
        except Spent as error:
            raise Unfit(["it takes too long to read"]) from error
        if problems := violations or self.check(value):
            raise Unfit(problems)
        return value


def correction(problem: str) -> str:
    """What an agent is told when it is asked again, after what it was asked before."""
    return (
        f"This was asked before. {problem}\nAnswer again, with JSON that conforms to the schema"
        " and nothing else."
    )
