"""What a transition came to: it was written, or its condition did not hold."""

from dataclasses import dataclass
from typing import Generic

from ai_coordination_engine.store.record import M


@dataclass(frozen=True, slots=True)
class Applied(Generic[M]):
    """The transition was written, by this call or by its first try; `record` as it is now."""

    record: M


@dataclass(frozen=True, slots=True)
class Rejected(Generic[M]):
    """The transition's condition did not hold; `record` as it stands, None where there is none."""

    record: M | None


Outcome = Applied[M] | Rejected[M]


def applied(outcome: Outcome[M]) -> M | None:
    """The record after a transition that was written, else None."""
    return outcome.record if isinstance(outcome, Applied) else None


def or_repeated(outcome: Outcome[M], **written: object) -> Outcome[M]:
    """The same, but a rejected transition whose record has all that it would have `written` was
    written before: its answer was lost on the way, and the client has repeated it.
    """
    record = outcome.record
    if record is None or any(record.stored(name) != value for name, value in written.items()):
        return outcome
    return Applied(record)
