"""Why the latest time of a schedule did not start a session. Pure."""

from enum import StrEnum
from typing import Any

_LONGEST = 500  # characters of a message


class NotFired(StrEnum):
    """The codes of `whyNotFired` that a schedule keeps."""

    OVERLAP_SKIPPED = "OVERLAP_SKIPPED"
    OVERLAP_BUFFERED = "OVERLAP_BUFFERED"
    MISSED = "MISSED"
    TASK_INVALID = "TASK_INVALID"
    ENDED = "ENDED"
    PAUSED_AFTER_FAILURE = "PAUSED_AFTER_FAILURE"


def why(code: NotFired, message: str) -> dict[str, Any]:
    """The reason as a schedule keeps it."""
    return {"code": str(code), "message": message[:_LONGEST]}
