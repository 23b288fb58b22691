import json
from concurrent.futures import ThreadPoolExecutor
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
    assert conditions.select("merge({a: @}, {b: @})", 1) == {"a": 1, "b": 1}
    assert conditions.select("map(&a, @)", [{"a": 1}, {}]) == [1, None]
    assert conditions.select("to_string(@)", {"a": [1, "é"]}) == '{"a":[1,"\\u00e9"]}'
    assert conditions.select("reverse(@) | [to_array(@[0]), @[1:]][]", [3, [2], 1]) == [1, [2], 3]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", r"^ is no JMESPath expression: cannot be empty\.$"),
        ("a[", r"^a\[ is no JMESPath expression: Incomplete expression\.$"),
        ("'", r"is no JMESPath expression: Unclosed ' delimiter\.$"),
        ("a ==", "is no JMESPath expression: "),
        ("score < 8", r"; a number takes backticks, as in score < `8`\.$"),
        ("a b", "is no JMESPath expression: "),
        ("shout(a)", r"^shout\(a\) calls shout, which is no function of JMESPath\.$"),
        ("[?eval(a)]", "calls eval, which is no function"),
        ("x" * 1001, r"^A JMESPath expression takes at most 1000 characters; this has 1001\.$"),
        ("(" * 500, r"… is nested too deeply\.$"),
        ("[" * 1000, r"… is nested too deeply\.$"),
        ("!" * 999 + "a", r"… is nested too deeply\.$"),
        (" | ".join(["[@, @]"] * 7), r"repeats values 128 times; it takes at most 64\.$"),
        (" | ".join(["merge({a: @}, {b: @})"] * 7), r"repeats values 128 times; it takes at most 64\.$"),
        ("[&a]", r"^\[&a\] uses & elsewhere than in map, max_by, min_by, sort_by\.$"),
        ("&a", "uses & elsewhere"),
        ("{map: &a}", "uses & elsewhere"),
        ("to_string(&a)", "uses & elsewhere"),
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


def nested(function: str, levels: int) -> str:
    return "".join([f"{function}(["] * levels) + "@" + "".join(["])"] * levels)


def test_what_an_expression_writes_is_bounded() -> None:
    assert len(conditions.select(nested("to_string", 20), "a")) == 2_097_191
    for levels in (22, 60):
        with pytest.raises(BadUserInput, match=r"takes too long, or makes too much, of so large a value\.$"):
            conditions.select(nested("to_string", levels), "a")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("join(a, b)", {"a": "x" * 1_000_000, "b": ["y"] * 1_000}),
        ("join('', b)", {"b": ["y" * 100_000] * 101}),
        ("[*].join(s, t)", [{"s": "x" * 2_000, "t": [""] * 1_000}] * 100),
        ("[*].to_string(@)", [["x" * 100_000]] * 101),
        ("to_string([@, @, @, @])", ["x" * 2_600_000]),
        ("[*].reverse(@)", ["x" * 100_000] * 101),
        ("[*].[@, @]", [1] * 800_000),
        ("[*].{a: @}", [1] * 400_000),
        ("[@, @, @, @, @, @, @, @][]", [1] * 1_300_000),
        ("[:] | [:] | [:] | [:]", [1] * 2_600_000),
        ("[sort(@), sort(@), sort(@), sort(@)]", [1] * 2_600_000),
        ("[keys(@), values(@)]", {str(number): 1 for number in range(5_100_000)}),
        ("merge(@, @)", {str(number): 1 for number in range(650_000)}),
        ("map(&[@, @], @)", [1] * 800_000),
    ],
)
def test_no_way_to_make_much_of_a_value_is_unbounded(expression: str, value: Any) -> None:
    with pytest.raises(BadUserInput, match=r"takes too long, or makes too much, of so large a value\.$"):
        conditions.select(expression, value)


@pytest.mark.parametrize(
    ("expression", "work"),
    [
        ("@[?@ > `5`]", 1 + 1 + 100 * 3 + 10),  # projection, its base, three steps an element, an empty list
        ("sort_by(@, &abs(@))", 1 + 2 + 2 + 100 * 2 + 10 + 100),
        ("[*].{a: @}", 1 + 1 + 100 * (3 + 20 + 8) + 10 + 100),
    ],
)
def test_the_steps_of_a_search_are_bounded(expression: str, work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "MAX_WORK", work)
    conditions.select(expression, [1] * 100)
    monkeypatch.setattr(conditions, "MAX_WORK", work - 1)
    with pytest.raises(BadUserInput, match="takes too long"):
        conditions.select(expression, [1] * 100)


def test_every_search_has_the_whole_budget() -> None:
    text = "x" * (conditions.MAX_WORK - 6)  # two of its characters are quotes, four are the steps and what starts them
    for _ in range(2):
        conditions.select("reverse(@)", text)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: conditions.select("join('', [@])", text[:-20]), range(4)))
    assert {len(each) for each in found} == {conditions.MAX_WORK - 26}


def test_a_large_list_can_be_searched() -> None:
    rows = [{"id": number, "score": number % 10} for number in range(400_000)]
    assert len(conditions.select("[?score > `5` && id > `10`].id", rows)) == 160_000 - 4


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
