"""How large a plan of a planning agent may be, as a task's `planLimits` say. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, fields

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput

MAX_STEPS = 90
"""Steps of any plan: they are all written in one transaction, which takes 100 items."""
_MOST = {"steps": MAX_STEPS, "depth": MAX_STEPS, "map": 10_000, "attempts": 10}
PLAN_FALLBACKS = ("fail", "static")
"""What a session does when no valid plan comes: it fails, or runs the task's own graph."""


@dataclass(frozen=True)
class PlanLimits:
    """At most so many `steps`, so many of them one after another (`depth`), so many elements of
    each `map`, and so many times that the planning agent is asked (`attempts`).
    """

    steps: int = 20
    depth: int = 6
    map: int = 100
    attempts: int = 3

    @classmethod
    def of(cls, given: object) -> "PlanLimits":
        """The limits of a task; what is not given has its default. Raises `BadUserInput`."""
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise BadUserInput("planLimits must be an object, for example {steps: 20}.")
        known = [each.name for each in fields(cls)]
        for name, value in given.items():
            _check(str(name), value, known)
        return cls(**{name: value for name, value in given.items() if value is not None})

    def stored(self) -> dict[str, int]:
        """As they are stored."""
        return asdict(self)


def _check(name: str, value: object, known: list[str]) -> None:
    if name not in known:
        hint = did_you_mean(name[:100], known) or "."
        raise BadUserInput(
            f'planLimits: the key "{name[:100]}" is unknown; it takes {", ".join(known)}{hint}'
        )
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_whole and 1 <= value <= _MOST[name]):  # type: ignore[operator]
        raise BadUserInput(f"planLimits.{name} must be a whole number from 1 to {_MOST[name]}.")
