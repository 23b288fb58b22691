import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.json_text import NotJSON, Number, TooLong

DIGITS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
TEXTS = st.text(st.characters(codec=None))  # half surrogates, too
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "text",
    [
        "19.90",
        "1e3",
        "1E+3",
        "1e400",
        "-1e-400",
        "-0",
        "-0.0",
        "0.10",
        "12345678901234567890",
        "3.14159265358979323846264338327950288",
        "9" * 5_000,
        "-" + "9" * 5_000,
        (
            '{"price": 19.90, "step": 1e3, "list": [-0, 1.5, {"limit": 1e400}], "none": null, "on":'
            " true}"
        ),
        '"\\ud800"',
        '["é", "\\u0000", "😀"]',
        "[[], {}, [[]]]",
    ],
)
def test_what_is_read_is_written_with_the_same_digits(text: str) -> None:
    assert json_text.dumps(json_text.loads(text)) == text
    assert json_text.dumps([json_text.loads(text)]) == f"[{text}]"


@given(DIGITS)
def test_any_number_keeps_its_digits(text: str) -> None:
    value = json_text.loads(text)
    assert json_text.dumps([value, {"n": value}]) == f'[{text}, {{"n": {text}}}]'
    assert json_text.number(text) == value
    assert json_text.dumps(copy.deepcopy(value)) == text


@given(JSON, st.booleans(), st.booleans())
def test_any_value_is_written_as_the_library_writes_it(
    value: Any, compact: bool, ascii_only: bool
) -> None:
    written = json_text.dumps(value, compact=compact, ascii_only=ascii_only)
    expected = json.dumps(
        value, ensure_ascii=ascii_only, separators=(",", ":") if compact else (", ", ": ")
    )
    assert written == re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", expected)
    assert json.loads(written) == json_text.loads(written) == value


@pytest.mark.parametrize(
    "around", ["{}", " {}", "\ufeff{}\n", "\r\n\t{}\xa0", "\n\ufeff {} \ufeff"]
)
@pytest.mark.parametrize("inside", ["1.10", '"x"', "null", "[1]"])
def test_white_space_and_a_byte_order_mark_around_do_not_count(around: str, inside: str) -> None:
    assert json_text.dumps(json_text.loads(around.format(inside))) == inside


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "\ufeff",
            "NaN",
            "-Infinity",
            "[Infinity]",
            "007",
            "01",
            "+1",
            "1.",
            ".5",
            "1_000",
            "0x1F",
            "١",
        ),
        *(
            "True",
            "None",
            "'x'",
            "[draft] hello",
            "{name}",
            "{'a': 1}",
            "[1,]",
            "[1] [2]",
            "1 2",
            '"open',
            "[",
            "-",
        ),
        *(
            '"a\nb"',
            "// x\n1",
            "[" * 100_000,
            "[" * 10_000 + "]" * 10_000,
            "[NaN, " + "9" * 5_000 + "]",
        ),
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(NotJSON):
        json_text.loads(text)


def test_a_number_counts_by_its_value_and_is_written_by_its_digits() -> None:
    price, most = json_text.loads("[19.90, 1e400]")
    assert (price, price + 1, price > 19, hash(price), f"{price}") == (
        19.9,
        20.9,
        True,
        hash(19.9),
        "19.90",
    )
    assert isinstance(price, Number)
    assert most > 10**300
    assert json_text.number("1.10") == 1.1
    assert [
        json_text.number(each) for each in ("", "1_0", " 1", "nan", "inf", "0x1", "1e", "٣")
    ] == [None] * 8
    assert json_text.loads('{"a": 1, "a": 2.50}') == {"a": 2.5}


def test_what_json_cannot_hold_is_not_written() -> None:
    for value in (float("nan"), [float("inf")], {"a": -float("inf")}, 10**5_000):
        with pytest.raises(NotJSON):
            json_text.dumps(value)


def test_what_python_has_beside_json_is_written_as_the_library_does() -> None:
    value = {1: (True, None), 2.5: "x", None: [], False: {}}
    assert json_text.dumps(value) == json.dumps(value)
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        json_text.dumps([set()])


def test_a_text_is_not_written_beyond_its_limit() -> None:
    many = ["x" * 100_000] * 64
    for _ in range(20):
        many = [many] * 64
    with pytest.raises(TooLong):
        json_text.dumps(many, limit=1_000_000)
    assert json_text.dumps([1, 2], limit=6) == "[1, 2]"
    with pytest.raises(TooLong):
        json_text.dumps([1, 2], limit=5)


def test_a_value_that_is_nested_deeply_is_written() -> None:
    value: Any = []
    for _ in range(5_000):
        value = [value]
    assert json_text.dumps(value) == "[" * 5_001 + "]" * 5_001
