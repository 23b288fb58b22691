"""The accepted statuses and states (contract, section "Rules that clients rely on") and which of
them are final.
"""

from collections.abc import Sequence
from enum import StrEnum

from ai_coordination_engine.errors import BadUserInput


class SessionStatus(StrEnum):
    """What a session is doing."""

    INITIAL = "initial"
    DISPATCHED = "dispatched"
    IN_PROGRESS = "in_progress"
    ACTIVE = "active"
    IN_TRANSIT = "in_transit"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class AgentState(StrEnum):
    """What a session agent is doing; what a `pending` one is pending on is its
    `lifecycle.Phase`.
    """

    INITIAL = "initial"
    PENDING = "pending"
    EXECUTING = "executing"
    WAIT_FOR_USER_INPUT = "wait_for_user_input"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class ScheduleStatus(StrEnum):
    """Whether a schedule fires."""

    INITIAL = "initial"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


SESSION_STATUSES = tuple(each.value for each in SessionStatus)
AGENT_STATES = tuple(each.value for each in AgentState)
SCHEDULE_STATUSES = tuple(each.value for each in ScheduleStatus)

TERMINAL_SESSION_STATUSES = ("completed", "failed", "timeout", "cancelled")
OPEN_SESSION_STATUSES = tuple(
    status for status in SESSION_STATUSES if status not in TERMINAL_SESSION_STATUSES
)
TERMINAL_AGENT_STATES = ("completed", "failed", "skipped", "cancelled")
OPEN_AGENT_STATES = tuple(state for state in AGENT_STATES if state not in TERMINAL_AGENT_STATES)


def check_word(name: str, value: str, accepted: Sequence[str]) -> str:
    """`value` when it is one of `accepted`; raises `BadUserInput` that lists them."""
    if value not in accepted:
        raise BadUserInput(
            f"{name} {value[:100]!r} is unknown; it takes one of: {', '.join(accepted)}."
        )
    return value
