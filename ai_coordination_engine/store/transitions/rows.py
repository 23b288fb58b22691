"""The rows of `domain.lifecycle` as conditional writes: their predicates and clearings in the
database's terms.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_, le, lt, or_
from typing import Any, assert_never

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import (
    Absent,
    AllOf,
    AnyOf,
    Below,
    Contains,
    Differs,
    Exists,
    OneOf,
    Predicate,
    Unchanged,
    UpTo,
    valued,
)
from ai_coordination_engine.store.record import Record


def condition(predicate: Predicate, model: type[Record], given: Mapping[str, Any]) -> Any:
    """The predicate as a condition on items of a model; `given` as for
    `domain.predicates.holds`.
    """
    match predicate:
        case AllOf(parts=parts):
            return reduce(and_, (condition(each, model, given) for each in parts))
        case AnyOf(parts=parts):
            return reduce(or_, (condition(each, model, given) for each in parts))
        case (
            Exists() | Absent() | OneOf() | Differs() | UpTo() | Below() | Contains() | Unchanged()
        ):
            return _condition(predicate, model.get_attributes()[predicate.field], given)
        case _:
            assert_never(predicate)


def row_condition(transition: Transition, model: type[Record], given: Mapping[str, Any]) -> Any:
    """The condition of a transition; None when nothing must hold."""
    needs = transition.condition
    return None if needs is None else condition(needs, model, given)


_COMPARISONS: Mapping[type[Any], Callable[[Any, Any], Any]] = {
    Differs: lambda attribute, value: attribute.exists() & (attribute != value),
    UpTo: le,
    Below: lt,
    Contains: lambda attribute, value: attribute.contains(value),
}


def _condition(
    predicate: Exists | Absent | OneOf | Differs | UpTo | Below | Contains | Unchanged,
    attribute: Any,
    given: Mapping[str, Any],
) -> Any:
    match predicate:
        case Absent():
            return attribute.does_not_exist()
        case Exists():
            return attribute.exists()
        case OneOf(values=(value,)):
            return attribute == valued(value, given)
        case OneOf(values=values):
            return attribute.is_in(*(valued(each, given) for each in values))
        case Differs(value=value) | UpTo(value=value) | Below(value=value) | Contains(value=value):
            return _COMPARISONS[type(predicate)](attribute, valued(value, given))
        case Unchanged(field=field):
            return same(attribute, given["seen"].stored(field))
        case _:
            assert_never(predicate)


def assignments(model: type[Record], values: Mapping[str, Any]) -> list[Action]:
    """The update that gives attributes these values, by name; None removes one."""
    attributes = model.get_attributes()
    return [
        attributes[name].remove() if value is None else attributes[name].set(value)
        for name, value in values.items()
    ]


def same(attribute: Any, value: Any) -> Any:
    """Whether an attribute is as it was read; None: it does not exist."""
    return attribute.does_not_exist() if value is None else attribute == value


def update(transition: Transition, model: type[Record], actions: Sequence[Action]) -> list[Action]:
    """All that a transition writes: the target, unless the actions set it, these actions, and what
    it clears beside.
    """
    attributes = model.get_attributes()
    written = {action.values[0].path[0] for action in actions}  # type: ignore[attr-defined]
    is_set = transition.target is None or transition.attribute in written
    target = [] if is_set else [attributes[transition.attribute].set(str(transition.target))]
    cleared = [attributes[each].remove() for each in transition.clears if each not in written]
    return [*target, *actions, *cleared]
