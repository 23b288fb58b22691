"""Translate errors of DynamoDB (load, failures, item size) to the project's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError
from pynamodb.exceptions import PynamoDBException

from ai_coordination_engine.backend import translated
from ai_coordination_engine.errors import BadUserInput

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
        code, message = _code_and_message(error)
        if code == "ValidationException" and "size" in message.lower():
            raise BadUserInput("The record is too large: shorten its names and lists.") from error
        raise


def _code_and_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, PynamoDBException):
        return error.cause_response_code or "", error.cause_response_message or ""
    if isinstance(error, ClientError):
        return error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    return "", ""
