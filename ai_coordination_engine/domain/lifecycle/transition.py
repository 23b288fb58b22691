"""A transition as a row of data."""

from dataclasses import dataclass

from ai_coordination_engine.domain.predicates import OneOf, Predicate


@dataclass(frozen=True, slots=True)
class Transition:
    """A row: from these states (none: whatever the state) to that one (None: it stays), if
    `requires` holds.

    What it `clears` is removed, unless the caller sets it in the same write.
    """

    name: str
    does: str
    source: tuple[str, ...]
    target: str | None
    requires: Predicate | None = None
    clears: tuple[str, ...] = ()

    @property
    def condition(self) -> Predicate | None:
        """The state and what must hold, as one predicate."""
        if not self.source:
            return self.requires
        state = OneOf("state", self.source)
        return state if self.requires is None else state & self.requires
