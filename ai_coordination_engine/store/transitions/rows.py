"""The rows of `domain.lifecycle` as conditional writes: their predicates and clearings in the
database's terms. What a row always says is compiled once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.expressions import Evaluated, Item, name_of
from ai_coordination_engine.store.transitions.row_conditions import Compiled, compiled

_KEPT = 512  # compiled rows: more than there are; those of a state that a client sets come and go


class PredicateCondition(Evaluated):
    """A predicate on items of a model as a condition; `given` as for `domain.predicates.holds`."""

    def __init__(self, predicate: Compiled, given: Mapping[str, Any]) -> None:
        super().__init__("PREDICATE")
        self._predicate, self._given = predicate, given

    def holds(self, item: Item) -> bool:
        """Whether an item, as it is stored, meets the condition."""
        return self._predicate.test(item, self._given)

    def serialize(
        self, placeholder_names: dict[str, str], expression_attribute_values: dict[str, Any]
    ) -> str:
        """The expression, as PynamoDB's own conditions write it; adds its names and values."""
        return self._predicate.write(self._given, placeholder_names, expression_attribute_values)

    def __repr__(self) -> str:
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        return f"{self.serialize(names, values)} {names} {values}"


def condition(predicate: Predicate, model: type[Record], given: Mapping[str, Any]) -> Condition:
    """The predicate as a condition on items of a model."""
    return PredicateCondition(compiled(predicate, model), given)


def row_condition(transition: Transition, model: type[Record], given: Mapping[str, Any]) -> Any:
    """The condition of a transition; None when nothing must hold."""
    predicate = _predicate(transition, model)
    return None if predicate is None else PredicateCondition(predicate, given)


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
def _predicate(row: Transition, model: type[Record]) -> Compiled | None:
    """The condition of a row, compiled; None when nothing must hold."""
    return None if row.condition is None else compiled(row.condition, model)


@lru_cache(_KEPT)
def _always(
    row: Transition, model: type[Record]
) -> tuple[Action | None, Sequence[tuple[str, Action]]]:
    """What a row writes whatever is given: the target, and what it clears by name."""
    attributes = model.get_attributes()
    target = None if row.target is None else attributes[row.attribute].set(str(row.target))
    return target, [(name, attributes[name].remove()) for name in row.clears]
