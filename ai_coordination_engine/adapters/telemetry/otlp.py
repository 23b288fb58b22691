"""The SDK and the OTLP exporters, configured by the standard variables `OTEL_*`.

Only a process in which an endpoint is set imports this module.
"""

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ai_coordination_engine.adapters.causes import why
from ai_coordination_engine.observability import SERVICE, logger

_HEADERS = "opentelemetry.util.re"  # the logger that would log a header, which is a secret
_TALKATIVE = ("opentelemetry.exporter", "opentelemetry.sdk", _HEADERS)
_EXPORTING = re.compile("export|Queue full")
_CREDENTIALS = re.compile(r"[^\s'\"/]+@")  # in a URL
_MOST = 100  # different lines
_AWAY = (
    "traces and metrics do not arrive, and work goes on without: look whether the collector of"
    " OTEL_EXPORTER_OTLP_ENDPOINT runs"
)


class OwnMetrics(OTLPMetricExporter):
    """Exports the metrics of the process that made it, not those that a forked child inherits."""

    _made_by = 0

    def __init__(self) -> None:
        super().__init__()
        self._made_by = os.getpid()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **more: Any
    ) -> MetricExportResult:
        """Send what was collected."""
        if os.getpid() != self._made_by:
            return MetricExportResult.SUCCESS
        return super().export(metrics_data, timeout_millis, **more)


def resource() -> Resource:
    """What the standard variables say of the service; a name and an instance where they do not."""
    own: Mapping[str, str] = {SERVICE_NAME: SERVICE, SERVICE_INSTANCE_ID: str(uuid4())}
    said = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in own.items() if name not in said})


def tracer_provider(of: Resource) -> TracerProvider:
    """The provider that exports spans; it becomes the process's."""
    _log_ourselves()
    provider = TracerProvider(resource=of, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def meter_provider(of: Resource) -> MeterProvider:
    """The provider that exports metrics."""
    _log_ourselves()
    reader = PeriodicExportingMetricReader(OwnMetrics())
    return MeterProvider([reader], of, shutdown_on_exit=False)


class OneWarning(logging.Handler):
    """Turns what the libraries log of a collector that is away, each time they try, into one
    warning in `seconds`; so is each other line of theirs. Programs that configure Python's logging
    get the lines of the libraries, too.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(logging.WARNING)
        self._seconds = seconds
        self._next: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Warn, unless that was done already a short time ago."""
        is_away = _EXPORTING.search(str(record.msg)) is not None
        event = _AWAY if is_away else _CREDENTIALS.sub("***@", record.getMessage())
        if (now := time.monotonic()) < self._next.get(event, now) or len(self._next) > _MOST:
            return
        self._next[event] = now + self._seconds
        logger.warning(event, extra={"reason": _reason(record)} if is_away else None)


def _reason(record: logging.LogRecord) -> str:
    given = record.args if isinstance(record.args, tuple) else ()
    errors = [each for each in given if isinstance(each, Exception)]
    return _CREDENTIALS.sub("***@", why(errors[0]) if errors else record.getMessage())


_ONE_WARNING = OneWarning(300)


def _log_ourselves() -> None:
    logging.getLogger(_HEADERS).addFilter(_without_values)
    for name in _TALKATIVE:
        logging.getLogger(name).addHandler(_ONE_WARNING)


def _without_values(record: logging.LogRecord) -> bool:
    record.msg = "a header in OTEL_EXPORTER_OTLP_HEADERS is not valid: key=value, URL-encoded"
    record.args = ()
    return True
