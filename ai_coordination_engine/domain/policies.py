"""The retry policy of an agent: whether and when a failed attempt is tried again. Pure."""

from collections.abc import Sequence
from math import isfinite
from random import Random

from ai_coordination_engine.data_classes import dataclass

ERROR_CLASSES = (
    "timeout",
    "rate_limit",
    "unavailable",
    "invalid_request",
    "invalid_output",
    "error",
    "lost",
    "not_allowed",
    "budget",
)
"""The classes of errors. In this order: too slow; refused because of load; not reachable or broken;
the request is refused; the output cannot be used; the agent raised an error; the worker died;
forbidden by the settings; it does not fit into a budget.
"""

LONGEST_RETRY_AFTER = 86_400.0  # seconds; a longer `Retry-After` is cut to a day
# A random part of up to this share is taken off a wait, so that agents that failed at the same time
# do not all retry at the same time.
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Policy:
    """How often an agent is tried, and how long it waits between attempts (seconds).

    `retry_on`: the classes of errors that are tried again; None: every error that is marked as
    retryable.
    """

    attempts: int
    backoff_seconds: float
    backoff_factor: float
    max_backoff_seconds: float
    retry_on: Sequence[str] | None = None

    def retries(self, failures: int, *, retryable: bool, error_class: str) -> bool:
        """Whether another attempt follows after `failures` failed attempts."""
        wanted = retryable if self.retry_on is None else error_class in self.retry_on
        return wanted and failures < self.attempts

    def wait(self, failures: int, retry_after: float | None, random: Random) -> float:
        """Seconds until the next attempt, after `failures` failed ones.

        The wait grows exponentially, with jitter. It is never shorter than `retry_after`, which the
        server of the agent asked for, up to `LONGEST_RETRY_AFTER`.
        """
        exponential = min(
            self.backoff_seconds * self.backoff_factor ** min(failures - 1, 64),
            self.max_backoff_seconds,
        )
        asked = retry_after if retry_after is not None and isfinite(retry_after) else 0
        return max(exponential * (1 - JITTER * random.random()), min(asked, LONGEST_RETRY_AFTER))
