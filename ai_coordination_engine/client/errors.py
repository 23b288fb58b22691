"""The errors of the client: one tree, in which each class has the `code` that the API gives.

Codes: docs/clients.md, section "Errors". A code without a class of its own is raised as `ApiError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of `errors` in a response."""

    message: str
    code: str
    path: tuple[str | int, ...]
    extensions: Mapping[str, Any]


class ApiError(Exception):
    """A call failed; `message` says why, `code` is the API's code of the first problem.

    `problems` holds every error of the response, `data` what the response holds beside them, and
    `retry_after` the seconds that the server asks to wait. `retryable` says whether the same call
    may succeed later; `sent` is false if the server has certainly not seen the call.
    """

    code: str = "INTERNAL"
    _classes: ClassVar[dict[str, type["ApiError"]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._classes[cls.code] = cls

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        data: Any = None,
        retryable: bool = False,
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.data = data
        self.retryable = retryable
        self.retry_after = retry_after
        self.sent = sent

    @classmethod
    def of(cls, code: str, message: str, **details: Any) -> "ApiError":
        """Return the error of the class for `code`."""
        error = cls._classes.get(code, ApiError)(message, **details)
        error.code = code
        return error


class BadUserInput(ApiError):
    """The request is not valid; the message says what to change."""

    code = "BAD_USER_INPUT"


class NotFound(ApiError):
    """A record that the mutation names does not exist for this tenant."""

    code = "NOT_FOUND"


class HasDependents(ApiError):
    """The record cannot be deleted because it has children."""

    code = "HAS_DEPENDENTS"


class Immutable(ApiError):
    """The session run exists already, with different content."""

    code = "IMMUTABLE"


class Conflict(ApiError):
    """The record's state does not allow the change."""

    code = "CONFLICT"


class Unauthenticated(ApiError):
    """The server does not accept the credentials."""

    code = "UNAUTHENTICATED"


class Forbidden(ApiError):
    """The credentials do not allow this tenant or operation."""

    code = "FORBIDDEN"


class TooComplex(ApiError):
    """The request or its answer is larger than the limits allow."""

    code = "TOO_COMPLEX"


class Throttled(ApiError):
    """The server accepts no more work at the moment, also after the client's retries."""

    code = "THROTTLED"


class Internal(ApiError):
    """The server has a fault; the message has the correlation id to report."""

    code = "INTERNAL"


class Unreachable(ApiError):
    """No answer arrived: the connection failed, was lost or timed out."""

    code = "UNREACHABLE"


class UnexpectedAnswer(ApiError):
    """The answer is not one of this API; most often the URL is wrong."""

    code = "UNEXPECTED_ANSWER"


class NotOffered(ApiError):
    """The server, or this installation, has no way to do it."""

    code = "NOT_OFFERED"
