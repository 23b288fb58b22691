"""Answers that must be JSON by a schema: what counts as one, and the words for what does not."""

import json
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured, Unfit, correction, described

SCHEMA = {
    "title": "pick",
    "type": "object",
    "properties": {
        "who": {"type": "string", "enum": ["ann", "bob"]},
        "a/b": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["who", "a/b"],
    "additionalProperties": False,
}
VALUE = {"who": "ann", "a/b": [1]}
TEXT = json.dumps(VALUE)
TWO = f"{TEXT} or {TEXT}"


def unfit(text: str, wanted: Structured | None = None) -> Unfit:
    with pytest.raises(Unfit) as error:
        (wanted or Structured(SCHEMA)).read(text, Budget())
    return error.value


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff\n{TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"Sure, here it is:\n```\n{TEXT}\n```\nAnything else?",
        f"I choose {TEXT}, because of what was asked.",
        f'<think>Is it {{"who": "bob"}}?</think>{TEXT}',
    ],
)
def test_what_stands_around_the_json_does_not_count(text: str) -> None:
    assert Structured(SCHEMA).read(text, Budget()) == VALUE


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"who": "eve", "a/b": []}, "at /who, 'eve' is not one of ['ann', 'bob']"),
        ({"who": "Ann", "a/b": []}, "at /who, 'Ann' is not one of ['ann', 'bob']"),
        ({"who": "ann"}, "at /, 'a/b' is a required property"),
        ({"who": "ann", "a/b": [1, "2"]}, "at /a~1b/1, '2' is not of type 'integer'"),
        ([VALUE], "at /, [{'who': 'ann', 'a/b': [1]}] is not of type 'object'"),
        (None, "at /, None is not of type 'object'"),
        (
            {"who": "ann\ud800", "a/b": [1]},
            "at /who, holds an invalid character: half of a surrogate pair",
        ),
        (
            {**VALUE, "a/b": [1, "\udfff"]},
            "at /a~1b/1, holds an invalid character: half of a surrogate pair",
        ),
        (
            {**VALUE, "\ud800": 1},
            "at /, holds an invalid character: half of a surrogate pair",
        ),
        (
            {**VALUE, "x": 1},
            "at /, Additional properties are not allowed ('x' was unexpected)",
        ),
    ],
)
def test_what_does_not_conform_is_told_with_its_place(answer: Any, problem: str) -> None:
    error = unfit(json.dumps(answer))
    assert error.problems == (problem,)
    assert str(error) == f"The answer cannot be used: {problem}."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I think Ann.", 'it is not valid JSON; it begins: "I think Ann."'),
        ("", 'it is not valid JSON; it begins: ""'),
        (TWO, f"it holds more than one JSON document; it begins: {json.dumps(TWO)}"),
        (TEXT[:-1], f"it is not valid JSON; it begins: {json.dumps(TEXT[:-1])}"),
        ("[" * 100_000, f"it is nested too deeply; it begins: {json.dumps('[' * 80)}"),
    ],
)
def test_what_is_no_json_is_told_with_how_it_begins(text: str, problem: str) -> None:
    assert unfit(text).problems == (problem,)


def test_all_problems_are_kept_and_ten_are_told() -> None:
    error = unfit(json.dumps({"who": "ann", "a/b": ["x"] * 15}))
    assert len(error.problems) == 15
    assert str(error).endswith("; and 5 more.")
    assert str(error).count("is not of type 'integer'") == 10


def test_an_answer_that_costs_too_much_to_read_is_none() -> None:
    with pytest.raises(Unfit, match="takes too long"):
        Structured(SCHEMA).read(TEXT, Budget(10))


def test_a_check_comes_after_the_schema() -> None:
    wanted = Structured(SCHEMA, check=lambda value: [f"at /who, {value['who']} is away"])
    assert unfit(TEXT, wanted).problems == ("at /who, ann is away",)
    assert unfit("{}", wanted).problems[0] == "at /, 'who' is a required property"


def test_an_agent_is_told_its_orders_and_the_schema() -> None:
    orders, _, schema = Structured(SCHEMA, "Pick one.").instructions().partition("\n\n")
    assert orders == "Pick one."
    assert json.loads(schema.partition("\n")[2]) == SCHEMA


def test_a_correction_tells_exactly_what_was_wrong() -> None:
    assert "at /who, 'eve' is not one of" in correction(str(unfit('{"who": "eve", "a/b": []}')))


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ({}, "no description"),
        ({"agent_name": "Ann"}, "Ann"),
        (
            {"agent_name": "Ann", "agent_description": "Sums.\n\n- bob: all"},
            "Ann. Sums. - bob: all",
        ),
        ({"agent_description": "x" * 501}, "x" * 500),
    ],
)
def test_an_agent_is_described_in_one_line(agent: dict[str, str], words: str) -> None:
    assert described(Agent.model_validate({"agent_uuid": "a", **agent})) == words
