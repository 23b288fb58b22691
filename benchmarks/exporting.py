"""Count what traces and metrics add to one more agent of a chain, in calls of Python functions.

All are of the same run: a step beside the same step without what looks whether anything is to be
exported, and a step whose spans and measurements go to OpenTelemetry's SDK.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ai_coordination_engine.adapters.telemetry.exports import Exports
from ai_coordination_engine.adapters.telemetry.otel_meter import OtelMeter
from ai_coordination_engine.adapters.telemetry.otel_spans import OtelSpans
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.app import App
from benchmarks import backends, sessions
from benchmarks.statements import HOW, LONG, SHORT, drain
from benchmarks.table import Row


@dataclass
class Calls:
    """The calls of Python functions: all, and those that look whether to export."""

    all: int = 0
    hooks: int = 0


def measure() -> Iterator[Row]:
    with backends.sqlite() as app, sessions.client(app) as api, exporting(app) as exported:
        plans = [sessions.Plan.of(api, sessions.chain(count)) for count in (SHORT, LONG)]
        off, on = one_more(app, plans), one_more(exported, plans)
    yield Row(
        "Python calls of one more agent, nothing exported, beside the same without the hooks",
        "≤ 1.02 ×",
        f"{off.all / (off.all - off.hooks):.3f} ×",
        f"{off.hooks / (LONG - SHORT):.1f} of {off.all / (LONG - SHORT):.0f} calls; {HOW}, sqlite",
    )
    yield Row(
        "the same with spans and metrics to OpenTelemetry's SDK, beside nothing exported",
        "–",
        f"{on.all / off.all:.2f} ×",
        f"{(on.all - off.all) / (LONG - SHORT):.0f} calls more; sent in another thread; {HOW}",
    )


@contextmanager
def exporting(app: App) -> Iterator[App]:
    """The application, with spans and measurements that stay in memory."""
    tracer = TracerProvider(shutdown_on_exit=False)
    tracer.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    try:
        yield replace(app, telemetry=Exports(OtelSpans(tracer), [OtelMeter(meter)]))
    finally:
        tracer.shutdown()
        meter.shutdown()


def one_more(app: App, plans: list[sessions.Plan]) -> Calls:
    """What the agents of the longer session take that those of the shorter one do not."""
    for plan in plans:  # the first ones do what happens only once
        plan.start()
        drain(app)
    found = []
    for plan in plans:
        plan.start()
        with counting() as calls:
            drain(app)
        found.append(calls)
    fewer, more = found
    return Calls(more.all - fewer.all, more.hooks - fewer.hooks)


@contextmanager
def counting() -> Iterator[Calls]:
    """Count the calls of this thread while the context is open."""
    calls, hooks = Calls(), traces.__file__

    def seen(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls.all += 1
            calls.hooks += frame.f_code.co_filename == hooks

    sys.setprofile(seen)
    try:
        yield calls
    finally:
        sys.setprofile(None)
