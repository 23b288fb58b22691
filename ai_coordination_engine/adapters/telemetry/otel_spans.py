"""Spans with ids of our own through OpenTelemetry's SDK, whoever has configured it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import local
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
    use_span,
)

from ai_coordination_engine.adapters.telemetry.contents import Contents
from ai_coordination_engine.domain import gen_ai
from ai_coordination_engine.domain.spans import Span
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult

_SCOPE = "ai_coordination_engine"


class OwnIds(IdGenerator):
    """Generates the ids that this thread wants, else random ones."""

    def __init__(self) -> None:
        self._wanted = local()
        self._random = RandomIdGenerator()

    @contextmanager
    def wanted(self, trace_id: int, span_id: int) -> Iterator[None]:
        """The ids of the next span of this thread."""
        self._wanted.ids = trace_id, span_id
        try:
            yield
        finally:
            self._wanted.ids = None

    def generate_trace_id(self) -> int:
        """The id of a trace."""
        ids = getattr(self._wanted, "ids", None)
        return ids[0] if ids else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """The id of a span."""
        ids = getattr(self._wanted, "ids", None)
        return ids[1] if ids else self._random.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Whether traces are marked so: no, ours are computed."""
        return False


class OtelSpans:
    """Spans through a provider of the SDK: its sampler, limits and processors apply.

    `contents`: what is kept of inputs and outputs; None: they are not exported.
    """

    def __init__(self, provider: TracerProvider, contents: Contents | None = None) -> None:
        self._sampler = provider.sampler
        self._ids, self._contents = OwnIds(), contents
        tracer = provider.get_tracer(_SCOPE, schema_url=gen_ai.SCHEMA)
        if isinstance(tracer, Tracer):
            tracer.id_generator = self._ids
        self._tracer = tracer

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        """As `Telemetry.root`."""
        result = self._sampler.should_sample(
            _below(caller, caller.span_id if caller else ""),
            int(trace_id, 16),
            gen_ai.INVOKE_WORKFLOW,
            SpanKind.INTERNAL,
        )
        random = caller.flags & TraceFlags.RANDOM_TRACE_ID if caller else 0
        is_sampled = result.decision is Decision.RECORD_AND_SAMPLE
        flags = random | (TraceFlags.SAMPLED if is_sampled else 0)
        state = result.trace_state.to_header() if result.trace_state else ""
        return TraceContext(trace_id, caller.span_id if caller else "", flags, state)

    def running(self, attempt: TraceContext) -> AbstractContextManager[object]:
        """As `Telemetry.running`."""
        span = NonRecordingSpan(_span_context(attempt, attempt.span_id))
        return use_span(span, record_exception=False, set_status_on_exception=False)

    def keep(self, attempt: TraceContext, request: AgentRequest, result: AgentResult) -> None:
        """As `Telemetry.content`."""
        if self._contents is not None and attempt.is_sampled:
            self._contents.keep(attempt.span_id, request, result)

    def content(self, span_id: str) -> Mapping[str, Any] | None:
        """As `Spans.content`."""
        return None if self._contents is None else self._contents.take(span_id)

    def export(self, root: TraceContext, made: Iterable[Span]) -> None:
        """As `Spans.export`."""
        for each in made:
            self._export(root, each)

    def _export(self, root: TraceContext, made: Span) -> None:
        links = [Link(_span_context(root, made.link))] if made.link else []
        with self._ids.wanted(int(root.trace_id, 16), int(made.span_id, 16)):
            span = self._tracer.start_span(
                made.name,
                _below(root, made.parent_id),
                SpanKind.CLIENT if made.calls else SpanKind.INTERNAL,
                {**made.attributes, **({gen_ai.ERROR_TYPE: made.error} if made.error else {})},
                links,
                _nanoseconds(made.started),
            )
        if made.error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(made.ended))


def _below(trace: TraceContext | None, parent_id: str) -> Context:
    """The context of a span below this one; an empty one has no parent."""
    if trace is None or not parent_id:
        return Context()
    return set_span_in_context(NonRecordingSpan(_span_context(trace, parent_id)), Context())


def _nanoseconds(seconds: float) -> int:
    """The same in nanoseconds, exact to the microsecond."""
    return round(seconds * 1_000_000) * 1_000


def _span_context(trace: TraceContext, span_id: str) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
