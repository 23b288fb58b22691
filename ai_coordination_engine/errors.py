"""The errors that a caller may see, each with the `code` that goes over the wire.

The codes are those of the contract, section "Errors". Any other exception reaches the caller as
`INTERNAL`. Every layer raises these errors; `api.formatting` turns them into responses.
"""

from typing import Any, ClassVar


class CoordinationError(Exception):
    """An error whose `message` may be shown to the caller.

    `extensions` holds further values for the error's `extensions` on the wire, beside `code`.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extensions: dict[str, Any] = extensions


class BadUserInput(CoordinationError):
    """The request is not valid; the message says what to change."""

    code = "BAD_USER_INPUT"


class TooCostly(BadUserInput):
    """The input is valid but takes more work than is allowed; the message names the limit.

    Raised for an expression or a JSON schema that exceeds the budget of its step, and for a start
    that writes too much.
    """


class NotFound(CoordinationError):
    """A record that the mutation names does not exist for this tenant."""

    code = "NOT_FOUND"


class HasDependents(CoordinationError):
    """The record cannot be deleted because it has children.

    `extensions["dependents"]` maps the name of each kind of child to the number of children.
    """

    code = "HAS_DEPENDENTS"


class Immutable(CoordinationError):
    """The session run exists already, with different content."""

    code = "IMMUTABLE"


class Conflict(CoordinationError):
    """Another writer changed the record first, or the record's state does not allow the change."""

    code = "CONFLICT"


class Unauthenticated(CoordinationError):
    """The request has no credentials that the server accepts."""

    code = "UNAUTHENTICATED"


class Forbidden(CoordinationError):
    """The credentials are valid but do not allow this tenant or operation."""

    code = "FORBIDDEN"


class TooComplex(CoordinationError):
    """The GraphQL document or the request is larger, deeper or wider than the limits allow."""

    code = "TOO_COMPLEX"


class Throttled(CoordinationError):
    """The backend accepts no more work at the moment; the caller may retry after a short wait.

    `extensions["retryable"]` is always true.
    """

    code = "THROTTLED"

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message, retryable=True, **extensions)


class Unavailable(Throttled):
    """The backend failed, timed out or could not be reached; the change may or may not have been
    made.
    """


class FileUnusable(CoordinationError):
    """The file with the state is damaged, or is no longer where it was: an operator must act.

    The message names the file and says what to do. `extensions["retryable"]` is always false.
    """

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message, retryable=False, **extensions)


class PersistedQueryNotSupported(CoordinationError):
    """The request has the hash of a document but no document; the client then sends the document.

    Code and message are those of Apollo's automatic persisted queries protocol.
    """

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
