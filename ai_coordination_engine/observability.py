"""The log, the metrics and the tracer that every room shares; cheap to import, and without secrets.

Secrets are pydantic's `SecretStr` from `settings` on, events and request bodies are never logged, and no
traceback carries local variables.
"""

import sys

from aws_lambda_powertools import Logger, Metrics
from opentelemetry import trace

SERVICE = "ai-coordination-engine"

logger = Logger(service=SERVICE, level="INFO", stream=sys.stderr)
"""Structured log: one JSON object a line on stderr, so that the command line's output stays its own."""

metrics = Metrics(namespace="AICoordinationEngine", service=SERVICE)
"""CloudWatch metrics in the embedded metric format; a handler flushes them."""

tracer = trace.get_tracer("ai_coordination_engine")
"""OpenTelemetry's tracer: without an SDK in the process every span is a no-op."""


def configure(log_level: str) -> None:
    """Set the level of the log, as the settings name it (`DEBUG`, `INFO`, `WARNING`…)."""
    logger.setLevel(log_level.upper())
