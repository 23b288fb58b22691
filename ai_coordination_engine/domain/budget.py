"""What the expressions of one step, or of one request, may cost together. Pure.

A unit is about a tenth of a microsecond of CPU, or ten bytes of memory. Prices depend on what is
given and on nothing else, so that the same work costs the same on every machine, at every
repetition.
"""

MAX_WORK = 20_000_000
"""About two seconds."""


class Spent(Exception):
    """The budget is used up."""


class Budget:
    """What is still left to spend."""

    __slots__ = ("left",)

    def __init__(self, units: int | None = None) -> None:
        self.left = MAX_WORK if units is None else units

    def spend(self, units: int) -> None:
        """Take `units` off; raises `Spent` when less was left."""
        self.left -= units
        self.require(0)

    def require(self, units: int) -> None:
        """Raises `Spent` when less than `units` is left."""
        if units > self.left:
            raise Spent
