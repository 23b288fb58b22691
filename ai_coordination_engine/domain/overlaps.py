"""What a schedule does when its time comes while an earlier session of it still runs. Pure."""

from enum import StrEnum

MAX_BUFFERED = 100  # times


class OverlapPolicy(StrEnum):
    """What becomes of a time that comes too early."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


OVERLAP_POLICIES = tuple(each.value for each in OverlapPolicy)

_BUFFERED = {OverlapPolicy.BUFFER_ONE: 1, OverlapPolicy.BUFFER_ALL: MAX_BUFFERED}


class Firing(StrEnum):
    """What to do with a time."""

    START = "start"
    SKIP = "skip"
    BUFFER = "buffer"
    CANCEL_AND_START = "cancel_and_start"


def firing(policy: OverlapPolicy, *, running: int, buffered: int) -> Firing:
    """What to do with a time that has come, beside the sessions of the schedule that have not ended
    (a paused one has not) and the times that wait for that.

    A buffered time goes first: where some wait, a new one waits behind them even if nothing runs.
    """
    room = _BUFFERED.get(policy)
    if room is not None and (running or buffered):
        return Firing.BUFFER if buffered < room else Firing.SKIP
    if not running or policy is OverlapPolicy.ALLOW_ALL:
        return Firing.START
    return Firing.CANCEL_AND_START if policy is OverlapPolicy.CANCEL_OTHER else Firing.SKIP
