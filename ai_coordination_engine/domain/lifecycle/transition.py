"""A transition as a row of data."""

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.predicates import TARGET, OneOf, Predicate, Value, valued


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """One transition: from these states (none: from any) to the target (None: the state stays), if
    `requires` holds. A state may be `Given` by the caller.

    The attributes in `clears` are removed, unless the caller sets them in the same write.
    `by_hand`: the states that a client may set by this row.
    """

    attribute: ClassVar[str] = "state"

    name: str
    does: str
    source: tuple[Value, ...]
    target: Value | None
    requires: Predicate | None = None
    clears: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def condition(self) -> Predicate | None:
        """The state and what must hold, as one predicate."""
        if not self.source:
            return self.requires
        state = OneOf(self.attribute, self.source)
        return state if self.requires is None else state & self.requires


@dataclass(frozen=True, slots=True, eq=False)
class StatusTransition(Transition):
    """A row of a record whose state is called its status."""

    attribute: ClassVar[str] = "status"


def row_by_hand(rows: Iterable[Transition], state: object) -> Transition | None:
    """The row by which a client sets this state; None when no client may."""
    given = {TARGET.name: state}
    for row in rows:
        if state in row.by_hand:
            source = dict.fromkeys(valued(each, given) for each in row.source)
            return replace(row, source=tuple(source), target=state)
    return None
