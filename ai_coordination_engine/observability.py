"""The log, the metrics and the tracer that every room shares; cheap to import, and without secrets.

Secrets are pydantic's `SecretStr` from `settings` on, events and request bodies are never logged,
and no traceback carries local variables.
"""

import sys
from contextlib import AbstractContextManager

from aws_lambda_powertools import Logger, Metrics
from opentelemetry import trace

SERVICE = "ai-coordination-engine"

logger = Logger(service=SERVICE, level="INFO", stream=sys.stderr)
"""Structured log: one JSON object a line on stderr, so that the command line's output stays its
own.
"""

metrics = Metrics(namespace="AICoordinationEngine", service=SERVICE)
"""CloudWatch metrics in the embedded metric format; a handler flushes them."""

tracer = trace.get_tracer("ai_coordination_engine")
"""OpenTelemetry's tracer: without an SDK in the process every span is a no-op."""


def attempt_span(agent_name: str, **ids: str) -> AbstractContextManager[object]:
    """A span around one attempt of an agent, named as OpenTelemetry's conventions for generative AI
    have it; `ids` say which attempt it is. What an agent is given or answers is no part of it.
    """
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent_name}
    attributes |= {f"ace.{name}": value for name, value in ids.items()}
    return tracer.start_as_current_span(f"invoke_agent {agent_name}", attributes=attributes)


def configure(log_level: str) -> None:
    """Set the level of the log, as the settings name it (`DEBUG`, `INFO`, `WARNING`…)."""
    logger.setLevel(log_level.upper())
