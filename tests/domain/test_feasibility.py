from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain import conditions, feasibility
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.known import ANYTHING, Known, of_kinds, of_schema
from ai_coordination_engine.domain.search import kind_of
from ai_coordination_engine.errors import BadUserInput

LIST, TRUTH = of_kinds("array"), of_kinds("boolean")
REVIEW = of_schema(
    {
        "type": "object",
        "properties": {
            "score": {"type": "integer"},
            "verdict": {"enum": ["ship", "wait"]},
            "author": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        "required": ["verdict"],
        "additionalProperties": False,
    }
)


def can_hold(*expressions: str, known: Known = ANYTHING, budget: Budget | None = None) -> bool:
    return feasibility.can_hold(expressions, known, budget or Budget())


@pytest.mark.parametrize(
    "expression",
    [
        "`false`",
        "`null`",
        "''",
        "`[]`",
        "`1` == `2`",
        "length('ab') > `2`",
        "!`true`",
        "score > `8` && score < `5`",
        "`5` > score && `8` < score",
        "score >= `5` && score < `5`",
        "score > `0.1` && score < `0.10000000000000001`",  # the same double
        "score == `7` && score != `7`",
        "score == `7` && score == '7'",
        "verdict == 'ship' && verdict == 'wait'",
        "a.b == `1` && a.b == `2`",
        "items[0].x == `1` && items[0].x == `2`",
        "name > 'a' && name < 'a'",
        "done && !done",
        "!(a == 'x' || a != 'x')",
        "(a || b) && !a && !b",
        "a == `1` && (b || c) && a == `2`",
        "a != a",
        "a < a",
        "score > `true`",  # what has no order
        "score < `null`",
        "score > 'x' && score > `1`",
        "!score && score == `0`",  # no number is false
        "length(@) < `0`",
        "length(@) > `2` && length(@) < `3`",
        "length(items) == '3'",
        "type(@) == 'integer'",
        "contains(@, 'x') == 'true'",
        "items[?score > `8` && score < `5`]",
        "items[].score > `8`",  # a list has no order
        "items[*].name == 'x'",
        "people.*.name == 'x'",
        "a | `false`",
        "a | @ == `1` && @ == `2`",
        "(a | b == `1`) && (a | b == `2`)",
    ],
)
def test_a_condition_that_contradicts_itself_can_never_hold(expression: str) -> None:
    assert not can_hold(expression)


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ("score > `8`", LIST),
        ("score", LIST),
        ("a.b.c", LIST),
        ("keys(@)", LIST),
        ("starts_with(@, 'x')", LIST),
        ("type(@) == 'object'", LIST),
        ("length(@.score) > `1`", LIST),
        ("approved", TRUTH),
        ("@ == 'yes'", TRUTH),
        ("[0]", TRUTH),
        ("[?x]", TRUTH),
        ("@.*.x", TRUTH),
        ("verdict == 'shipped'", REVIEW),
        ("verdit == 'ship'", REVIEW),
        ("score > 'high'", REVIEW),
        ("score.value", REVIEW),
        ("author.name == `5`", REVIEW),
        ("author | name == `5`", REVIEW),
    ],
)
def test_a_condition_that_asks_what_the_output_is_not_can_never_hold(
    expression: str, known: Known
) -> None:
    assert not can_hold(expression, known=known)
    assert can_hold(expression)


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ("score > `8`", ANYTHING),
        ("score > `8` && score < `9`", ANYTHING),
        ("score >= `5` && score <= `5`", ANYTHING),
        ("name > 'a' && name < 'b'", ANYTHING),
        ("verdict == 'ship' || verdict == 'wait'", ANYTHING),
        ("a == b && a != `1`", ANYTHING),
        ("a < b && b < a", ANYTHING),  # compares what nobody knows
        ("a == `0`", ANYTHING),
        ("a == `null` && !a", ANYTHING),
        ("a == a", ANYTHING),
        ("a <= a", ANYTHING),
        ("!(score > `8`) && !(score <= `8`)", ANYTHING),  # null
        ("items[?score > `8`]", ANYTHING),
        ("length(@) > `2` && length(@) < `4`", ANYTHING),
        ("length(@) > `3`", LIST),
        ("[0].score > `8`", LIST),
        ("[?score > `8`]", LIST),
        ("!score", LIST),
        ("@ == `false`", TRUTH),
        ("!@", TRUTH),
        ("score > `3`", REVIEW),
        ("!score", REVIEW),
        ("verdict == 'ship' && !author", REVIEW),
        ("author.name == 'Ada'", REVIEW),
        ("a | b", ANYTHING),
        ("'x'", ANYTHING),
        ("length('ab') == `2`", ANYTHING),
    ],
)
def test_a_condition_that_some_output_satisfies_can_hold(expression: str, known: Known) -> None:
    assert can_hold(expression, known=known)


def test_conditions_on_one_output_are_looked_at_together() -> None:
    assert can_hold("score > `8`", "score < `9`")
    assert not can_hold("score > `8`", "score <= `8`")


def test_what_takes_too_long_to_find_out_counts_as_possible() -> None:
    never = "a == `1` && a == `2`"
    assert not can_hold(never)
    assert can_hold(never, budget=Budget(500))
    many = " && ".join(f"(a{each} || b{each})" for each in range(9))
    assert can_hold(f"({many}) && {never}")


VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, -1, 1.5, "", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=6,
)
TERMS = st.sampled_from(
    ["a", "b", "@", "a.b", "[0]", "a[0]", "length(@)", "type(a)", "a[]", "*", "[?a]", "keys(@)"]
)
LITERALS = st.sampled_from(["`1`", "`0`", "`1.5`", "'a'", "''", "`null`", "`true`", "`[]`", "`-1`"])
OPERATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
SIDES = TERMS | LITERALS
COMPARISONS = st.builds(lambda *parts: " ".join(parts), SIDES, OPERATORS, SIDES)
CONDITIONS = st.recursive(
    COMPARISONS | TERMS,
    lambda inner: (
        st.builds("({} && {})".format, inner, inner)
        | st.builds("({} || {})".format, inner, inner)
        | st.builds("!({})".format, inner)
        | st.builds("({} | {})".format, inner, inner)
        | st.builds("[?{}]".format, inner)
    ),
    max_leaves=6,
)


@given(CONDITIONS, VALUES)
def test_what_holds_of_a_value_is_never_called_impossible(expression: str, value: Any) -> None:
    try:
        holds = conditions.holds(expression, value, Budget())
    except BadUserInput:
        holds = False
    if holds:
        kind = of_kinds(kind_of(value))
        assert can_hold(expression)
        assert can_hold(expression, known=kind)
        assert can_hold(expression, known=of_schema({"const": value}))
