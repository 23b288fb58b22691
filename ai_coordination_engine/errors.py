"""The one tree of errors: every error that a caller may see carries its wire code.

Codes follow the contract's section "Errors"; whatever is not a `CoordinationError` is `INTERNAL` on
the wire.
"""

from typing import Any, ClassVar


class CoordinationError(Exception):
    """An error whose message may be shown to the caller, with the wire `code` and optional
    `extensions`.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extensions: dict[str, Any] = extensions


class BadUserInput(CoordinationError):
    """The request cannot be carried out as it stands; the message says what to change."""

    code = "BAD_USER_INPUT"


class TooCostly(BadUserInput):
    """An expression or a schema takes more than the budget of its step allows, or a start writes
    more; the message says which.
    """


class NotFound(CoordinationError):
    """The record that a mutation names does not exist for this tenant."""

    code = "NOT_FOUND"


class HasDependents(CoordinationError):
    """A guarded delete met children; `extensions["dependents"]` counts them by record name."""

    code = "HAS_DEPENDENTS"


class Immutable(CoordinationError):
    """A session run exists already with another content."""

    code = "IMMUTABLE"


class Conflict(CoordinationError):
    """Another writer was first, or the record's state does not allow the change."""

    code = "CONFLICT"


class Unauthenticated(CoordinationError):
    """The request carries no credentials that the server accepts."""

    code = "UNAUTHENTICATED"


class Forbidden(CoordinationError):
    """The credentials are good but do not allow this tenant or operation."""

    code = "FORBIDDEN"


class TooComplex(CoordinationError):
    """The document is larger, deeper or wider than the server's limits."""

    code = "TOO_COMPLEX"


class Throttled(CoordinationError):
    """The backend refuses more work for now; try again after a moment, as `extensions["retryable"]`
    says.
    """

    code = "THROTTLED"

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message, retryable=True, **extensions)


class Unavailable(Throttled):
    """The backend cannot be reached, does not answer in time or fails; what was asked may or may
    not have happened.
    """


class PersistedQueryNotSupported(CoordinationError):
    """The request has the hash of a document and no document; the client then sends the document,
    too.

    Code and message are those that Apollo's protocol of automatic persisted queries asks for.
    """

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
