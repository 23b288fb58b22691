"""The accepted statuses and states of records, and which of them are final.

Source: the contract, section "Rules that clients rely on". Used by the store, the engine and the
API.
"""

from collections.abc import Sequence
from enum import StrEnum

from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput


class SessionStatus(StrEnum):
    """The status of a session."""

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
    """The state of a session agent. `lifecycle.Phase` says what a `pending` agent waits for."""

    INITIAL = "initial"
    PENDING = "pending"
    EXECUTING = "executing"
    WAIT_FOR_USER_INPUT = "wait_for_user_input"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class ScheduleStatus(StrEnum):
    """The status of a task schedule. It fires only while it is `active`."""

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


def check_enum(name: str, value: str, accepted: Sequence[str]) -> str:
    """Return `value` if it is one of `accepted`; else raise `BadUserInput` that lists them."""
    if value not in accepted:
        raise BadUserInput(
            f"{name} {value[:100]!r} is unknown{did_you_mean(value, accepted) or ';'}"
            f" it takes one of: {', '.join(accepted)}."
        )
    return value
