import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.parser import Parser

from ai_coordination_engine.domain import conditions
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.json_text import dumps, loads
from ai_coordination_engine.domain.search import Interpreter
from ai_coordination_engine.errors import BadUserInput, TooCostly


def holds(expression: str, value: Any) -> bool:
    return conditions.holds(expression, value, Budget())


def select(expression: str, value: Any, budget: Budget | None = None) -> Any:
    return conditions.select(expression, value, budget or Budget())


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


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
    assert holds(expression, value) is truth


def test_select_finds_values() -> None:
    assert select("items[?n > `1`].n", {"items": [{"n": 1}, {"n": 2}, {"n": 3}]}) == [2, 3]
    assert select("join(', ', @)", ["a", "b"]) == "a, b"
    assert select("nothing", {}) is None
    assert select("merge({a: @}, {b: @})", 1) == {"a": 1, "b": 1}
    assert select("map(&a, @)", [{"a": 1}, {}]) == [1, None]
    assert select("to_string(@)", {"a": [1, "é"]}) == '{"a":[1,"\\u00e9"]}'
    assert select("reverse(@) | [to_array(@[0]), @[1:]][]", [3, [2], 1]) == [1, [2], 3]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", r"^ is not a valid JMESPath expression: cannot be empty\.$"),
        ("a[", r"^a\[ is not a valid JMESPath expression: Incomplete expression\.$"),
        ("'", r"is not a valid JMESPath expression: Unclosed ' delimiter\.$"),
        ("a ==", "is not a valid JMESPath expression: "),
        ("score < 8", r"; a number takes backticks, as in score < `8`\.$"),
        ("a b", "is not a valid JMESPath expression: "),
        ("shout(a)", r"^shout\(a\) calls shout, which is not a function of JMESPath\.$"),
        ("[?eval(a)]", "calls eval, which is not a function"),
        ("x" * 1001, r"^A JMESPath expression takes at most 1000 characters; this has 1001\.$"),
        ("(" * 500, r"… is nested too deeply\.$"),
        ("[" * 1000, r"… is nested too deeply\.$"),
        ("!" * 999 + "a", r"… is nested too deeply\.$"),
        (" | ".join(["[@, @]"] * 7), r"repeats values 128 times; it takes at most 64\.$"),
        (
            " | ".join(["merge({a: @}, {b: @})"] * 7),
            r"repeats values 128 times; it takes at most 64\.$",
        ),
        ("[&a]", r"^\[&a\] uses & elsewhere than in map, max_by, min_by, sort_by\.$"),
        ("&a", "uses & elsewhere"),
        ("{map: &a}", "uses & elsewhere"),
        ("to_string(&a)", "uses & elsewhere"),
        ("[@,@][] | [@,@][] | {a: [@,@], b: [@,@,@,@,@]} | [@,@,@,@]", "repeats values"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_with_a_reason(
    expression: str, words: str
) -> None:
    with pytest.raises(BadUserInput, match=words):
        conditions.check(expression, Budget())
    with pytest.raises(BadUserInput):
        holds(expression, {})


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
    conditions.check(expression, Budget())
    with pytest.raises(BadUserInput, match="does not apply to the value: "):
        holds(expression, value)


def test_a_value_that_is_nested_deeply_does_not_end_the_process() -> None:
    values: list[Any] = [1, 1]
    for _ in range(20_000):
        values = [[each] for each in values]
    with pytest.raises(BadUserInput, match="nested too deeply"):
        select("[0] == [1]", values)
    assert select("to_string([0])", values) == "[" * 20_000 + "1" + "]" * 20_000


def nested(function: str, levels: int) -> str:
    return "".join([f"{function}(["] * levels) + "@" + "".join(["])"] * levels)


def test_what_an_expression_writes_is_bounded() -> None:
    assert len(select(nested("to_string", 20), "a")) == 2_097_191
    for levels in (22, 60):
        with pytest.raises(
            BadUserInput, match=r"takes too long, or makes too much, of so large a value\.$"
        ):
            select(nested("to_string", levels), "a")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("join(a, b)", {"a": "x" * 100_000, "b": ["y"] * 1_000}),
        ("join('', b)", {"b": ["y" * 10_000] * 101}),
        ("[*].join(s, t)", [{"s": "x" * 2_000, "t": [""] * 1_000}] * 10),
        ("[*].to_string(@)", [["x" * 10_000]] * 101),
        ("to_string([@, @, @, @])", ["x" * 260_000]),
        ("[*].reverse(@)", ["x" * 10_000] * 101),
        ("[*].[@, @]", [1] * 80_000),
        ("[*].{a: @}", [1] * 40_000),
        ("[@, @, @, @, @, @, @, @][]", [1] * 130_000),
        ("[:] | [:] | [:] | [:]", [1] * 260_000),
        ("[sort(@), sort(@), sort(@), sort(@)]", [1] * 260_000),
        ("[keys(@), values(@)]", {str(number): 1 for number in range(510_000)}),
        ("merge(@, @)", {str(number): 1 for number in range(65_000)}),
        ("map(&[@, @], @)", [1] * 80_000),
    ],
)
def test_no_way_to_make_much_of_a_value_is_unbounded(expression: str, value: Any) -> None:
    with pytest.raises(
        BadUserInput, match=r"takes too long, or makes too much, of so large a value\.$"
    ):
        select(expression, value, Budget(2_000_000))


@pytest.mark.parametrize(
    ("expression", "work"),
    [
        # projection, its base, three steps an element, an empty list
        ("@[?@ > `5`]", 8 * (1 + 1 + 100 * 3) + 20),
        ("sort_by(@, &abs(@))", 8 * (1 + 2 + 2 + 100 * 2) + 100 + 2 * 100 * 7 // 4 + 20 + 2 * 100),
        ("[*].{a: @}", 8 * (1 + 1 + 100 * 3) + 100 * (40 + 16) + 20 + 2 * 100),
        ("contains(@, 'x')", 8 * 3 + 100 + 5 * 100),
        ("@ == @", 8 * 3 + 2 * 101),
        ("sum(@)", 8 * 2 + 100),
    ],
)
def test_the_price_of_a_search_is_known(expression: str, work: int) -> None:
    work += conditions.COMPILED * len(expression)
    budget = Budget(work)
    select(expression, [1] * 100, budget)
    assert budget.left == 0
    with pytest.raises(TooCostly, match="takes too long") as caught:
        select(expression, [1] * 100, Budget(work - 1))
    assert caught.value.message.startswith(expression)


def test_a_budget_is_shared_by_all_that_is_evaluated_with_it() -> None:
    budget = Budget(1_000_000)
    for expression in ("length(@)", "[0]", "reverse(@) | [0]"):
        select(expression, [1] * 100_000, budget)
    assert 0 < budget.left < 750_000
    with pytest.raises(TooCostly, match=r"^sort\(@\) takes too long"):
        select("sort(@)", [1] * 100_000, budget)


def test_reading_an_expression_costs_the_same_each_time() -> None:
    budget = Budget(3 * (conditions.COMPILED * 500 + 8))
    for _ in range(3):
        select("a" * 500, None, budget)
    assert budget.left == 0


TWINS = {"a": [[0] * 1_000], "b": [[0] * 1_000]}
TEXTS = ["x" * 999 + str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (" || ".join(["a != b"] * 100), TWINS),  # deep comparisons, over and over
        ("[?" + " || ".join(["@ == `1`"] * 60) + "]", [0] * 1_000),
        ("[*]" + ".a" * 400, [{}] * 1_000),
        ("*" + ".*" * 4, {str(number): {"a": {"b": {"c": 1}}} for number in range(2_000)}),
        (" | ".join(["sort(@)"] * 80), [0.5, 1] * 1_000),
        (" | ".join(["sort_by(@, &@)"] * 50), TEXTS * 3),
        (" || ".join(["contains(@, `[9]`)"] * 40), [[0]] * 1_000),
        (" || ".join(["contains(@, 'y')"] * 40), TEXTS * 10),
        (" || ".join(["contains(@, 'y')"] * 40), "x" * 100_000),
        (" | ".join(["reverse(@)"] * 70), "x" * 2_000),
        (" || ".join(["sum(@) < `0`"] * 60), [1] * 5_000),
        (" || ".join(["max(@) < `0`"] * 60), [1.5] * 5_000),
        (
            " || ".join(["starts_with(keys(@)[0], 'x')"] * 30),
            {str(number): 0 for number in range(5_000)},
        ),
        ("[*].to_string(@)", [[[]] * 30] * 1_000),
        ("map(&to_number(@), @)", ["9" * 4_000] * 50),
        ("[@,@,@,@,@,@,@,@][] | [@,@,@,@,@,@,@,@][]", [0] * 1_000),
    ],
)
def test_no_work_is_free_however_it_is_repeated(expression: str, value: Any) -> None:
    with pytest.raises(TooCostly, match="takes too long, or makes too much"):
        select(expression, value, Budget(conditions.COMPILED * len(expression) + 150_000))


def test_a_search_takes_no_more_steps_than_are_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    visit = Interpreter.visit

    def counted(self: Any, node: Any, value: Any) -> Any:
        steps.append(node["type"])
        return visit(self, node, value)

    monkeypatch.setattr(Interpreter, "visit", counted)
    with pytest.raises(TooCostly):
        select("[?a && b || c].{d: e}", [{"c": 1}] * 10_000, Budget(30 * 21 + 8_000))
    assert len(steps) < 1_002


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("price", '{"price": 19.90}', "19.90"),
        ("[*].price", '[{"price": 1e3}, {"price": -0}, {"price": 1e400}]', "[1e3, -0, 1e400]"),
        ("max(@)", "[1.10, 2.20]", "2.20"),
        ("sort(@)", "[2.0, 1.50, 1]", "[1, 1.50, 2.0]"),
        ("sort_by(@, &n)", '[{"n": 2.0}, {"n": 1.50}]', '[{"n": 1.50}, {"n": 2.0}]'),
        ("max_by(@, &n).n", '[{"n": 1.10}, {"n": 1}]', "1.10"),
        ("to_string(@)", '{"n": 1.10}', '"{\\"n\\":1.10}"'),
        ("to_string(n)", '{"n": 1.10}', '"1.10"'),
        ("to_number(@)", '"19.90"', "19.90"),
        ("to_number(@)", '"1_000"', "null"),
        ("to_number(@)", '"nan"', "null"),
        ("to_number(@)", '" 1"', "null"),
        ("to_number(@)", '"12345678901234567890.0"', "12345678901234567890.0"),
        ("type(@)", "1.10", '"number"'),
        ("abs(@)", "-1.50", "1.5"),
        ("sum(@)", "[1.10, 2.20]", "3.3000000000000003"),
        ("[?@ == `1.1`]", "[1.10, 1.1, 2]", "[1.10, 1.1]"),
        ("@ > `12345678901234567890`", "12345678901234567891", "true"),
        ("contains(@, `1.1`)", "[1.10]", "true"),
        ("[`19.90`, `1e3`, `-0`, `[1.50]`]", "{}", "[19.90, 1e3, -0, [1.50]]"),
        ("[?@ == `19.90`] || `0.10`", "[19.9, 1]", "[19.9]"),
        ("[`text`, `a \\` b`, ` lead`]", "{}", '["text", "a ` b", "lead"]'),
    ],
)
def test_numbers_keep_their_digits_and_count_by_their_value(
    expression: str, text: str, found: str
) -> None:
    assert dumps(select(expression, loads(text))) == found


@pytest.mark.parametrize(
    ("expression", "text"),
    [("sum(@)", "[1e400, 1]"), ("abs(@)", "-1e400"), ("avg(@)", "[1e400]"), ("ceil(@)", "1e400")],
)
def test_a_result_that_json_cannot_hold_does_not_apply(expression: str, text: str) -> None:
    with pytest.raises(BadUserInput, match="does not apply to the value"):
        select(expression, loads(text))


@pytest.mark.parametrize("literal", ["`NaN`", "`1e400`", "`[-Infinity]`", '`{"a": NaN}`'])
def test_a_literal_that_json_cannot_hold_is_refused(literal: str) -> None:
    with pytest.raises(BadUserInput, match=r"holds a number that JSON cannot hold\.$"):
        conditions.check(f"a == {literal}", Budget())


def test_a_message_does_not_hold_the_value() -> None:
    for value in ([0] * 1_000_000, {"a": [0] * 1_000_000}, "x" * 1_000_000):
        with pytest.raises(BadUserInput) as caught:
            select("abs(@)", value)
        assert len(caught.value.message) < 300


def test_expressions_are_not_kept_without_bound() -> None:
    before = dict(Parser._CACHE)  # of others in the process
    for number in range(1_000):
        conditions.check(f"a{number}", Budget())
    assert conditions._compiled.cache_info().currsize <= 128
    assert before == Parser._CACHE


def test_a_large_list_can_be_searched() -> None:
    rows = [{"id": number, "score": number % 10} for number in range(100_000)]
    budget = Budget()
    assert len(select("[?score > `5` && id > `10`].id", rows, budget)) == 40_000 - 4
    assert budget.left > 15_000_000  # so that four times as many fit


@given(st.text(max_size=40), JSON)
def test_no_expression_and_no_value_raises_anything_else(expression: str, value: Any) -> None:
    try:
        found = select(expression, value)
    except BadUserInput as error:
        assert len(error.message) < 600
    else:
        json.dumps(found, allow_nan=False)
