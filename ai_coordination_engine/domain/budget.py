"""Limit the work that tenants' expressions and schemas may cause in one step or request. Pure.

A unit is about 0.1 microseconds of CPU time, or ten bytes of memory. A price depends only on the
input, so that the same work costs the same on every machine and each time it is repeated.
"""

MAX_WORK = 20_000_000
"""The units of one step or request: about two seconds."""


class Spent(Exception):
    """The budget is used up."""


class Budget:
    """The units that are left; `MAX_WORK` at first, if no number is given."""

    __slots__ = ("left",)

    def __init__(self, units: int | None = None) -> None:
        self.left = MAX_WORK if units is None else units

    def spend(self, units: int) -> None:
        """Subtract `units`; raise `Spent` if fewer were left."""
        self.left -= units
        self.require(0)

    def require(self, units: int) -> None:
        """Raise `Spent` if fewer than `units` are left; subtract nothing."""
        if units > self.left:
            raise Spent
