"""Why a schedule did not start a session at its latest time. Pure.

The engine stores the reason in the schedule; the API answers it as `whyNotFired`.
"""

from enum import StrEnum
from typing import Any

_LONGEST = 500  # characters of a message


class NotFired(StrEnum):
    """The codes of `whyNotFired` that are stored in a schedule."""

    OVERLAP_SKIPPED = "OVERLAP_SKIPPED"
    OVERLAP_BUFFERED = "OVERLAP_BUFFERED"
    MISSED = "MISSED"
    TASK_INVALID = "TASK_INVALID"
    ENDED = "ENDED"
    PAUSED_AFTER_FAILURE = "PAUSED_AFTER_FAILURE"


def why(code: NotFired, message: str) -> dict[str, Any]:
    """The reason as it is stored in a schedule; a long message is cut."""
    return {"code": str(code), "message": message[:_LONGEST]}
