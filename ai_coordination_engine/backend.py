"""Timeouts, retries and error translation for all AWS services that the store and the adapters use.

A throttled request raises `Throttled`. A service that cannot be reached, times out or fails raises
`Unavailable`. Both may be retried. All other errors are passed on unchanged.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from random import Random
from threading import Event
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NotConnected

from ai_coordination_engine.errors import Throttled, Unavailable

MAX_CONNECTIONS = 64
CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0  # without a byte of the response
# Three tries wait up to 15 seconds for responses, and up to 3 seconds between tries ("Retry
# behavior", AWS SDKs and Tools Reference Guide).
TRIES = 3
_THROTTLING = frozenset(
    {
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        # of a transaction and another write of one item at the same time
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "RequestTimeout",
        "ServiceUnavailable",
    }
)
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # limits of the wait between two tries of a batch, seconds
# Tries of a batch in a row without progress; they wait 7.5 of the 25 seconds of an API request.
MAX_REFUSALS = 10
_RANDOM = Random()  # noqa: S311 (jitter needs no secure randomness)
_NO_ANSWER = (
    NotConnected,
    HTTPClientError,
    IncompleteReadError,
    ConnectionError,
    TimeoutError,
)


def backoff(refusals: int, longest: float = LONGEST_PAUSE) -> float:
    """Return a random wait in seconds after so many refusals in a row, `longest` at most.

    The wait is random so that concurrent callers spread out.
    """
    return _RANDOM.uniform(0, min(FIRST_PAUSE * 2 ** min(refusals, 64), longest))


def pause(longest: float) -> None:
    """Wait for a random time, up to `longest` seconds, before another try of the same call."""
    Event().wait(_RANDOM.uniform(0, longest))


class Backoff:
    """The waits between the tries of one batch of which the service may leave entries unprocessed.

    The wait grows with every try in a row that processes nothing, and starts anew after progress
    ("Error handling with DynamoDB": batch operations).
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._refusals = 0  # in a row

    def left_over(self, left: int, asked: int) -> None:
        """Wait after a request of which `left` of `asked` entries were not processed.

        The wait is proportional to the share that is left, so that long batches that lose a few
        entries per page stay fast. Raises `Throttled` after too many tries without progress.
        """
        self._refusals = self._refusals + 1 if left >= asked else 0
        if self._refusals > MAX_REFUSALS:
            raise Throttled(
                f"{_capital(self._service)} refuses more work for now; try again in a moment."
            )
        if left:
            pause(min(FIRST_PAUSE * 2**self._refusals, LONGEST_PAUSE) * left / asked)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Raise `Throttled` or `Unavailable` for an error that may pass; `service` begins its
    message.
    """
    try:
        yield
    except Exception as error:
        found = passing(error, service)
        if found is None:
            raise
        raise found from error


def passing(error: BaseException, service: str = "the backend") -> Throttled | None:
    """Return the error as `Throttled` or `Unavailable` if it may pass, or None for any
    other error.
    """
    if isinstance(error, Throttled):
        return error
    for cause in _causes(error):
        if isinstance(cause, ClientError) and (found := _answered(cause, service)) is not None:
            # PynamoDB's own error, which comes first, has the code but not the status.
            return found
        if isinstance(cause, (*_NO_ANSWER, *_unreadable())):
            return Unavailable(
                f"{_capital(service)} cannot be reached or does not answer; try again in a moment."
            )
    return None


def _unreadable() -> tuple[type[Exception], ...]:
    """The error of botocore for an answer that it cannot read.

    Nobody has met it in a process without clients: there its module, which takes 60 ms, is not
    imported.
    """
    parsers = sys.modules.get("botocore.parsers")
    return (parsers.ResponseParserError,) if parsers is not None else ()


def _answered(error: ClientError, service: str) -> Throttled | None:
    answer: Any = error.response
    details, reasons = answer.get("Error", {}), answer.get("CancellationReasons", ())
    codes = {str(each.get("Code", "")).rpartition(".")[2] for each in (details, *reasons)}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if codes & _THROTTLING:
        return Throttled(f"{_capital(service)} refuses more work for now; try again in a moment.")
    if codes & _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(f"{_capital(service)} fails for now; try again in a moment.")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # an exception may be its own cause
        seen.add(id(error))
        yield error
        error = getattr(error, "cause", None) or error.__cause__  # PynamoDB sets `cause`


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
