"""Placeholders: which texts are names, where their values come from, and what stays as it was
written.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.placeholders import Filled, fill, query_keys, render
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.text_parts import written
from ai_coordination_engine.errors import BadUserInput, TooCostly

AGENTS = {"w": "w", "Fact Checker": "f", "f": "f"}


def filled(text: str, task_query: str = "{}", agents: Mapping[str, str] | None = None) -> Filled:
    return fill(text, Scope.of([query_keys(task_query)], agents))


@pytest.mark.parametrize(
    ("text", "task_query", "expected"),
    [
        ("no placeholder", "{}", "no placeholder"),
        ("for {name}", '{"name": "Ann"}', "for Ann"),
        ("{a}{b}{a}", '{"a": "1", "b": "2"}', "121"),
        ("{n} {f} {t} {z}", '{"n": 5, "f": 1.0, "t": true, "z": null}', "5 1.0 true null"),
        ("{list}", '{"list": ["ä", {"k": 1}]}', '["ä", {"k": 1}]'),
        ("{missing} {name}", '{"name": "Ann"}', "{missing} Ann"),
        ("{name}", '{"name": "{other}", "other": "no"}', "{other}"),
        ("{na me} {1} {} {name}", '{"name": "Ann", "1": "x"}', "{na me} {1} {} Ann"),
        ("{name}", "not JSON", "{name}"),
        ("{name}", '["name"]', "{name}"),
        ("{name}", "[" * 100_000, "{name}"),
        ("{name}", "", "{name}"),
        ("{name}", "1" * 5000, "{name}"),
        ("{größe}", '{"größe": "5 m"}', "5 m"),
        # NFD in the text, NFC in the query
        ("{gro\u0308\u00dfe}", '{"gr\u00f6\u00dfe": "5 m"}', "5 m"),
        ("{gr\u00f6\u00dfe}", '{"gro\u0308\u00dfe": "5 m"}', "5 m"),
        (
            "{first-name} {热泵} {नाम} {имя_2}",
            '{"first-name": 1, "热泵": 2, "नाम": 3, "имя_2": 4}',
            "1 2 3 4",
        ),
        (
            "{a.b} {a.c} {a.list[0].x}",
            '{"a.b": "exact", "a": {"c": "path", "list": [{"x": 7}]}}',
            "exact path 7",
        ),
        (
            "{a.größe} {a.first-name} {a.l[1].名-2}",
            '{"a": {"größe": 5, "first-name": 1, "l": [0, {"名-2": 7}]}}',
            "5 1 7",
        ),
        ("{a/b} {first name} {$ref}", '{"a/b": 1, "first name": 2, "$ref": 3}', "1 2 3"),
        ("{ name }", '{"name": "Ann"}', "{ name }"),
        (
            "price {p}, step {s}, limit {l}",
            '{"p": 19.90, "s": 1e3, "l": 1e400}',
            "price 19.90, step 1e3, limit 1e400",
        ),
        ("{o}", '{"o": {"p": [19.90, -0, 1E5]}}', '{"p": [19.90, -0, 1E5]}'),
    ],
)
def test_placeholders_take_the_values_of_a_json_task_query(
    text: str, task_query: str, expected: str
) -> None:
    assert filled(text, task_query).stored() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{name}}", "{name}"),
        ("{{name} and {name}", "{name} and Ann"),
        ("{{{name}}}", "{Ann}"),
        ("{{{{name}}}}", "{{name}}"),
        ("{{ and }}", "{ and }"),
        ("}} and {{", "}} and {"),
        ('{{"who": "{name}", "in": {"a": {{}}}}}', '{"who": "Ann", "in": {"a": {}}}'),
        ('{"a": {"b": {"c": 1}}} for {name}', '{"a": {"b": {"c": 1}}} for Ann'),
        ('{"a":{"b":{}}}', '{"a":{"b":{}}}'),
        ("int a[2][2] = {{1, 2}, {3, 4}};", "int a[2][2] = {{1, 2}, {3, 4}};"),
        ("def f() { return {}; } // {", "def f() { return {}; } // {"),
        (r"\d{3} [a-z]{2,} x{1,2}", r"\d{3} [a-z]{2,} x{1,2}"),
        ("a } b { c", "a } b { c"),
    ],
)
def test_braces_that_hold_no_name_are_text(text: str, expected: str) -> None:
    found = filled(text, '{"name": "Ann"}')
    assert (found.stored(), found.missing) == (expected, [])


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("{topik} {topik} {größe} {first-name}", ["{topik}", "{topik}", "{größe}", "{first-name}"]),
        ("{user.name} {rows[0].x}", ["{user.name}", "{rows[0].x}"]),
        ("{who.age} {who.[} {who}", ["{who.age}", "{who.[}"]),
        ('{a: 1} {"a"} { a } {a b} {3} {…} {f(x)} {a, b}', []),
    ],
)
def test_what_looks_like_a_name_and_has_no_value_stays_and_is_told(
    text: str, missing: list[str]
) -> None:
    found = filled(text, '{"who": {"name": "Ann"}}')
    assert found.missing == missing
    assert all(each in str(found.stored()) for each in missing)


def test_the_name_of_an_agent_that_is_no_predecessor_is_told_whatever_is_in_it() -> None:
    scope = Scope.of([{"Fact Checker": 1}]).with_agents(
        {"w": "w"}, {"Market Research", "Fact Checker", "w"}
    )
    found = fill(
        "{Market Research} {Market Research.x[0]} {Fact Checker} {w} {Nobody At All} {{Market"
        " Research}}",
        scope,
    )
    assert found.missing == ["{Market Research}", "{Market Research.x[0]}"]
    expected = "{Market Research} {Market Research.x[0]} 1 {w} {Nobody At All} {Market Research}"
    assert written(found.stored()) == expected


def test_the_nearest_layer_counts_and_a_path_goes_on_to_the_next() -> None:
    element = {"item": "milk", "index": "A7", "qty": 2}
    scope = Scope.of([element, {"item": element, "index": 0}, {"qty": 9, "shop": "Ann's"}])
    found = fill("{qty} of {item} from {index} at {shop}, {item.qty}", scope)
    assert found.stored() == "2 of milk from A7 at Ann's, 2"
    assert found.layers == {0, 1, 2}


def test_outputs_are_filled_when_they_are_known_and_nothing_is_filled_twice() -> None:
    text = "{a}: {w} {w.title} {w.rows[?x=='}'].{y: x}} {Fact Checker.n} {f}"
    stored = filled(text, '{"a": "{w}"}', AGENTS).stored()
    assert json.loads(json.dumps(stored)) == stored
    assert written(stored) == text.replace("{a}", "{w}")
    outputs = {
        "w": ['{"title": "T {f}", "rows": [{"x": "}"}]}'],
        "f": ['{"n": 1.10}', '{"n": null}', '{"n": 2}'],
    }
    shown, missing = render(stored, outputs)
    first, rest = shown.split(" ", 1)
    assert (first, missing) == ("{w}:", [])
    assert rest.endswith(' T {f} [{"y": "}"}] 1.10\n\n2 {"n": 1.10}\n\n{"n": null}\n\n{"n": 2}')


def test_a_path_into_an_output_may_be_of_any_script() -> None:
    stored = filled("{w.größe} {w.first-name}", agents=AGENTS).stored()
    assert render(stored, {"w": ['{"größe": 1.50, "first-name": "Ann"}']}) == ("1.50 Ann", [])


@pytest.mark.parametrize(
    "output", [json.dumps({"a": 1, "b": "x" * 1_000_000}), "no JSON " * 100_000]
)
def test_an_output_is_read_once_however_many_paths_go_into_it(output: str) -> None:
    budget = Budget()
    render(filled("{w.a}" * 100, agents=AGENTS).stored(), {"w": [output]}, budget=budget)
    once = Budget()
    render(filled("{w.a}", agents=AGENTS).stored(), {"w": [output]}, budget=once)
    assert once.left - budget.left < 100 * 100


@pytest.mark.parametrize(
    "outputs", [{}, {"w": ["no JSON"]}, {"w": ['{"x": 1}']}, {"w": ["[1]", "5"]}]
)
def test_a_path_that_finds_nothing_puts_nothing_and_is_told(outputs: dict[str, list[str]]) -> None:
    assert render(filled("<{w.title}>", agents=AGENTS).stored(), outputs) == ("<>", ["{w.title}"])


def test_a_key_of_the_query_wins_over_a_predecessor_and_the_clash_is_told() -> None:
    found = filled("{w} {f}", '{"w": "query"}', AGENTS)
    assert (found.clashes, written(found.stored())) == (["w"], "query {f}")


def test_the_values_of_placeholders_have_at_most_8_million_characters_together() -> None:
    query = json.dumps({"a": "x" * 4_000_000, "b": ["y"]})
    assert len(filled("{a}{a}.", query).stored()) == 8_000_001
    words = r"^A text has room for 8000000 characters where its placeholders are filled"
    with pytest.raises(BadUserInput, match=words):
        filled("{a}{a}{b}", query)
    with pytest.raises(BadUserInput, match=words):
        render(filled("{w}{w}{w}", agents=AGENTS).stored(), {"w": ["x" * 3_000_000]})


@pytest.mark.parametrize("text", ["{a}", "{zz}", "{w}", "{{}}", "{"])
def test_placeholders_and_braces_are_paid_from_the_budget(text: str) -> None:
    budget = Budget(1_000_000)
    with pytest.raises(
        TooCostly, match=r"^The texts have more placeholders and braces than can be filled at once"
    ):
        for _ in range(40):
            fill(text * 10_000, Scope.of([{"a": 1}], AGENTS), budget=budget)


def test_a_text_has_at_most_1000_placeholders_with_a_path() -> None:
    assert filled("{a.b}" * 1_000, '{"a": {"b": 1}}').stored() == "1" * 1_000
    with pytest.raises(BadUserInput, match=r"^A text takes at most 1000 placeholders with a path"):
        filled("{a.b}" * 1_001, '{"a": {"b": 1}}')


@pytest.mark.parametrize(
    "text", ["{a" * 50_000, "{" * 100_000, "{{a" * 30_000 + "}" * 100_000, "{a.b" * 20_000]
)
def test_a_text_of_many_braces_takes_no_long_time(text: str) -> None:
    found: Any = filled(text, '{"a": 1}')
    assert isinstance(found.stored(), str)
