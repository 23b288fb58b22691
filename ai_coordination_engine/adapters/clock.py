"""The clock of the operating system."""

from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from time import monotonic


class SystemClock:
    """Implements `ports.Clock` with the clock of this machine."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""
        return datetime.now(UTC)

    def wait(self, seconds: float, until: Event | None) -> None:
        """Return after `seconds`, or as soon as `until` is set."""
        (until or Event()).wait(seconds)


class SteadyClock(SystemClock):
    """The clock of this machine, for durations: it continues even if the machine's clock is set
    back. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last, self._read_at = super().now(), monotonic()

    def now(self) -> datetime:
        """Return the time in UTC, timezone-aware; never earlier than before."""
        with self._lock:
            passed = timedelta(seconds=(read_at := monotonic()) - self._read_at)
            self._last, self._read_at = max(super().now(), self._last + passed), read_at
            return self._last
