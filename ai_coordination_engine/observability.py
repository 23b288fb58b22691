"""The logger, the metrics and the tracer of the process, used by every layer.

The module is cheap to import. It keeps secrets out of the log: settings hold secrets as pydantic's
`SecretStr`, events and request bodies are never logged, and tracebacks contain no local variables.
"""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext

from aws_lambda_powertools import Logger, Metrics
from opentelemetry import trace

SERVICE = "ai-coordination-engine"

logger = Logger(service=SERVICE, level="INFO", stream=sys.stderr)
"""The structured log: one JSON object per line on stderr. stdout is left to the command line."""

_NO_SPAN = nullcontext()
_OWN = logging.getLogger(SERVICE)

metrics = Metrics(namespace="AICoordinationEngine", service=SERVICE)
"""CloudWatch metrics in the embedded metric format. Each Lambda handler flushes them."""

tracer = trace.get_tracer("ai_coordination_engine")
"""The OpenTelemetry tracer. Its spans do nothing unless the process configures an SDK."""


def attempt_span(agent_name: str, **ids: str) -> AbstractContextManager[object]:
    """Open a span around one attempt of an agent.

    Names follow OpenTelemetry's conventions for generative AI. `ids` become attributes `ace.<name>`
    that identify the attempt. The span contains neither the agent's input nor its output.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return _NO_SPAN  # the process has configured no SDK
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent_name}
    attributes |= {f"ace.{name}": value for name, value in ids.items()}
    return tracer.start_as_current_span(f"invoke_agent {agent_name}", attributes=attributes)


def logs(level: int) -> bool:
    """Whether lines of this level are written: if not, their details need not be looked up."""
    return _OWN.isEnabledFor(level)


def configure(log_level: str) -> None:
    """Set the log level to a name such as `DEBUG`, `INFO` or `WARNING`, in any case."""
    logger.setLevel(log_level.upper())
