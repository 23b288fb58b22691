"""Check a person's answer against the `answerSchema` of an action. Pure."""

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import MAX_WORK, Budget
from ai_coordination_engine.domain.json_text import NotJSON
from ai_coordination_engine.errors import BadUserInput

# Cold start: few tasks have a schema, so `json_schema` is imported when the first one is checked.
# ruff: noqa: PLC0415

MAX_ANSWER = 256 * 1024
MAX_ANSWER_WORK = MAX_WORK // 2


def check_schema(schema: object, budget: Budget) -> None:
    """Raise `BadUserInput` if `schema` is not a JSON Schema, is too large or uses a forbidden
    keyword; `TooCostly` when the budget is used up.
    """
    from ai_coordination_engine.domain import json_schema

    json_schema.check(schema, budget)


def check_answer(schema: object, text: str, budget: Budget | None = None) -> None:
    """Raise `BadUserInput` if a person's answer does not conform to `schema`.

    An answer that is JSON conforms if its value does, or if its text does as a string. Any other
    answer is a string. Without a budget, the limit is `MAX_ANSWER_WORK`.
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
