import pytest

from ai_coordination_engine.domain.prompts import compose_input, fill_placeholders


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
