"""Typed details of one attempt, read from the free-form JSON that a session run stores.

Used by the API for the field `attempt` of a session run.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.tool_calls import plain_tool_calls
from ai_coordination_engine.domain.usage import MAX_COUNT, Usage, whole_number


@dataclass(frozen=True, slots=True)
class Attempt:
    """The details of one attempt.

    A detail that is missing, or has the wrong type, is None. Times are in UTC. `status` is
    completed, failed, lost, asked (a person was asked; another attempt goes on), pending (a long
    job is running) or expired (a long job sent no heartbeat in time). `cost_micro_usd`: what its
    `usage` costs by the prices of `price_version`; None if the usage is unknown or has no price.
    """

    details: Mapping[str, object] | None = None
    status: str | None = None
    attempt: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    error_class: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_micro_usd: int | None = None
    price_version: str | None = None

    @property
    def tool_calls(self) -> list[dict[str, Any]] | None:
        """The tool calls, as far as they are calls; None without one."""
        return plain_tool_calls((self.details or {}).get("tool_calls")) or None

    @classmethod
    def of(cls, details: object, late: Mapping[str, object] | None = None) -> "Attempt":
        """Read the stored details of a run, and those that came `late`. Without details, every
        field is None.
        """
        if not isinstance(details, Mapping):
            return cls()
        details = {**details, **late} if late else details
        attempt = whole_number(details.get("attempt"))
        return cls(
            details=details,
            status=_text(details.get("status")),
            attempt=attempt if attempt is not None and attempt <= MAX_COUNT else None,
            started_at=_moment(details.get("started_at")),
            ended_at=_moment(details.get("ended_at")),
            error=_text(details.get("error")),
            error_class=_text(details.get("error_class")),
            usage=Usage.of(details.get("usage")),
            cost_micro_usd=whole_number(details.get("cost_micro_usd")),
            price_version=_text(details.get("price_version")),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
