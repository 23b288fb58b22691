"""What of a model's answer is the JSON that it was asked for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.documents import price, price_of_writing, quoted, read
from ai_coordination_engine.domain.json_text import NotJSON, dumps

DOCUMENT = '{"a": [1.10, {"b": "```"}]}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # the text itself
        (DOCUMENT, DOCUMENT),
        (f"\ufeff \r\n{DOCUMENT}\n", DOCUMENT),
        ("7", "7"),
        ('"text"', '"text"'),
        ("null", "null"),
        ('"<think>a</think>"', '"<think>a</think>"'),
        ('{"text": "```json\\n[1]\\n```"}', '{"text": "```json\\n[1]\\n```"}'),
        # fences
        ("```json\n[1, 2.0]\n```", "[1, 2.0]"),
        ("```\n[1]\n```", "[1]"),
        ("```JSON\r\n[1]\r\n```\r\n", "[1]"),
        ("```Json\n[1]\n```", "[1]"),
        ("```json5\n[1]\n```", "[1]"),
        ("```json\n[1]```", "[1]"),
        ("```json\n[1]", "[1]"),
        ("```[1]```", "[1]"),
        ("```json [1] ```", "[1]"),
        ("json\n[1]", "[1]"),
        ("```json\n7\n```", "7"),
        ('```\n"ship"\n```', '"ship"'),
        ("```\ntrue\n```", "true"),
        (f"Sure! Here it is:\n\n```json\n{DOCUMENT}\n```\n\nLet me know.", DOCUMENT),
        ('Of {"n": 1} I made:\n```json\n{"n": 2}\n```\n', '{"n": 2}'),
        ("```python\nx = [1]\n```\n```json\n[2]\n```", "[2]"),
        ("```python\nprint(7)\n```\nThat is [7].", "[7]"),
        ("  ```json\n  [1]\n  ```", "[1]"),
        # thoughts
        ("<think>\nTwo or [3]?\n</think>\n\n[2]", "[2]"),
        ("<think></think>7", "7"),
        ("<THINK>x</Think>[2]", "[2]"),
        ("<thinking>x</thinking>\n```json\n[2]\n```", "[2]"),
        ("<think>[1]</think> <think>{}</think> [2]", "[2]"),
        ('<think>x</think>{"tag": "</think>"}', '{"tag": "</think>"}'),
        ("<think>\nI never close it. The answer is [2]", "[2]"),
        ("Thinking [1]...\n</think>\n[2]", "[2]"),
        ('Here: {"tag": "</think>"}', '{"tag": "</think>"}'),
        ("\n\n<think>\n</think>\n\n\n[2]\n", "[2]"),
        # prose
        ('The answer is {"a": 1}.', '{"a": 1}'),
        ("Use {name} and {like this}: [1]", "[1]"),
        ("[draft] hello [1, 2]", "[1, 2]"),
        ("[see below] {{x}} [[1]]", "[[1]]"),
        ('[note: {"a": 1}]', '{"a": 1}'),
        ('{"a": 1} is it.', '{"a": 1}'),
        ('It is {"a": {"b": [1, 2, {}]}} and {that}', '{"a": {"b": [1, 2, {}]}}'),
        ('so: {"text": "a } b { \\" ["}!', '{"text": "a } b { \\" ["}'),
        ("[NaN] is none, [1e400] is one", "[1e400]"),
        ("{'a': 1} is Python, [1] is not", "[1]"),
        ("a [ b { c [1]", "[1]"),
        ("[-0]!", "[-0]"),
        ("See {\n  \n} there", "{}"),
    ],
)
def test_the_one_document_is_found(text: str, found: str) -> None:
    assert dumps(read(text, Budget())) == found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "no json",
            "score: 7",
            "It is true.",
            'He said "yes".',
            "7 of 9",
            "NaN",
            "Infinity",
            "007",
            "<think>",
        ),
        *(
            "{like this}",
            "[draft]",
            "{'a': 1}",
            "```python\nx = 1\n```",
            "```json\nnone\n```",
            "<think>[1]</think> done",
        ),
        *(
            '{"a": [1, 2, {"b": 3}',
            '[{"a": 1}, {"a": 2}, {"a":',
            '{"a": "never closed [1]',
            "[NaN, [1]]",
            "``````",
            "[1",
        ),
    ],
)
def test_an_answer_without_a_document_is_not_json(text: str) -> None:
    with pytest.raises(NotJSON, match=r"^is not valid JSON$"):
        read(text, Budget())


@pytest.mark.parametrize(
    "text",
    [
        "[1] [2]",
        '{"a": 1}\n{"a": 2}\n',
        "```json\n[1]\n```\nor\n```json\n[2]\n```",
        "```\n1\n```\n```\n1\n```",
        "Either {} or [].",
        "In [1] it says [2]",
        "<think>x</think>[1] and [2]",
    ],
)
def test_two_documents_are_one_too_many(text: str) -> None:
    with pytest.raises(NotJSON, match=r"^holds more than one JSON document$"):
        read(text, Budget())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
WORDS = st.text(st.characters(exclude_characters="{}[]<>`", exclude_categories=["Cs"]), max_size=30)


@given(
    st.lists(JSON, min_size=1) | st.dictionaries(st.text(), JSON, min_size=1),
    WORDS,
    WORDS,
    st.integers(0, 3),
)
def test_whatever_is_put_around_a_document_it_is_the_same(
    value: Any, before: str, after: str, way: int
) -> None:
    text = json.dumps(value, ensure_ascii=bool(way % 2), indent=way or None)
    around = [
        f"{before} {text} {after}",
        f"{before}\n```json\n{text}\n```\n{after}",
        f"<think>{before} [0] {after}</think>{text}",
        f"<think>{before}</think>\n```\n{text}```",
    ][way]
    if "```" not in text or way < 1:
        assert read(around, Budget()) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{" * 200_000,
        '{"a":' * 50_000,
        '["' * 100_000,
        '[\\"' * 100_000,
        "```" * 100_000,
        "```a" * 50_000,
        "<think></think>" * 20_000 + "x",
        "<think>" * 50_000,
        "[1] " * 100_000,
        "[NaN," * 50_000,
        "{ " * 100_000,
        "{" + " " * 200_000 + "[" + " " * 200_000,
        "[x" * 100_000,
        '[0,"' * 50_000,
        "[9," + "9" * 200_000 + "x",
    ],
)
def test_reading_takes_a_work_that_grows_with_the_text(text: str) -> None:
    budget = Budget(40 * len(text))
    with pytest.raises(NotJSON):
        read(text, budget)


def test_reading_is_paid_before_it_is_done() -> None:
    text = json.dumps([1.5] * 1_000)
    budget = Budget(price(text))
    read(text, budget)
    assert budget.left == 0
    for shorter, words in ((price(text) - 1, text), (3 * price(text), f"words {text}")):
        with pytest.raises(Spent):
            read(words, Budget(shorter))
    assert price(text) == len(text) // 2 + 7 * 1_000
    # which has every number read by itself
    assert price("[-0" + ",1" * 1_000 + "]") == 2_004 // 2 + 7 * 1_000
    assert price_of_writing(text) == len(text) // 8 + 4 * 1_000


def test_an_output_is_quoted_by_its_beginning() -> None:
    assert quoted(" \n" + "é" * 100) == '"' + "é" * 80 + '"'
    assert quoted("a\nb\x1b[31m") == '"a\\nb\\u001b[31m"'
