"""What a caller is told of an exception."""

from uuid import uuid4

from ai_coordination_engine.backend import passing
from ai_coordination_engine.errors import BadUserInput, CoordinationError, Throttled, Unavailable
from ai_coordination_engine.observability import logger


def shown(error: Exception) -> CoordinationError:
    """The error to show; an unexpected one is logged and shows only a correlation id."""
    if isinstance(error, CoordinationError):
        return error
    if isinstance(error, RecursionError):
        return BadUserInput("the request is nested too deeply")
    if (may_pass := passing(error)) is not None:
        again = "the backend refuses more work for now: try again after a moment"
        return may_pass if isinstance(may_pass, Unavailable) else Throttled(again)
    correlation_id = uuid4().hex
    logger.error("unexpected error", exc_info=error, extra={"correlation_id": correlation_id})
    return CoordinationError(
        f"internal error; correlation id {correlation_id}", correlationId=correlation_id
    )
