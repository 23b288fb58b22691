"""Translate errors of DynamoDB (load, failures, item size) to the project's errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.exceptions import PynamoDBException

from ai_coordination_engine.backend import translated
from ai_coordination_engine.store.tables.items import too_large

SERVICE = "the database"


@contextmanager
def of_the_database() -> Iterator[None]:
    """Raise `Throttled`, `Unavailable` or `BadUserInput` (item too large) for DynamoDB's errors.

    Other errors, such as a refused condition, are raised unchanged.
    """
    try:
        with translated(SERVICE):
            yield
    except (PynamoDBException, ClientError) as error:
        if any(map(_is_of_size, _reasons(error))):
            raise too_large() from error
        raise


def _is_of_size(reason: Mapping[str, str]) -> bool:
    """Whether a request was refused for the bytes of an item or of a key."""
    message = reason.get("Message", "").lower()
    is_invalid = reason.get("Code") in ("ValidationException", "ValidationError")
    return is_invalid and ("size" in message or "bytes" in message)


def _reasons(error: Exception) -> Iterator[Mapping[str, str]]:
    """Why a request was refused; of a transaction, for each of its parts."""
    # PynamoDB raises its own error from botocore's, and only the latter has the reasons
    cause = error.cause if isinstance(error, PynamoDBException) else error.__cause__ or error
    if isinstance(cause, ClientError):
        answer: Mapping[str, Any] = cause.response
        yield answer["Error"]
        yield from answer.get("CancellationReasons", ())
