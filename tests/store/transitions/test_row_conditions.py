"""The expressions of the rows are those that PynamoDB's own conditions write, to the character."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.schedules import SCHEDULE_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.sessions import SESSION_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import (
    Absent,
    AllOf,
    AnyOf,
    Below,
    Contains,
    Differs,
    Exists,
    Given,
    OneOf,
    Predicate,
    Unchanged,
    UpTo,
    valued,
)
from ai_coordination_engine.store.models import Session, SessionAgent, TaskSchedule
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.transitions.rows import condition, row_condition

GIVEN = {
    "now": 100.5,
    "tenant": "acme",
    "epoch": 1,
    "edge_id": 3,
    "sink": 3,
    "target": "completed",
}
ROWS = [
    *((SessionAgent, row) for row in AGENT_TRANSITIONS),
    *((Session, row) for row in SESSION_TRANSITIONS),
    *((TaskSchedule, row) for row in SCHEDULE_TRANSITIONS),
]


def of_pynamodb(predicate: Predicate, model: type[Record], given: Mapping[str, Any]) -> Any:
    """The predicate as PynamoDB's own objects."""
    if isinstance(predicate, AllOf | AnyOf):
        parts = (of_pynamodb(each, model, given) for each in predicate.parts)
        return reduce(and_ if isinstance(predicate, AllOf) else or_, parts)
    attribute: Any = model.get_attributes()[predicate.field]
    if isinstance(predicate, OneOf):
        values = [valued(each, given) for each in predicate.values]
        return attribute == values[0] if len(values) == 1 else attribute.is_in(*values)
    if isinstance(predicate, Unchanged):
        seen = given["seen"].stored(predicate.field)
        return attribute.does_not_exist() if seen is None else attribute == seen
    value = valued(getattr(predicate, "value", None), given)
    return OF_VALUE[type(predicate)](attribute, value)


OF_VALUE: Mapping[type[Any], Callable[[Any, Any], Any]] = {
    Absent: lambda attribute, _: attribute.does_not_exist(),
    Exists: lambda attribute, _: attribute.exists(),
    Differs: lambda attribute, value: attribute.exists() & (attribute != value),
    UpTo: lambda attribute, value: attribute <= value,
    Below: lambda attribute, value: attribute < value,
    Contains: lambda attribute, value: attribute.contains(value),
}


def written(condition: Any) -> Any:
    """The expression with its names and values, after those of another part of a request."""
    names, values = {"other": "#0"}, {":0": {"S": "x"}}
    return condition.serialize(names, values), [*names.items()], [*values.items()]


@pytest.mark.parametrize("is_set", [True, False])
def test_the_condition_of_each_row(is_set: bool) -> None:
    for model, row in ROWS:
        given = {**GIVEN, "seen": seen(model, is_set=is_set)}
        made = row_condition(row, model, given)
        if row.condition is None:
            assert made is None
        else:
            expected = written(of_pynamodb(row.condition, model, given))
            assert written(made) == expected, row.name
            assert written(made & model.nonce.exists()) == written(
                of_pynamodb(row.condition, model, given) & model.nonce.exists()
            )


def seen(model: type[Record], *, is_set: bool) -> Record:
    """A record with a value of each attribute, or with none."""
    record = model("parent", "own")
    for name, attribute in model.get_attributes().items() if is_set else ():
        value: Any = {"N": 7, "S": "text", "BOOL": True, "NS": {3}, "SS": {"a"}}[
            attribute.attr_type
        ]
        if attribute.attr_type != "S" or name not in ("created_at", "updated_at", *DATES):
            setattr(record, name, value)
    return record


DATES = ("start_at", "end_at")
NUMBERS = st.one_of(st.integers(-3, 3), st.just(1.5), st.just(Given("now")))
TEXTS = st.sampled_from(["a", "", Given("tenant")])
LEAVES = st.one_of(
    st.builds(Exists, st.sampled_from(["status", "buffered"])),
    st.builds(Absent, st.sampled_from(["status", "buffered"])),
    st.builds(OneOf, st.just("status"), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
    st.builds(Differs, st.just("schedule"), TEXTS),
    st.builds(UpTo, st.just("fire_at"), NUMBERS),
    st.builds(Below, st.just("run_count"), st.integers(-3, 3)),
    st.builds(Contains, st.just("buffered"), NUMBERS),
    st.builds(Contains, st.just("recent"), TEXTS),
    st.builds(Unchanged, st.sampled_from(["buffered", "status", "fire_at", "why"])),
)
PREDICATES = st.recursive(
    LEAVES,
    lambda parts: st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda some: st.sampled_from([AllOf(*some), AnyOf(*some)])
    ),
    max_leaves=8,
)


@drawn(predicate=PREDICATES, is_set=st.booleans())
def test_any_predicate(predicate: Predicate, is_set: bool) -> None:
    given = {**GIVEN, "seen": seen(TaskSchedule, is_set=is_set)}
    made = condition(predicate, TaskSchedule, given)
    assert written(made) == written(of_pynamodb(predicate, TaskSchedule, given))
    assert str(made)
    row = row_condition(Transition("try", "", (), None, predicate), TaskSchedule, given)
    assert written(row) == written(made)
