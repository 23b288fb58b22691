"""The rows of `domain.lifecycle` as conditional writes: their predicates and clearings in the
database's terms. What a row always says is compiled once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
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
from ai_coordination_engine.store.tables.expressions import Evaluated, Item, name_of
from ai_coordination_engine.store.transitions.row_conditions import Test, test_of

_KEPT = 512  # compiled rows: more than there are; those of a state that a client sets come and go


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


class RowCondition(Evaluated):
    """The condition of a row that has one; the expression is made when DynamoDB needs it."""

    def __init__(
        self, row: Transition, test: Test, model: type[Record], given: Mapping[str, Any]
    ) -> None:
        super().__init__("ROW")
        self._row, self._test, self._model, self._given = row, test, model, given

    def holds(self, item: Item) -> bool:
        """Whether an item, as it is stored, meets the condition."""
        return self._test(item, self._given)

    def serialize(self, placeholder_names: Any, expression_attribute_values: Any) -> str:
        """The expression; adds its names and values."""
        return str(self._expression().serialize(placeholder_names, expression_attribute_values))

    def __repr__(self) -> str:
        return repr(self._expression())

    def _expression(self) -> Any:
        assert self._row.condition is not None
        return condition(self._row.condition, self._model, self._given)


def row_condition(transition: Transition, model: type[Record], given: Mapping[str, Any]) -> Any:
    """The condition of a transition; None when nothing must hold."""
    test = _test(transition, model)
    return None if test is None else RowCondition(transition, test, model, given)


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
    target, clears = _always(transition, model)
    written = {name_of(action.values[0]) for action in actions}
    is_set = target is None or transition.attribute in written
    cleared = [each for name, each in clears if name not in written]
    return [*(() if is_set else (target,)), *actions, *cleared]


@lru_cache(_KEPT)
def _test(row: Transition, model: type[Record]) -> Test | None:
    """The condition of a row, as a function; None when nothing must hold."""
    return None if row.condition is None else test_of(row.condition, model)


@lru_cache(_KEPT)
def _always(
    row: Transition, model: type[Record]
) -> tuple[Action | None, Sequence[tuple[str, Action]]]:
    """What a row writes whatever is given: the target, and what it clears by name."""
    attributes = model.get_attributes()
    target = None if row.target is None else attributes[row.attribute].set(str(row.target))
    return target, [(name, attributes[name].remove()) for name in row.clears]
