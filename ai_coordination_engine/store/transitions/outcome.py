"""What a transition came to: it was written, or its condition did not hold."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from ai_coordination_engine.store.models import Record

M = TypeVar("M", bound=Record)


@dataclass(frozen=True, slots=True)
class Applied(Generic[M]):
    """The transition was written, by this call or by its first try; `record` as it is now."""

    record: M


@dataclass(frozen=True, slots=True)
class Rejected(Generic[M]):
    """The transition's condition did not hold; `record` as it stands, None where there is none."""

    record: M | None


Outcome = Applied[M] | Rejected[M]
