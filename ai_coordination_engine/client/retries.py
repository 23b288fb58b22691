"""When the client tries a call again, and after how long."""

import random
import sys
from dataclasses import dataclass, replace

from ai_coordination_engine.client.errors import ApiError


@dataclass(frozen=True, slots=True)
class Retries:
    """Limits of retries: `attempts` in all, and `seconds` from the first attempt to the last one.

    The pause before retry n is random, up to `first * 2**(n-1)` and `longest` seconds ("full
    jitter"), and at least what the server asks for with `Retry-After`.
    """

    attempts: int = 5
    seconds: float = 60.0
    first: float = 0.25
    longest: float = 10.0

    def of_streams(self) -> "Retries":
        """Return the limits for a subscription, which is opened again as long as time is left."""
        return self if self.attempts == 1 else replace(self, attempts=sys.maxsize)

    def pause(
        self, error: ApiError, attempt: int, elapsed: float, *, repeatable: bool
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is none.

        `attempt` counts from 1, `elapsed` is the time since the first one. A call that is not
        repeatable is tried again only if the server has certainly not seen it.
        """
        may_repeat = repeatable or not error.sent
        if not (error.retryable and may_repeat) or attempt >= self.attempts:
            return None
        backoff = random.uniform(0, min(self.first * 2.0 ** min(attempt - 1, 64), self.longest))  # noqa: S311
        pause = max(backoff, error.retry_after or 0.0)
        return pause if elapsed + pause <= self.seconds else None


DEFAULT_RETRIES = Retries()
NO_RETRIES = Retries(attempts=1)
