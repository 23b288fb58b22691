import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain import conditions
from ai_coordination_engine.errors import BadUserInput

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@pytest.mark.parametrize(
    ("expression", "value", "truth"),
    [
        ("a", {"a": True}, True),
        ("a", {"a": 0}, True),  # a number is no false in JMESPath
        ("a", {"a": "0"}, True),
        ("a", {"a": None}, False),
        ("a", {"a": False}, False),
        ("a", {"a": ""}, False),
        ("a", {"a": []}, False),
        ("a", {"a": {}}, False),
        ("a", {}, False),
        ("a", None, False),
        ("a", "text", False),
        ("a.b", [1], False),
        ("score > `5`", {"score": 6}, True),
        ("score > `5`", {"score": None}, False),
        ("verdict == 'ship' && !blocked", {"verdict": "ship"}, True),
        ("length(items) == `2`", {"items": [1, 2]}, True),
        ("@", 0, True),
        ('"valid-1"', {"valid-1": 1}, True),
    ],
)
def test_a_condition_is_true_as_jmespath_sees_it(expression: str, value: Any, truth: bool) -> None:
    assert conditions.holds(expression, value) is truth


def test_select_finds_values() -> None:
    assert conditions.select("items[?n > `1`].n", {"items": [{"n": 1}, {"n": 2}, {"n": 3}]}) == [2, 3]
    assert conditions.select("join(', ', @)", ["a", "b"]) == "a, b"
    assert conditions.select("nothing", {}) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", r"^ is no JMESPath expression: cannot be empty\.$"),
        ("a[", r"^a\[ is no JMESPath expression: Incomplete expression\.$"),
        ("'", r"is no JMESPath expression: Unclosed ' delimiter\.$"),
        ("a ==", "is no JMESPath expression: "),
        ("a b", "is no JMESPath expression: "),
        ("shout(a)", r"^shout\(a\) calls shout, which is no function of JMESPath\.$"),
        ("[?eval(a)]", "calls eval, which is no function"),
        ("x" * 1001, r"^A JMESPath expression takes at most 1000 characters; this has 1001\.$"),
        ("(" * 500, r"… is nested too deeply\.$"),
        ("[" * 1000, r"… is nested too deeply\.$"),
        ("!" * 999 + "a", r"… is nested too deeply\.$"),
        (" | ".join(["[@, @]"] * 7), r"repeats values 128 times; it takes at most 64\.$"),
        ("[@,@][] | [@,@][] | {a: [@,@], b: [@,@,@,@,@]} | [@,@,@,@]", "repeats values"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_with_a_reason(expression: str, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        conditions.check(expression)
    with pytest.raises(BadUserInput):
        conditions.holds(expression, {})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("length(a)", {"a": 1}),
        ("length(@)", None),
        ("sum(a)", {"a": ["x"]}),
        ("sort(@)", [1, "a"]),
        ("sort_by(@, &a)", [{"a": 1}, {"a": "b"}]),
        ("max_by(@, &a)", [{"a": 1}, {"a": None}]),
        ("abs('a')", {}),
        ("length()", []),
        ("@[::0]", [1]),
        ("contains(a, 'b')", {"a": 1}),
        ("a > `5`", {"a": "6"}),
    ],
)
def test_an_expression_that_does_not_fit_the_value_says_so(expression: str, value: Any) -> None:
    conditions.check(expression)
    with pytest.raises(BadUserInput, match="does not apply to the value: "):
        conditions.holds(expression, value)


def test_a_value_that_is_nested_deeply_does_not_end_the_process() -> None:
    value: Any = 1
    for _ in range(20_000):
        value = [value]
    with pytest.raises(BadUserInput, match="nested too deeply"):
        conditions.select("to_string(@)", value)


def test_joining_cannot_fill_the_memory() -> None:
    with pytest.raises(BadUserInput, match="the joined text is too long"):
        conditions.select("join(a, b)", {"a": "x" * 1_000_000, "b": ["y"] * 1_000})


@given(st.text(max_size=40), JSON)
def test_no_expression_and_no_value_raises_anything_else(expression: str, value: Any) -> None:
    if "`" in expression:
        return  # the library warns of an old form of literals there
    try:
        found = conditions.select(expression, value)
    except BadUserInput as error:
        assert len(error.message) < 600
    else:
        json.dumps(found, allow_nan=False)
