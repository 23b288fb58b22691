"""The attributes of records store and send what PynamoDB's own would."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynamodb import attributes as pynamodb
from pynamodb.constants import ATTRIBUTE_TYPES
from pynamodb.expressions.operand import Path

from ai_coordination_engine.store.attributes import (
    BooleanAttribute,
    NumberAttribute,
    NumberSetAttribute,
    Stored,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from ai_coordination_engine.store.models import Task

OWN: dict[str, tuple[Stored[Any], pynamodb.Attribute[Any], list[Any]]] = {
    "text": (
        UnicodeAttribute(attr_name="text"),
        pynamodb.UnicodeAttribute(attr_name="text"),
        ["", "a", "ü"],
    ),
    "truth": (
        BooleanAttribute(attr_name="truth"),
        pynamodb.BooleanAttribute(attr_name="truth"),
        [True, False],
    ),
    "number": (
        NumberAttribute(attr_name="number"),
        pynamodb.NumberAttribute(attr_name="number"),
        [0, -1, True, 1.5, 1764143000.123456, 1e16, 1e-7, 10**30, float("inf")],
    ),
    "numbers": (
        NumberSetAttribute(attr_name="numbers"),
        pynamodb.NumberSetAttribute(attr_name="numbers"),
        [{1}, {1.5}, [2], set()],
    ),
    "texts": (
        UnicodeSetAttribute(attr_name="texts"),
        pynamodb.UnicodeSetAttribute(attr_name="texts"),
        [{"a"}, set()],
    ),
    "moment": (
        UTCDateTimeAttribute(attr_name="moment"),
        pynamodb.UTCDateTimeAttribute(attr_name="moment"),
        [datetime(2026, 11, 26, tzinfo=UTC), datetime(1, 2, 3, 4)],
    ),
}
SINGLE = ("text", "number", "moment")
SEVERAL = ("numbers", "texts")
MADE: dict[str, tuple[tuple[str, ...], Callable[[Any, Any], Any]]] = {
    "set": (tuple(OWN), lambda attribute, value: attribute.set(value)),
    "remove": (tuple(OWN), lambda attribute, _: attribute.remove()),
    "set if absent": (tuple(OWN), lambda attribute, value: attribute.set(attribute | value)),
    "set to another": (tuple(OWN), lambda attribute, _: attribute.set(attribute)),
    "set to a sum": (("number",), lambda attribute, value: attribute.set((attribute | 1) + value)),
    "set to a rest": (("number",), lambda attribute, value: attribute.set(attribute - value)),
    "add": (("number", *SEVERAL), lambda attribute, value: attribute.add(value)),
    "delete": (SEVERAL, lambda attribute, value: attribute.delete(value)),
    "exists": (tuple(OWN), lambda attribute, _: attribute.exists()),
    "absent": (tuple(OWN), lambda attribute, _: attribute.does_not_exist()),
    "equal": (tuple(OWN), lambda attribute, value: attribute == value),
    "different": (tuple(OWN), lambda attribute, value: attribute != value),
    "below": (SINGLE, lambda attribute, value: attribute < value),
    "up to": (SINGLE, lambda attribute, value: attribute <= value),
    "above": (SINGLE, lambda attribute, value: attribute > value),
    "at least": (SINGLE, lambda attribute, value: attribute >= value),
    "between": (SINGLE, lambda attribute, value: attribute.between(value, value)),
    "one of": (tuple(OWN), lambda attribute, value: attribute.is_in(value, value)),
    "begins": (("text",), lambda attribute, value: attribute.startswith(value)),
    "contains": (("text",), lambda attribute, value: attribute.contains(value)),
    "has": (SEVERAL, lambda attribute, value: attribute.contains(next(iter(value), 1))),
}


@pytest.mark.parametrize("made", MADE)
def test_conditions_and_updates_are_sent_as_those_of_pynamodb(made: str) -> None:
    names, make = MADE[made]
    for own, pynamodbs, values in (OWN[name] for name in names):
        for value in values:
            assert sent(make, own, value) == sent(make, pynamodbs, value), (own.name, value)


def sent(make: Callable[[Any, Any], Any], attribute: Any, value: Any) -> Any:
    """What is sent of a condition or an update: the expression, its names and values."""
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    try:
        return make(attribute, value).serialize(names, values), names, values
    except ValueError as error:
        return str(error)


MOMENTS = st.datetimes(
    datetime(1, 1, 2),
    datetime(9999, 12, 30),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
)


@given(moment=MOMENTS)
def test_moments_are_those_of_pynamodb(moment: datetime) -> None:
    own, pynamodbs, _ = OWN["moment"]
    text = own.serialize(moment)
    assert text == pynamodbs.serialize(moment)
    assert own.deserialize(text) == pynamodbs.deserialize(text) == moment
    assert own.deserialize(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-26",
        "2026-11-26T10:15:00.000000+0100",
        "2026-11-26 10:15:00.000000+0000",
        "2026-13-26T10:15:00.000000+0000",
        "2026-W48-4T10:15:00.00000+00000",
    ],
)
def test_a_text_that_is_no_moment_is_refused_as_by_pynamodb(text: str) -> None:
    own, pynamodbs, _ = OWN["moment"]
    for attribute in (own, pynamodbs):
        with pytest.raises(ValueError, match="does not match format"):
            attribute.deserialize(text)


@given(number=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_those_of_pynamodb(number: float) -> None:
    own, pynamodbs, _ = OWN["number"]
    text = own.serialize(number)
    assert text == pynamodbs.serialize(number)
    found = own.deserialize(text)
    assert (found, type(found)) == (number, type(number))


@given(kind=st.sampled_from(ATTRIBUTE_TYPES), inner=st.sampled_from(["x", 1, None, ["x"], {}]))
def test_a_json_value_that_looks_like_a_stored_one_is_stored_as_it_is(
    kind: str, inner: object
) -> None:
    value = {kind: inner}
    task = Task("c", "t", partition_key="acme", agent_actions=value)
    text = task.serialize()["agent_actions"]
    names: dict[str, str] = {}
    for made in (
        Task.agent_actions.set(value),
        Task.agent_actions.set(Task.agent_actions | value),
        Task.agent_actions == value,
        Task.agent_actions != value,
        Task.agent_actions.is_in(value),
    ):
        values: dict[str, Any] = {}
        made.serialize(names, values)
        assert values == {":0": text}
    assert Task.from_raw_data({"agent_actions": text}).agent_actions == value


def test_the_path_of_an_attribute_is_made_once() -> None:
    assert isinstance(Task.task_name.path, Path)
    assert Task.task_name.set("a").values[0] is Task.task_name.exists().values[0]
