"""The protocol for what operators see of the work: traces and metrics.

A process without it (`App.telemetry` is None) computes nothing for it.
"""

from typing import Protocol

from ai_coordination_engine.domain.trace_context import TraceContext


class Telemetry(Protocol):
    """Exports spans and metrics. Thread-safe; never raises, and never waits for a collector."""

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        """The context that the trace of a session begins with: the sampler's flags, and the
        caller's `tracestate`. Without a caller its `span_id` is empty.

        Every process with the same sampler decides the same.
        """
