"""The transitions of a task schedule: a client starts and stops it."""

from ai_coordination_engine.domain.lifecycle.transition import StatusTransition
from ai_coordination_engine.domain.predicates import TARGET

DUE = ("next_fire_at", "fire_at", "fire")

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

SCHEDULE_TRANSITIONS = (ACTIVATE, STOP)
