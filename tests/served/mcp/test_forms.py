"""Questions as forms of a client, and forms as answers."""

import json
from typing import Any

import pytest

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.served.mcp.forms import answer_in, form_of
from ai_coordination_engine.served.sessions import Question

FLAT = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1, "multipleOf": 2}, "s": {"enum": ["a"]}},
    "required": ["n", "gone"],
}


def question(schema: Any) -> Question:
    return Question("u", "u.1", "critic", "Which?", "ann", schema)


def fields(schema: Any) -> Any:
    return form_of(question(schema))["requestedSchema"]["properties"]


def test_a_question_names_who_asks_whom() -> None:
    assert form_of(question(None)) == {
        "mode": "form",
        "message": "critic asks ann:\n\nWhich?",
        "requestedSchema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
        },
    }


def test_a_flat_object_is_the_form_itself() -> None:
    form = form_of(question(FLAT))["requestedSchema"]
    assert form["properties"] == {
        "n": {"type": "integer", "minimum": 1},
        "s": {"type": "string", "enum": ["a"]},
    }
    assert form["required"] == ["n"]
    given = answer_in(question(FLAT), {"action": "accept", "content": {"n": 2, "s": "a"}})
    assert json.loads(given or "") == {"n": 2, "s": "a"}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "boolean"}, {"type": "boolean"}),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "string", "format": "regex"}, {"type": "string"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    ],
)
def test_a_simple_value_is_the_one_field(schema: Any, field: Any) -> None:
    assert fields(schema) == {"answer": field}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "object"}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"anyOf": [{"type": "string"}]},
        {"enum": [1, "a"]},
        {"type": "object"},
    ],
)
def test_any_other_value_is_asked_for_as_json(schema: Any) -> None:
    (field,) = fields(schema).values()
    assert field["type"] == "string"
    assert field["description"].startswith("JSON that conforms to ")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"action": "accept", "content": {"answer": "yes"}}, "yes"),
        ({"action": "accept", "content": {"answer": True}}, "true"),
        ({"action": "accept", "content": {"other": 3}}, "3"),
        ({"action": "decline"}, None),
        ({"action": "cancel", "content": {"answer": "yes"}}, None),
        ({}, None),
    ],
)
def test_an_accepted_form_is_an_answer(result: Any, expected: str | None) -> None:
    assert answer_in(question(None), result) == expected


@pytest.mark.parametrize("content", [None, 3, [], {}, {"a": 1, "b": 2}])
def test_a_form_that_was_not_asked_for_is_refused(content: Any) -> None:
    with pytest.raises(BadUserInput, match=r"^content must "):
        answer_in(question(None), {"action": "accept", "content": content})
