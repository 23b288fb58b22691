"""The system's clock."""

from datetime import UTC, datetime
from threading import Event


class SystemClock:
    """`ports.Clock` of the machine that runs it."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float, until: Event | None) -> None:
        """Return after so many seconds, or as soon as `until` is set."""
        (until or Event()).wait(seconds)
