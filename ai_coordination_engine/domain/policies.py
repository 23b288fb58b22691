"""What happens when an attempt fails: try again after a backoff, fall back, or fail. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from random import Random

ERROR_CLASSES = (
    "timeout",
    "rate_limit",
    "unavailable",
    "invalid_request",
    "invalid_output",
    "error",
    "lost",
    "not_allowed",
)
"""How failures are told apart: too slow, refused for load, not reachable or broken, refused for
what was asked, an answer that cannot be used, raised by the agent itself, no answer at all, not
allowed by the settings.
"""

LONGEST_RETRY_AFTER = 86_400.0  # seconds; a longer wait is cut to a day
# of the wait, taken off at random, so that those who failed together do not return together
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Policy:
    """How often an agent is tried and how long apart; seconds. `retry_on` None: whatever says it
    may succeed later.
    """

    attempts: int
    backoff_seconds: float
    backoff_factor: float
    max_backoff_seconds: float
    retry_on: Sequence[str] | None = None

    def retries(self, failures: int, *, retryable: bool, error_class: str) -> bool:
        """Whether another attempt follows the failed one, the `failures`-th."""
        wanted = retryable if self.retry_on is None else error_class in self.retry_on
        return wanted and failures < self.attempts

    def wait(self, failures: int, retry_after: float | None, random: Random) -> float:
        """Seconds until the next attempt after `failures` failed ones: exponential with jitter, but
        never sooner than the other side asked for.
        """
        exponential = min(
            self.backoff_seconds * self.backoff_factor ** min(failures - 1, 64),
            self.max_backoff_seconds,
        )
        asked = retry_after if retry_after is not None and isfinite(retry_after) else 0
        return max(exponential * (1 - JITTER * random.random()), min(asked, LONGEST_RETRY_AFTER))
