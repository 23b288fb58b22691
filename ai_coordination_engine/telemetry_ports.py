"""The protocol for what operators see of the work: traces and metrics.

A process without it (`App.telemetry` is None) computes nothing for it.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from ai_coordination_engine.domain.observed import EndedAttempt, EndedSession
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult


class Telemetry(Protocol):
    """Exports spans and metrics. Thread-safe; never raises, and never waits for a collector, but in
    `flush` and `close`.
    """

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        """The context that the trace of a session begins with: the sampler's flags, and the
        caller's `tracestate`. Its `span_id` is the caller's, or empty.

        Every process with the same sampler decides the same.
        """

    def running(self, attempt: TraceContext) -> AbstractContextManager[object]:
        """A context in which spans of other instrumentation are below the attempt."""

    def content(self, attempt: TraceContext, request: AgentRequest, result: AgentResult) -> None:
        """What an attempt was given and has answered; kept for its span only where the operator
        wants that exported.
        """

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        """Export the spans of an attempt whose run is stored. It may come again."""

    def attempt_measured(self, attempt: EndedAttempt, *, usage_alone: bool = False) -> None:
        """Measure an attempt that has ended. `usage_alone`: the rest of it was measured before."""

    def session_ended(self, session: EndedSession) -> None:
        """Export a session whose end is stored."""

    def handed_off(self, seconds: float) -> None:
        """An agent began so many seconds after its last predecessor had ended."""

    def received(self, seconds: float) -> None:
        """A message is handled so many seconds after it could have been."""

    def flush(self, seconds: float) -> None:
        """Send what is not sent yet; returns after `seconds` at most."""

    def close(self, seconds: float) -> None:
        """Send what is not sent yet and stop; returns after `seconds` at most."""
