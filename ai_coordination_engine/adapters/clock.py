"""The clock of the operating system."""

from datetime import UTC, datetime
from threading import Event


class SystemClock:
    """Implements `ports.Clock` with the clock of this machine."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""
        return datetime.now(UTC)

    def wait(self, seconds: float, until: Event | None) -> None:
        """Return after `seconds`, or as soon as `until` is set."""
        (until or Event()).wait(seconds)
