"""The system's clock."""

from datetime import UTC, datetime


class SystemClock:
    """`ports.Clock` of the machine that runs it."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)
