"""What a process exports: spans, and measurements to each output."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock, Thread
from typing import Any, Protocol

from ai_coordination_engine.domain import instruments, spans
from ai_coordination_engine.domain.instruments import TENANT, Bounded, Measurement
from ai_coordination_engine.domain.observed import EndedAttempt, EndedSession
from ai_coordination_engine.domain.spans import Span
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult


class Spans(Protocol):
    """Where spans go."""

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        """As `Telemetry.root`."""

    def running(self, attempt: TraceContext) -> AbstractContextManager[object]:
        """As `Telemetry.running`."""

    def keep(self, attempt: TraceContext, request: AgentRequest, result: AgentResult) -> None:
        """As `Telemetry.content`."""

    def content(self, span_id: str) -> Mapping[str, Any] | None:
        """The attributes of what an attempt was given and answered; None: none are exported."""

    def export(self, root: TraceContext, made: Iterable[Span]) -> None:
        """Queue spans of a sampled trace."""


class Meter(Protocol):
    """An output of measurements."""

    def measure(self, measured: Measurement) -> None:
        """Add a value."""


class Exports:
    """Exports to one sink of spans, if any, and to meters. Thread-safe.

    `by_tenant`: measurements of attempts and sessions have the tenant as a label. `flushes` and
    `closes`: what sends the rest; each may wait for a collector.
    """

    def __init__(
        self,
        traces: Spans | None,
        meters: Sequence[Meter],
        *,
        by_tenant: bool = False,
        flushes: Sequence[Callable[[], object]] = (),
        closes: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._traces, self._meters, self._by_tenant = traces, meters, by_tenant
        self._flushes, self._closes = flushes, closes
        self._bounded, self._lock = Bounded(), Lock()

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        """As `Telemetry.root`. Without spans, a trace of its own is not sampled."""
        if self._traces is not None:
            return self._traces.root(trace_id, caller)
        return caller or TraceContext(trace_id, "", 0)

    def running(self, attempt: TraceContext) -> AbstractContextManager[object]:
        """As `Telemetry.running`."""
        return nullcontext() if self._traces is None else self._traces.running(attempt)

    def content(self, attempt: TraceContext, request: AgentRequest, result: AgentResult) -> None:
        """As `Telemetry.content`."""
        if self._traces is not None:
            self._traces.keep(attempt, request, result)

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        """As `Telemetry.attempt_ended`."""
        if self._traces is not None:
            content = self._traces.content(attempt.span_id)
            self._export(attempt, lambda: spans.of_attempt(attempt, content))

    def attempt_measured(self, attempt: EndedAttempt, *, usage_alone: bool = False) -> None:
        """As `Telemetry.attempt_measured`."""
        measured = instruments.of_usage if usage_alone else instruments.of_attempt
        self._measure(measured(attempt), attempt.tenant)

    def session_ended(self, session: EndedSession) -> None:
        """As `Telemetry.session_ended`."""
        self._export(session, lambda: [spans.of_session(session)])
        self._measure(instruments.of_session(session), session.tenant)

    def handed_off(self, seconds: float) -> None:
        """As `Telemetry.handed_off`."""
        self._measure([Measurement(instruments.HAND_OFF, seconds)])

    def received(self, seconds: float) -> None:
        """As `Telemetry.received`."""
        self._measure([Measurement(instruments.QUEUE_AGE, max(seconds, 0.0))])

    def flush(self, seconds: float) -> None:
        """As `Telemetry.flush`."""
        _within(seconds, self._flushes)

    def close(self, seconds: float) -> None:
        """As `Telemetry.close`."""
        _within(seconds, self._closes)

    def _export(self, of: EndedAttempt | EndedSession, make: Callable[[], Iterable[Span]]) -> None:
        if self._traces is None:
            return
        try:
            root = self._traces.root(of.trace_id, of.caller)
            if root.is_sampled:
                self._traces.export(root, make())
        except Exception:  # never in the way of the work
            logger.exception("could not export a span")

    def _measure(self, measured: Iterable[Measurement], tenant: str | None = None) -> None:
        own = {TENANT: tenant} if self._by_tenant and tenant is not None else {}
        try:
            for each in measured:
                with self._lock:
                    labels = self._bounded({**each.labels, **own})
                for meter in self._meters:
                    meter.measure(Measurement(each.instrument, each.value, labels))
        except Exception:  # never in the way of the work
            logger.exception("could not export a measurement")


def _within(seconds: float, calls: Sequence[Callable[[], object]]) -> None:
    """Make the calls at the same time, in threads that end with the process; return when they have
    ended, or after `seconds`.
    """
    threads = [Thread(target=_logged, args=(each,), daemon=True) for each in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds / len(threads))


def _logged(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        logger.exception("could not send spans or measurements")
