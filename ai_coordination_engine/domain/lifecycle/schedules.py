"""The transitions of a task schedule: a client starts and stops it, and its times are dealt with,
one after the other.
"""

from ai_coordination_engine.domain.lifecycle.transition import StatusTransition
from ai_coordination_engine.domain.predicates import TARGET, Exists, unchanged
from ai_coordination_engine.domain.statuses import ScheduleStatus

DUE = ("next_fire_at", "fire_at", "fire")
_ACTIVE = (ScheduleStatus.ACTIVE,)
_AS_SEEN = unchanged("revision", "next_fire_at", "run_count")

ACTIVATE = StatusTransition(
    "activate",
    "a client lets it fire; where no time is left it is completed",
    (),
    "active",
    by_hand=("active",),
)
STOP = StatusTransition(
    "stop",
    "a client stops it; what was due or waited is dropped",
    (),
    TARGET,
    clears=(*DUE, "buffered", "why"),
    by_hand=("initial", "paused", "completed"),
)
ADVANCE = StatusTransition(
    "advance", "a time is dealt with, and the next one is set", _ACTIVE, None, _AS_SEEN
)
COMPLETE = StatusTransition(
    "complete",
    "nothing is left: no time, not even a buffered one, or no run",
    _ACTIVE,
    ScheduleStatus.COMPLETED,
    _AS_SEEN,
    (*DUE, "buffered"),
)
PAUSE_AFTER_FAILURE = StatusTransition(
    "pause_after_failure",
    "a session of it has failed, or could not start, and it says so of `pauseOnFailure`",
    _ACTIVE,
    ScheduleStatus.PAUSED,
    _AS_SEEN,
    (*DUE, "buffered"),
)
COUNT = StatusTransition(
    "count",
    "sessions were started beside its next time: by hand, or while somebody changed it",
    (),
    None,
    Exists("schedule_uuid") & unchanged("run_count"),
)

SCHEDULE_TRANSITIONS = (ACTIVATE, STOP, ADVANCE, COMPLETE, PAUSE_AFTER_FAILURE, COUNT)
