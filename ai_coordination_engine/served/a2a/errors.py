"""Errors of the protocol, and how the two bindings show them."""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.domain.a2a import CODES, DOMAIN, ERROR_INFO, Reason
from ai_coordination_engine.errors import CoordinationError
from ai_coordination_engine.served.failures import shown

_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_STATUSES = {
    Reason.TASK_NOT_FOUND: (404, "NOT_FOUND"),
    Reason.METHOD_NOT_FOUND: (404, "NOT_FOUND"),
    Reason.CONTENT_TYPE_NOT_SUPPORTED: (400, "INVALID_ARGUMENT"),
    Reason.INVALID_PARAMS: (400, "INVALID_ARGUMENT"),
    Reason.INVALID_REQUEST: (400, "INVALID_ARGUMENT"),
    Reason.PARSE_ERROR: (400, "INVALID_ARGUMENT"),
    Reason.INVALID_AGENT_RESPONSE: (500, "INTERNAL"),
    Reason.INTERNAL_ERROR: (500, "INTERNAL"),
}
_OTHERS = (400, "FAILED_PRECONDITION")
_OF_CODES: Mapping[str, tuple[str, int, int, str]] = {
    # reason, JSON-RPC code, HTTP status, status of google.rpc
    "UNAUTHENTICATED": ("UNAUTHENTICATED", -32090, 401, "UNAUTHENTICATED"),
    "FORBIDDEN": ("FORBIDDEN", -32091, 403, "PERMISSION_DENIED"),
    "THROTTLED": ("THROTTLED", -32092, 503, "UNAVAILABLE"),
    "NOT_FOUND": ("NOT_FOUND", -32093, 404, "NOT_FOUND"),
    "CONFLICT": ("CONFLICT", -32602, 409, "ABORTED"),
}
"""Errors that the protocol does not name, by their code in this API."""


class ProtocolError(Exception):
    """A request that is refused. `field`: the parameter that is wrong. `status`: of HTTP."""

    def __init__(
        self,
        reason: Reason | str,
        message: str,
        *,
        field: str = "",
        status: int | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.metadata = metadata
        self.headers: dict[str, str] = {}
        if isinstance(reason, Reason):
            self.reason, self.code = str(reason), CODES[reason]
            self.status, self.grpc = _STATUSES.get(reason, _OTHERS)
        else:
            self.reason, self.code, self.status, self.grpc = _OF_CODES[reason]
        self.is_of_transport = status is not None or self.reason in _OF_CODES
        self.status = status or self.status

    @property
    def details(self) -> list[dict[str, Any]]:
        """The details, which both bindings show."""
        info = {"@type": ERROR_INFO, "reason": self.reason, "domain": DOMAIN}
        found: list[dict[str, Any]] = [{**info, "metadata": self.metadata}]
        if self.field:
            violation = {"field": self.field, "description": self.message}
            found.append({"@type": _BAD_REQUEST, "fieldViolations": [violation]})
        return found

    def as_status(self) -> dict[str, Any]:
        """The body in the HTTP+JSON binding (section 11.6)."""
        error = {"code": self.status, "status": self.grpc, "message": self.message}
        return {"error": {**error, "details": self.details}}

    def as_rpc(self) -> dict[str, Any]:
        """The error in the JSON-RPC binding (section 9.5)."""
        return {"code": self.code, "message": self.message, "data": self.details}


def invalid(field: str, message: str) -> ProtocolError:
    """The error for a parameter."""
    return ProtocolError(Reason.INVALID_PARAMS, f"{field}: {message}", field=field)


def protocol_error(error: Exception) -> ProtocolError:
    """The error that any exception is shown as."""
    if isinstance(error, ProtocolError):
        return error
    found: CoordinationError = shown(error)
    if found.code in _OF_CODES:
        refused = ProtocolError(found.code, found.message)
        if found.code == "UNAUTHENTICATED":
            refused.headers["www-authenticate"] = "Bearer"
        elif found.code == "THROTTLED":
            refused.headers["retry-after"] = "1"
        return refused
    reason = Reason.INTERNAL_ERROR if found.code == "INTERNAL" else Reason.INVALID_PARAMS
    return ProtocolError(reason, found.message, code=found.code)
