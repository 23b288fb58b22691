"""Decide what happens when a schedule is due while an earlier session of it still runs. Pure.

`engine.scheduling.firing` asks for each time that is due.
"""

from enum import StrEnum

MAX_BUFFERED = 100  # times


class OverlapPolicy(StrEnum):
    """The values of `overlapPolicy`: what to do with a time while an earlier session runs."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


OVERLAP_POLICIES = tuple(each.value for each in OverlapPolicy)

_BUFFERED = {OverlapPolicy.BUFFER_ONE: 1, OverlapPolicy.BUFFER_ALL: MAX_BUFFERED}


class Firing(StrEnum):
    """What to do with a time that is due."""

    START = "start"
    SKIP = "skip"
    BUFFER = "buffer"
    CANCEL_AND_START = "cancel_and_start"


def firing(policy: OverlapPolicy, *, running: int, buffered: int) -> Firing:
    """What to do with a time that is due.

    `running`: the number of the schedule's sessions that have not ended; a paused one counts.
    `buffered`: the number of times that wait for a session to end. Buffered times go first: a new
    time waits behind them, even if no session runs.
    """
    room = _BUFFERED.get(policy)
    if room is not None and (running or buffered):
        return Firing.BUFFER if buffered < room else Firing.SKIP
    if not running or policy is OverlapPolicy.ALLOW_ALL:
        return Firing.START
    return Firing.CANCEL_AND_START if policy is OverlapPolicy.CANCEL_OTHER else Firing.SKIP
