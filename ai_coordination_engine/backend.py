"""The AWS services behind the store and the adapters: how long they are waited for, and what it
means when they fail.

One mechanism for all of them. A refusal for load is `Throttled`; a service that cannot be reached,
does not answer in time or breaks down is `Unavailable`; both may be tried again. All other errors
stay what they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from random import Random
from threading import Event
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError

from ai_coordination_engine.errors import Throttled, Unavailable

MAX_CONNECTIONS = 64
CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0  # without a byte of the answer
# 15 seconds of waiting, and up to 3 between them ("Retry behavior", AWS SDKs and Tools Reference
# Guide)
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
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries of a batch, at most
# of a batch in a row; 7.5 seconds of waiting at most, of the 25 that an API's request has
MAX_REFUSALS = 10
_RANDOM = Random()  # noqa: S311 (jitter is no secret)
_NO_ANSWER = (
    NotConnected,
    HTTPClientError,
    IncompleteReadError,
    ResponseParserError,
    ConnectionError,
    TimeoutError,
)


def client_config(*, read_seconds: float = READ_SECONDS) -> Config:
    """Of a client whose calls end, all tries together, before an API's request does (25
    seconds).
    """
    return Config(
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )


def backoff(refusals: int, longest: float = LONGEST_PAUSE) -> float:
    """Seconds to wait after so many refusals in a row, `longest` at most; drawn, so that callers do
    not meet.
    """
    return _RANDOM.uniform(0, min(FIRST_PAUSE * 2 ** min(refusals, 64), longest))


def pause(longest: float) -> None:
    """Wait before another try of the same call, up to `longest` seconds: how long is drawn, as
    `backoff` does.
    """
    Event().wait(_RANDOM.uniform(0, longest))


class Backoff:
    """The tries of one batch, of which a service may leave entries over: a wait after each, longer
    with every try in a row that got nothing done. Progress starts anew ("Error handling with
    DynamoDB": batch operations).
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._refusals = 0  # in a row

    def left_over(self, left: int, asked: int) -> None:
        """Wait after a request of `asked` entries that left so many; raises `Throttled` when that
        does not end.

        The wait is in proportion to what is left: long batches that lose a little of each page stay
        fast.
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
    """Raises `Throttled` or `Unavailable` for what may pass, with `service` ("the database") in the
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
    """An error that may pass as one of ours; None for any other."""
    if isinstance(error, Throttled):
        return error
    for cause in _causes(error):
        if isinstance(cause, ClientError) and (found := _answered(cause, service)) is not None:
            # PynamoDB's own error, which comes first, knows the code and not the status
            return found
        if isinstance(cause, _NO_ANSWER):
            return Unavailable(
                f"{_capital(service)} cannot be reached or does not answer; try again in a moment."
            )
    return None


def _answered(error: ClientError, service: str) -> Throttled | None:
    answer: Any = error.response
    told, reasons = answer.get("Error", {}), answer.get("CancellationReasons", ())
    codes = {str(each.get("Code", "")).rpartition(".")[2] for each in (told, *reasons)}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if codes & _THROTTLING:
        return Throttled(f"{_capital(service)} refuses more work for now; try again in a moment.")
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return Unavailable(told.get("Message") or f"{_capital(service)} has no room left.")
    if codes & _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(f"{_capital(service)} fails for now; try again in a moment.")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # an exception may be its own cause
        seen.add(id(error))
        yield error
        error = getattr(error, "cause", None) or error.__cause__  # the former is PynamoDB's


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
