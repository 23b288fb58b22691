"""The metrics: one row each, from which both outputs are made, and what is measured. Pure.

No label is a uuid: the number of time series is bounded. Models are text of records; `Bounded`
keeps the first of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Literal

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.gen_ai import ERROR_TYPE, RESPONSE_MODEL, TOKEN_TYPE
from ai_coordination_engine.domain.observed import EndedAttempt, EndedSession
from ai_coordination_engine.domain.usage import Usage

MOST_VALUES = 50
"""Different values of a label in a process; further ones are counted as `OTHER`."""
OTHER = "other"
TENANT = "ace.tenant"
_KIND, _STATUS = "ace.runtime.kind", "ace.attempt.status"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric: its name in OpenTelemetry and in CloudWatch, and its labels.

    A `counter` adds up, a `histogram` is a distribution of seconds.
    """

    name: str
    emf_name: str
    kind: Literal["counter", "histogram"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()

    @property
    def buckets(self) -> tuple[float, ...] | None:
        """The bounds of a histogram's buckets."""
        return _BUCKETS if self.kind == "histogram" else None


SESSIONS = Instrument(
    "ace.sessions",
    "Sessions",
    "counter",
    "{session}",
    "sessions that have ended, by status",
    ("ace.session.status",),
)
ATTEMPTS = Instrument(
    "ace.attempts",
    "Attempts",
    "counter",
    "{attempt}",
    "attempts that have ended, by kind of runtime, status and error class",
    (_KIND, _STATUS, ERROR_TYPE),
)
ATTEMPT_DURATION = Instrument(
    "ace.attempt.duration",
    "AttemptDuration",
    "histogram",
    "s",
    "how long attempts took",
    (_KIND, _STATUS),
)
HAND_OFF = Instrument(
    "ace.hand_off.latency",
    "HandOffLatency",
    "histogram",
    "s",
    "from the end of an agent's last predecessor to its first attempt",
)
QUEUE_AGE = Instrument(
    "ace.queue.age",
    "QueueAge",
    "histogram",
    "s",
    "from the time at which a message may be handled to its handling",
)
TOKENS = Instrument(
    "ace.tokens",
    "Tokens",
    "counter",
    "{token}",
    "tokens that models used, by model and type (input, output)",
    (RESPONSE_MODEL, TOKEN_TYPE),
)
COST = Instrument(
    "ace.cost",
    "CostMicroUsd",
    "counter",
    "{micro_usd}",
    "what attempts cost as far as known, in millionths of a US dollar, by model",
    (RESPONSE_MODEL,),
)
UNPRICED = Instrument(
    "ace.unpriced",
    "Unpriced",
    "counter",
    "{attempt}",
    "attempts that asked a model whose price is not known, by model",
    (RESPONSE_MODEL,),
)
INSTRUMENTS = (
    SESSIONS,
    ATTEMPTS,
    ATTEMPT_DURATION,
    HAND_OFF,
    QUEUE_AGE,
    TOKENS,
    COST,
    UNPRICED,
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of an instrument, with the value of each of its labels."""

    instrument: Instrument
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def of_session(session: EndedSession) -> Iterator[Measurement]:
    """What is measured of a session that has ended."""
    yield Measurement(SESSIONS, 1, {"ace.session.status": session.status})


def of_attempt(attempt: EndedAttempt) -> Iterator[Measurement]:
    """What is measured of an attempt that has ended."""
    labels = {_KIND: attempt.kind, _STATUS: attempt.status}
    yield Measurement(ATTEMPTS, 1, {**labels, ERROR_TYPE: attempt.error_class or "none"})
    yield Measurement(ATTEMPT_DURATION, max(attempt.ended - attempt.started, 0.0), labels)
    yield from of_usage(attempt)


def of_usage(attempt: EndedAttempt) -> Iterator[Measurement]:
    """What is measured of what an attempt has used."""
    usage = Usage.of(attempt.usage)
    model = {RESPONSE_MODEL: usage.model or attempt.model or "unknown"}
    for name, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        if count:
            yield Measurement(TOKENS, count, {**model, TOKEN_TYPE: name})
    if attempt.cost:
        yield Measurement(COST, attempt.cost, model)
    elif attempt.cost is None and usage.is_metered:
        yield Measurement(UNPRICED, 1, model)


class Bounded:
    """Keeps the number of different values of each label below a bound. One in each process."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._seen: dict[str, set[str]] = {}

    def __call__(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels, with `OTHER` for values that are too many."""
        return {name: self._value(name, value) for name, value in labels.items()}

    def _value(self, name: str, value: str) -> str:
        seen = self._seen.setdefault(name, set())
        if value not in seen and len(seen) < self._most:
            seen.add(value)
        return value if value in seen else OTHER
