from collections.abc import Mapping
from typing import Any

import pytest

from ai_coordination_engine.domain.prompts import compose_input, fill_element
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.errors import BadUserInput


@pytest.mark.parametrize(
    ("query", "predecessors", "user_input", "composed"),
    [
        ("q", [], None, "q"),
        ("", [], None, ""),
        ("q", [("A", "1"), ("B", "2")], None, "Output of A:\n1\n\nOutput of B:\n2\n\nq"),
        ("q", [("A", "1")], "yes", "Output of A:\n1\n\nq\n\nAnswer of the user:\nyes"),
        ("", [], "", "Answer of the user:\n"),
    ],
)
def test_the_input_is_the_outputs_then_the_query_then_the_answer(
    query: str, predecessors: list[tuple[str, str]], user_input: str | None, composed: str
) -> None:
    assert compose_input(query, predecessors, user_input) == composed


def test_the_task_may_come_before_the_outputs() -> None:
    composed = compose_input("q", [("A", "1")], "yes", task_first=True)
    assert composed == "q\n\nOutput of A:\n1\n\nAnswer of the user:\nyes"


def asked_of(
    text: str, element: Any, index: int = 7, query: Mapping[str, Any] | None = None
) -> Any:
    return fill_element(text, element, index, Scope.of([query or {}], {"w": "w"})).stored()


@pytest.mark.parametrize(
    ("text", "element", "asked"),
    [
        ("{index}: {item}", "x", "7: x"),
        ("{item} {name} {no}", {"name": "Ada"}, '{"name": "Ada"} Ada {no}'),
        ("{item} {index}", {"item": 1, "index": 2}, "1 2"),
        ("{topic}", "x", "heat\n\nItem:\nx"),
        ("{topic} {item}", {"topic": "own"}, 'own {"topic": "own"}'),
        ("<{template}> {index}", {"name": "Ada"}, "<{item} and {name}> 7"),
        ("Greet", ["ä", None], 'Greet\n\nItem:\n["ä", null]'),
        ("", 1.5, "Item:\n1.5"),
        ("{item}", "x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_an_element_fills_the_placeholders_or_follows_the_text(
    text: str, element: Any, asked: str
) -> None:
    assert (
        asked_of(text, element, query={"topic": "heat", "template": "{item} and {name}"}) == asked
    )


@pytest.mark.parametrize(
    ("text", "element", "words"),
    [
        (
            "{item}" * 500,
            "y" * 100_000,
            r"^A text has room for 1000000 characters where its placeholders are filled",
        ),
        ("{item}", [["y" * 1_000]] * 1_000, "^A text has room for 1000000 characters"),
        (
            "{item}.",
            "y" * 1_000_000,
            r"^Its text has 1000001 characters; what one element is asked takes 1000000\.$",
        ),
        (
            "",
            "y" * 1_000_000,
            "^Its text has 1000006 characters; what one element is asked takes 1000000",
        ),
        ("{item}", "\ud800", r"^Its text holds an invalid character\.$"),
    ],
)
def test_what_an_element_is_asked_is_bounded(text: str, element: Any, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        asked_of(text, element)


def test_an_element_that_repeats_a_part_without_end_is_refused_at_once() -> None:
    element: Any = "x"
    for _ in range(60):
        element = [element, element]
    with pytest.raises(
        BadUserInput, match=r"^It has more than the 1000000 characters that one element is asked\.$"
    ):
        asked_of("", element)


def test_an_element_may_wait_for_an_output() -> None:
    assert asked_of("{name} after {w.title}", {"name": "Ada"}) == [
        "Ada after ",
        ["w", "title", "{w.title}"],
    ]
    assert asked_of("after {w}", 5) == ["after ", ["w", None, "{w}"], "\n\nItem:\n5"]
