"""Answers of people: an action may declare a JSON Schema for them. Pure."""

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import MAX_WORK, Budget
from ai_coordination_engine.domain.json_text import NotJSON
from ai_coordination_engine.errors import BadUserInput

# Cold start: few tasks declare a schema, so what reads it is imported when one is there.
# ruff: noqa: PLC0415

MAX_ANSWER = 256 * 1024
MAX_ANSWER_WORK = MAX_WORK // 2


def check_schema(schema: object, budget: Budget) -> None:
    """Raises `BadUserInput` for what is no JSON Schema, or one that is too large or uses what is
    not allowed, and `TooCostly` when the budget is used up.
    """
    from ai_coordination_engine.domain import json_schema

    json_schema.check(schema, budget)


def check_answer(schema: object, text: str, budget: Budget | None = None) -> None:
    """Raises `BadUserInput` when a person's answer does not conform. Without a budget it has
    `MAX_ANSWER_WORK`.

    An answer that is JSON counts as the JSON value, or as the text that it is, whichever conforms;
    any other as a text.
    """
    from ai_coordination_engine.domain import json_schema

    if len(text) > MAX_ANSWER:
        raise BadUserInput(
            f"the answer has {len(text)} characters; with an answerSchema it takes {MAX_ANSWER}."
        )
    problems = json_schema.problems(schema, _readings(text), budget or Budget(MAX_ANSWER_WORK))
    if all(problems):
        raise BadUserInput(f"the answer does not conform to the answerSchema: {problems[0]}.")


def _readings(text: str) -> list[object]:
    try:
        value: object = json_text.loads(text)
    except NotJSON:
        return [text]
    return [value] if value == text else [value, text]
