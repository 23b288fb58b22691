from typing import Any

import pytest
from graphql import GraphQLError, parse_value

from ai_coordination_engine.api.scalars import DateTime, JSONCamelCase


def literal(source: str, **variables: Any) -> Any:
    return JSONCamelCase.parse_literal(parse_value(source), variables)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0", 0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.0", 1.0),
        ("-2.5e-3", -0.0025),
        ("1E5", 100000.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ('""', ""),
        (r'"\u00e9\n\ud83d\ude00 \u{1F600}"', "é\n😀 \N{GRINNING FACE}"),
        ('"""\n  block\n    text\n"""', "block\n  text"),
        ("AN_ENUM", "AN_ENUM"),
        ("[]", []),
        ("{}", {}),
        ("[1, [null, {}], {a: [1.5]}]", [1, [None, {}], {"a": [1.5]}]),
        (
            '{API_KEY: "k", agentUuid: "u", agent_uuid2: {_x: 1}}',
            {"API_KEY": "k", "agentUuid": "u", "agent_uuid2": {"_x": 1}},
        ),
    ],
)
def test_an_inline_literal_is_its_json(text: str, value: Any) -> None:
    found = literal(text)
    assert found == value
    assert isinstance(found, type(value))
    assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize("text", ["1E5", "-2.5e-3", "19.90", "0.10000000000000000555"])
def test_an_inline_number_keeps_its_digits(text: str) -> None:
    assert str(literal(text)) == text


def test_variables_inside_a_literal_take_their_values_and_absent_ones_are_null() -> None:
    given: dict[str, Any] = {"whole": {"valid-1": [1]}, "text": "t"}
    assert literal("{a: $whole, b: [$text, $absent], c: {d: $text}}", **given) == {
        "a": {"valid-1": [1]},
        "b": ["t", None],
        "c": {"d": "t"},
    }


def test_a_literal_alone_may_be_a_variable() -> None:
    assert literal("$it", it=[1]) == [1]


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\udc00\ud800"', r'"\u{110000}"'])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(GraphQLError, match="Invalid Unicode escape"):
        literal(text)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", [], {"valid-1": {"API_KEY": [None]}}])
def test_the_value_of_a_variable_and_of_an_answer_is_left_alone(value: Any) -> None:
    assert JSONCamelCase.parse_value(value) is value
    assert JSONCamelCase.serialize(value) is value


@pytest.mark.parametrize(
    "given",
    [
        "tomorrow",
        "",
        "2026-13-01T00:00Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T24:00",
        5,
        "x" * 10_000,
    ],
)
def test_what_is_no_moment_is_refused_with_how_to_write_one(given: object) -> None:
    with pytest.raises(GraphQLError) as refused:
        DateTime.parse_value(given)
    message = refused.value.message
    assert message.endswith(
        "is no date and time in ISO 8601; write for example 2026-12-24T18:00:00Z"
    )
    assert len(message) < 150


def test_midnight_may_end_a_day() -> None:
    moment = DateTime.parse_value("2026-12-24T24:00:00Z")
    assert moment.isoformat() == "2026-12-25T00:00:00+00:00"
