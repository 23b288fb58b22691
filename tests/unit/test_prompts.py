import json
from typing import Any

import pytest

from ai_coordination_engine.domain.prompts import compose_input, fill_element, fill_placeholders
from ai_coordination_engine.errors import BadUserInput


@pytest.mark.parametrize(
    ("text", "task_query", "filled"),
    [
        ("no placeholder", "{}", "no placeholder"),
        ("for {name}", '{"name": "Ann"}', "for Ann"),
        ("{a}{b}{a}", '{"a": "1", "b": "2"}', "121"),
        ("{n} {f} {t} {z}", '{"n": 5, "f": 1.0, "t": true, "z": null}', "5 1.0 true null"),
        ("{list}", '{"list": ["ä", {"k": 1}]}', '["ä", {"k": 1}]'),
        ("{missing} {name}", '{"name": "Ann"}', "{missing} Ann"),
        ("{name}", '{"name": "{other}", "other": "no"}', "{other}"),
        ("{na me} {1} {} {{name}}", '{"name": "Ann", "1": "x"}', "{na me} {1} {} {Ann}"),
        ("{name}", "not JSON", "{name}"),
        ("{name}", '["name"]', "{name}"),
        ("{name}", "[" * 100_000, "{name}"),
        ("{name}", "", "{name}"),
        ("{name}", "1" * 5000, "{name}"),
    ],
)
def test_placeholders_take_the_values_of_a_json_task_query(text: str, task_query: str, filled: str) -> None:
    assert fill_placeholders(text, task_query) == filled


@pytest.mark.parametrize(
    ("query", "predecessors", "user_input", "composed"),
    [
        ("q", [], None, "q"),
        ("", [], None, ""),
        ("q", [("A", "1"), ("B", "2")], None, "q\n\nOutput of A:\n1\n\nOutput of B:\n2"),
        ("q", [("A", "1")], "yes", "q\n\nOutput of A:\n1\n\nAnswer of the user:\nyes"),
        ("", [], "", "Answer of the user:\n"),
    ],
)
def test_the_input_is_the_query_then_the_outputs_then_the_answer(
    query: str, predecessors: list[tuple[str, str]], user_input: str | None, composed: str
) -> None:
    assert compose_input(query, predecessors, user_input) == composed


def test_the_values_of_placeholders_have_at_most_8_million_characters_together() -> None:
    query = json.dumps({"a": "x" * 4_000_000, "b": ["y"]})
    assert len(fill_placeholders("{a}{a}.", query)) == 8_000_001
    with pytest.raises(
        BadUserInput, match=r"^A text has room for 8000000 characters where its placeholders are filled"
    ):
        fill_placeholders("{a}{a}{b}", query)


@pytest.mark.parametrize(
    ("text", "element", "asked"),
    [
        ("{index}: {item}", "x", "7: x"),
        ("{item} {name} {no}", {"name": "Ada"}, '{"name": "Ada"} Ada {no}'),
        ("{item} {index}", {"item": 1, "index": 2}, '{"item": 1, "index": 2} 7'),
        ("Greet", ["ä", None], 'Greet\n\nItem:\n["ä", null]'),
        ("", 1.5, "Item:\n1.5"),
        ("{item}", "x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_an_element_fills_the_placeholders_or_follows_the_text(text: str, element: Any, asked: str) -> None:
    assert fill_element(text, element, 7) == asked


@pytest.mark.parametrize(
    ("text", "element", "words"),
    [
        ("{item}" * 500, "y" * 100_000, r"^A text has room for 1000000 characters where its placeholders are filled"),
        ("{item}", [["y" * 1_000]] * 1_000, "^A text has room for 1000000 characters"),
        ("{item}.", "y" * 1_000_000, r"^Its text has 1000001 characters; what one element is asked takes 1000000\.$"),
        ("", "y" * 1_000_000, "^Its text has 1000006 characters; what one element is asked takes 1000000"),
        ("{item}", "\ud800", r"^Its text holds an invalid character\.$"),
    ],
)
def test_what_an_element_is_asked_is_bounded(text: str, element: Any, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        fill_element(text, element, 0)


def test_an_element_that_repeats_a_part_without_end_is_refused_at_once() -> None:
    element: Any = "x"
    for _ in range(60):
        element = [element, element]
    with pytest.raises(BadUserInput, match=r"^A text has room for 1000000 characters"):
        fill_element("", element, 0)


def test_an_element_that_is_nested_too_deeply_is_refused() -> None:
    element: Any = 1
    for _ in range(20_000):
        element = [element]
    with pytest.raises(BadUserInput, match="is nested too deeply"):
        fill_element("", element, 0)
