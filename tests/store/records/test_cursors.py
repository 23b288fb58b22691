import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.records.cursors import decode, encode, fingerprint

QUERY = fingerprint("task", "acme", {"coordination_uuid": "c"})


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1),
        min_size=1,
        max_size=4,
    )
)
def test_a_position_comes_back(position: list[str]) -> None:
    assert decode(QUERY, encode(QUERY, position)) == position


def test_a_cursor_is_safe_in_a_url() -> None:
    assert set(encode(QUERY, ["ÿ?>~" * 9])) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@pytest.mark.parametrize(
    "parts",
    [
        ("task", "other", {"coordination_uuid": "c"}),
        ("session", "acme", {"coordination_uuid": "c"}),
        ("task", "acme", {"coordination_uuid": "d"}),
        ("task", "acme", {}),
    ],
)
def test_a_cursor_of_another_query_is_refused(parts: tuple[object, ...]) -> None:
    with pytest.raises(BadUserInput, match="belongs to another query"):
        decode(QUERY, encode(fingerprint(*parts), ["x"]))


def test_the_order_of_filters_does_not_matter() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "é",
        "\ud800",
        "null",
        encode(QUERY, ["position"])[:-3],
        packed(None),
        packed([]),
        packed([QUERY]),
        packed([QUERY, 5]),
        packed([QUERY, ""]),
        packed([QUERY, None]),
        packed([QUERY, ["x"]]),
        packed([QUERY, "\ud800"]),
        packed([QUERY, "a\x00b"]),
        packed({QUERY: "x"}),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 10_000 + b"]").decode(),
        "A" * 5_000_000,
    ],
    ids=lambda cursor: repr(cursor[:20]),
)
def test_a_damaged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadUserInput, match="cursor is damaged"):
        decode(QUERY, cursor)
