"""Turn the errors of pydantic-ai and of providers into failures of an attempt."""

from collections.abc import Sequence

from pydantic_ai import exceptions

from ai_coordination_engine.adapters.causes import why
from ai_coordination_engine.runtime_ports import AgentFailure

_LONGEST = 1000
_CLASSES: Sequence[tuple[type[Exception], str, bool]] = (
    # the first that fits counts
    (exceptions.RunTimedOut, "timeout", True),
    (exceptions.ModelRequestTimeout, "timeout", True),
    (exceptions.ModelTimeoutError, "timeout", True),
    (exceptions.ModelQuotaExceededError, "invalid_request", False),
    (exceptions.ModelRateLimitError, "rate_limit", True),
    (exceptions.ModelUnavailableError, "unavailable", True),
    (exceptions.ModelServerError, "unavailable", True),
    (exceptions.ModelConnectionError, "unavailable", True),
    (exceptions.ModelAuthenticationError, "not_allowed", False),
    (exceptions.ModelRequestRejectedError, "invalid_request", False),
    (exceptions.ContentFilterError, "invalid_output", False),
    (exceptions.UnexpectedModelBehavior, "invalid_output", True),
    (exceptions.UsageLimitExceeded, "error", False),
    (exceptions.UserError, "invalid_request", False),
)


def failure_of(error: Exception, service: str) -> AgentFailure:
    """The failure that stands for an error of a run; `service` is whom the model belongs to."""
    found = next((each for each in _CLASSES if isinstance(error, each[0])), None)
    if found is None:
        found = _of_status(error)
    _, error_class, retryable = found
    if isinstance(error, exceptions.UsageLimitExceeded):
        said = _text(error)
    elif isinstance(error, exceptions.ModelConnectionError):
        said = f"{service} cannot be reached: {why(error)}"
    else:
        said = f"{service}: {_text(error)}"
    text = " ".join(said.split())[:_LONGEST]
    return AgentFailure(
        text,
        retryable=retryable,
        retry_after=getattr(error, "retry_after", None),
        error_class=error_class,
    )


def _of_status(error: Exception) -> tuple[type[Exception], str, bool]:
    status = getattr(error, "status_code", None)
    if status in (408, 504):
        return type(error), "timeout", True
    if status == 429:
        return type(error), "rate_limit", True
    if isinstance(status, int) and status >= 500:
        return type(error), "unavailable", True
    if status in (401, 403):
        return type(error), "not_allowed", False
    if isinstance(status, int):
        return type(error), "invalid_request", False
    return type(error), "error", False


def _text(error: Exception) -> str:
    said = str(error)
    return (
        said if isinstance(error, exceptions.AgentRunError) else f"{type(error).__name__}: {said}"
    )
