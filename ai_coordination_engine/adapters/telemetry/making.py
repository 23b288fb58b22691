"""Make what a process exports to: OTLP, an SDK that others have configured, CloudWatch."""

import sys
from collections.abc import Callable
from dataclasses import field

from opentelemetry import trace

from ai_coordination_engine.adapters.telemetry.exports import Exports, Meter, Spans
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.observability import SERVICE, logger
from ai_coordination_engine.settings import OtelVariables, Settings
from ai_coordination_engine.telemetry_ports import Telemetry

_MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is exported: the extra is missing. Install it"
    " with: pip install 'ai-coordination-engine[otel]'"
)
_GRPC = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is exported: OTEL_EXPORTER_OTLP_PROTOCOL must"
    " be http/protobuf, at the port for HTTP of the collector, usually 4318"
)
_WRONG = "not all is exported: look at the variables OTEL_… and correct the one with this value"


@dataclass
class _Made:
    """Where spans and measurements go, and what sends the rest."""

    spans: Spans | None = None
    meters: list[Meter] = field(default_factory=list)
    flushes: list[Callable[[], object]] = field(default_factory=list)
    closes: list[Callable[[], object]] = field(default_factory=list)


def made(settings: Settings, variables: OtelVariables, *, is_configured: bool) -> Telemetry | None:
    """What the process exports. `is_configured`: somebody else has configured the SDK."""
    made = _Made()
    if settings.metrics_emf:
        _add_emf(made)
    if not variables.disabled:
        _add_otel(made, variables, is_configured=is_configured)
    if made.spans is None and not made.meters:
        return None
    outputs = made.spans, made.meters
    by_tenant = settings.metrics_by_tenant
    return Exports(*outputs, by_tenant=by_tenant, flushes=made.flushes, closes=made.closes)


def _add_emf(made: _Made) -> None:
    # Imported here because only CloudWatch reads these lines.
    from ai_coordination_engine.adapters.telemetry.emf import EmfMeter  # noqa: PLC0415

    meter = EmfMeter(SERVICE, lambda line: print(line, file=sys.stdout, flush=True))  # noqa: T201
    made.meters.append(meter)
    made.flushes.append(meter.flush)
    made.closes.append(meter.flush)


def _add_otel(made: _Made, variables: OtelVariables, *, is_configured: bool) -> None:
    """Add spans and metrics by OTLP as the variables say, or spans to an SDK that is configured."""
    if variables.protocol != "http/protobuf" and not is_configured:
        if variables.traces or variables.metrics:
            logger.warning(_GRPC)
        return
    try:
        _add_spans(made, variables, is_configured=is_configured)
        if variables.metrics:
            _add_metrics(made)
    except ImportError:
        logger.warning(_MISSING)
    except ValueError as error:
        logger.warning(_WRONG, extra={"reason": " ".join(str(error).split())})


def _add_spans(made: _Made, variables: OtelVariables, *, is_configured: bool) -> None:
    if not (is_configured or variables.traces):
        return
    # Imported here because the SDK is an extra, and takes 0.1 s.
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    from ai_coordination_engine.adapters.telemetry.contents import Contents  # noqa: PLC0415
    from ai_coordination_engine.adapters.telemetry.otel_spans import OtelSpans  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    if not is_configured:
        from ai_coordination_engine.adapters.telemetry import otlp  # noqa: PLC0415

        provider = otlp.tracer_provider(otlp.resource())
    if isinstance(provider, TracerProvider):
        made.spans = OtelSpans(provider, Contents() if variables.captures_content else None)
        made.flushes.append(provider.force_flush)
        made.closes.append(provider.force_flush if is_configured else provider.shutdown)


def _add_metrics(made: _Made) -> None:
    # Imported here for the same reason.
    from ai_coordination_engine.adapters.telemetry import otlp  # noqa: PLC0415
    from ai_coordination_engine.adapters.telemetry.otel_meter import OtelMeter  # noqa: PLC0415

    provider = otlp.meter_provider(otlp.resource())
    made.meters.append(OtelMeter(provider))
    made.flushes.append(provider.force_flush)
    made.closes.append(provider.shutdown)
