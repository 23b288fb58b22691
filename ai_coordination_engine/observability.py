"""The logger of the process, used by every layer.

The module is cheap to import. It keeps secrets out of the log: settings hold secrets as pydantic's
`SecretStr`, events and request bodies are never logged, and tracebacks contain no local variables.
"""

import logging
import sys

from aws_lambda_powertools import Logger

SERVICE = "ai-coordination-engine"

logger = Logger(service=SERVICE, level="INFO", stream=sys.stderr)
"""The structured log: one JSON object per line on stderr. stdout is left to the command line."""

_OWN = logging.getLogger(SERVICE)


def logs(level: int) -> bool:
    """Whether lines of this level are written: if not, their details need not be looked up."""
    return _OWN.isEnabledFor(level)


def configure(log_level: str) -> None:
    """Set the log level to a name such as `DEBUG`, `INFO` or `WARNING`, in any case."""
    logger.setLevel(log_level.upper())
