"""Expressions that compare with a field where a literal was meant."""

import pytest

from ai_coordination_engine.domain.literals import (
    bare_literals,
    literal_hint,
    suspicious_conditions,
)
from ai_coordination_engine.domain.shapes import parse_agent_actions


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (
            "approved == true",
            ["compares with a field that is called true; the literal takes backticks: `true`"],
        ),
        (
            "true == approved",
            ["compares with a field that is called true; the literal takes backticks: `true`"],
        ),
        (
            "a != null && b == False",
            ["called null; the literal takes backticks: `null`", "backticks: `false`"],
        ),
        (
            "a == TRUE || b == NULL",
            ["called TRUE; the literal takes backticks: `true`", "backticks: `null`"],
        ),
        ("rows[?ok == false].x", ["called false; the literal takes backticks: `false`"]),
        (
            'state == "done"',
            ["compares with a field that is called done; a text takes single quotes: 'done'"],
        ),
    ],
)
def test_what_looks_like_a_literal_and_is_a_field_is_told(
    expression: str, words: list[str]
) -> None:
    found = list(bare_literals(expression))
    assert len(found) == len(words)
    assert all(each.endswith(end) for each, end in zip(found, words, strict=True))


@pytest.mark.parametrize(
    "expression",
    [
        "approved == `true`",
        "x == 'yes'",
        "score < `8`",
        "a == b",
        "true",
        "a.true == `1`",
        "true.x == `1`",
        "a == true.x",
        'a == "b c".d',
        '"b c" | x',
        "a == length(b)",
        "score < 8",  # does not parse
        "",
    ],
)
def test_other_expressions_are_left_alone(expression: str) -> None:
    assert list(bare_literals(expression)) == []


@pytest.mark.parametrize(
    ("expression", "hint"), [("score < 8", True), ("a == -1.5", True), ("a.b[", False)]
)
def test_a_bare_number_gets_a_hint(expression: str, hint: bool) -> None:
    assert bool(literal_hint(expression)) is hint


def test_the_expressions_of_an_action_are_told_with_their_place() -> None:
    action = {
        "predecessors": ["b"],
        "conditions": {"b": "ok == true"},
        "map": {"over": "b", "items": "[?x == null]"},
    }
    assert list(suspicious_conditions(parse_agent_actions({"a": action}))) == [
        (
            "agentActions.a.conditions.b: ok == true compares with a field that is called true; the"
            " literal takes backticks: `true`."
        ),
        (
            "agentActions.a.map.items: [?x == null] compares with a field that is called null; the"
            " literal takes backticks: `null`."
        ),
    ]
