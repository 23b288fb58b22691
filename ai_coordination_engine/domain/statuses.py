"""The accepted statuses and states (contract, section "Rules that clients rely on") and which of them are final."""

from collections.abc import Sequence

from ai_coordination_engine.errors import BadUserInput

SESSION_STATUSES = (
    "initial",
    "dispatched",
    "in_progress",
    "active",
    "in_transit",
    "paused",
    "completed",
    "failed",
    "timeout",
    "cancelled",
)
AGENT_STATES = (
    "initial",
    "pending",
    "executing",
    "wait_for_user_input",
    "completed",
    "failed",
    "skipped",
    "cancelled",
)
SCHEDULE_STATUSES = ("initial", "active", "paused", "completed")

TERMINAL_SESSION_STATUSES = ("completed", "failed", "timeout", "cancelled")
OPEN_SESSION_STATUSES = tuple(status for status in SESSION_STATUSES if status not in TERMINAL_SESSION_STATUSES)
TERMINAL_AGENT_STATES = ("completed", "failed", "skipped", "cancelled")
OPEN_AGENT_STATES = tuple(state for state in AGENT_STATES if state not in TERMINAL_AGENT_STATES)


def check_word(name: str, value: str, accepted: Sequence[str]) -> str:
    """`value` when it is one of `accepted`; raises `BadUserInput` that lists them."""
    if value not in accepted:
        raise BadUserInput(f"{name} {value[:100]!r} is unknown; it takes one of: {', '.join(accepted)}.")
    return value
