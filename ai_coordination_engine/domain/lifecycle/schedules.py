"""The transitions of a task schedule: a client sets its status."""

from ai_coordination_engine.domain.lifecycle.transition import StatusTransition
from ai_coordination_engine.domain.predicates import TARGET
from ai_coordination_engine.domain.statuses import SCHEDULE_STATUSES

SET_BY_HAND = StatusTransition(
    "set_by_hand", "a client sets any status", (), TARGET, by_hand=SCHEDULE_STATUSES
)

SCHEDULE_TRANSITIONS = (SET_BY_HAND,)
