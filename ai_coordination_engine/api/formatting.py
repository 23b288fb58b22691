"""Convert exceptions to GraphQL errors; the only place that does.

Every error has `extensions.code`. An unexpected exception is `INTERNAL` and shows only a
correlation id; the log entry with this id has the details.
"""

from collections.abc import Iterable
from uuid import uuid4

from graphql import GraphQLError

from ai_coordination_engine.api.limits import too_deep
from ai_coordination_engine.backend import passing
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    Throttled,
    TooComplex,
    Unavailable,
)
from ai_coordination_engine.observability import logger

_ABORTED = ("aborted.", "nested too deeply.")
"""The endings of graphql-core's messages when it aborts; it has no exception class for that."""


def formatted_errors(errors: Iterable[Exception]) -> list[dict[str, object]]:
    """Return the `errors` of a GraphQL response (GraphQL specification, "Errors").

    An exception that several fields share (a failed batch) is logged once, under one correlation
    id.
    """
    correlation_ids: dict[int, str] = {}
    return [_formatted(error, correlation_ids) for error in errors]


def error_to_show(error: Exception) -> CoordinationError | None:
    """Return the error to show for an exception, or `None` when no details may be shown."""
    cause = _origin(error)
    if isinstance(cause, CoordinationError):
        return cause
    if isinstance(cause, RecursionError):
        return too_deep()
    if (may_pass := passing(cause)) is not None:
        again = "the backend refuses more work for now: try again after a moment"
        return may_pass if isinstance(may_pass, Unavailable) else Throttled(again)
    if isinstance(error, GraphQLError) and _is_about_request(error, cause):
        return (TooComplex if error.message.endswith(_ABORTED) else BadUserInput)(error.message)
    return None


def _formatted(error: Exception, correlation_ids: dict[int, str]) -> dict[str, object]:
    shown = error_to_show(error)
    entry: dict[str, object] = {}
    if shown is None:
        correlation_id = _logged(_origin(error), correlation_ids)
        entry["message"] = f"internal error; correlation id {correlation_id}"
        extensions = {"code": CoordinationError.code, "correlationId": correlation_id}
    else:
        # graphql-core's message says where a value is wrong; an error of ours is shown as it is.
        entry["message"] = shown.message
        extensions = {**shown.extensions, "code": shown.code}
    if isinstance(error, GraphQLError):
        if error.locations:
            entry["locations"] = [location.formatted for location in error.locations]
        if error.path:
            entry["path"] = error.path
    return {**entry, "extensions": extensions}


def _logged(cause: BaseException, correlation_ids: dict[int, str]) -> str:
    if id(cause) not in correlation_ids:
        correlation_ids[id(cause)] = uuid4().hex
        logger.error(
            "unexpected error", exc_info=cause, extra={"correlation_id": correlation_ids[id(cause)]}
        )
    return correlation_ids[id(cause)]


def _origin(error: BaseException) -> BaseException:
    """Return the exception that graphql-core has wrapped."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def _is_about_request(error: GraphQLError, cause: BaseException) -> bool:
    """Whether the error is about the request: it has no path, or it points into the document."""
    if isinstance(cause, GraphQLError):
        return error.path is None or bool(cause.nodes)
    # A scalar has refused a value of the document.
    return error.path is None and isinstance(cause, ValueError | TypeError)
