"""The SDK and the OTLP exporters, configured by the standard variables `OTEL_*`.

Only a process in which an endpoint is set imports this module.
"""

import logging
import os
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

from ai_coordination_engine.observability import SERVICE

_HEADERS = "opentelemetry.util.re"  # the logger that would log a header, which is a secret


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
    _keep_headers_out_of_the_log()
    provider = TracerProvider(resource=of, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def meter_provider(of: Resource) -> MeterProvider:
    """The provider that exports metrics."""
    _keep_headers_out_of_the_log()
    reader = PeriodicExportingMetricReader(OwnMetrics())
    return MeterProvider([reader], of, shutdown_on_exit=False)


def _keep_headers_out_of_the_log() -> None:
    logging.getLogger(_HEADERS).addFilter(_without_values)


def _without_values(record: logging.LogRecord) -> bool:
    record.msg = "a header in OTEL_EXPORTER_OTLP_HEADERS is not valid: key=value, URL-encoded"
    record.args = ()
    return True
