"""The outcome of a transition: it was written, or its condition did not hold."""

from typing import Generic

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.store.record import M


@dataclass(frozen=True, slots=True)
class Applied(Generic[M]):
    """The transition was written, by this call or by an earlier try of it (`again`); `record` as it
    is now.
    """

    record: M
    again: bool = False


@dataclass(frozen=True, slots=True)
class Rejected(Generic[M]):
    """The condition of the transition did not hold; `record` as it is stored, None when it does not
    exist.
    """

    record: M | None


Outcome = Applied[M] | Rejected[M]


def applied(outcome: Outcome[M]) -> M | None:
    """The record after a transition that was written, else None."""
    return outcome.record if isinstance(outcome, Applied) else None


def or_repeated(outcome: Outcome[M], **written: object) -> Outcome[M]:
    """The outcome, with a repeated write as `Applied`. When a rejected transition's record has all
    the values in `written`, an earlier try was written and its answer was lost.
    """
    record = outcome.record
    if isinstance(outcome, Applied) or record is None:
        return outcome
    is_written = all(record.stored(name) == value for name, value in written.items())
    return Applied(record, again=True) if is_written else outcome
