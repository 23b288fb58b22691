"""Decide whether this process exports anything, from the settings and the variables `OTEL_*`."""

from opentelemetry import trace

from ai_coordination_engine.settings import Settings, otel_variables
from ai_coordination_engine.telemetry_ports import Telemetry


def telemetry(settings: Settings) -> Telemetry | None:
    """What this process exports; None if nothing is configured: then nothing of it is imported."""
    variables = otel_variables()
    is_configured = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    is_wanted = is_configured or variables.traces or variables.metrics
    if not settings.metrics_emf and (variables.disabled or not is_wanted):
        return None
    # Imported here because a process that exports nothing needs none of it.
    from ai_coordination_engine.adapters.telemetry.making import made  # noqa: PLC0415

    return made(settings, variables, is_configured=is_configured)
