"""Messages of the protocol: JSON-RPC requests, notifications and responses, and their errors.

Source: "Base Protocol" of the Model Context Protocol, revision 2026-07-28.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import CoordinationError, Throttled

LATEST = "2026-07-28"
"""The stateless revision."""
EARLIER = ("2025-03-26", "2025-06-18", "2025-11-25")
"""The revisions that begin with `initialize`."""
SUPPORTED = (*EARLIER, LATEST)

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603
HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION = -32020, -32021, -32022
_STATUS = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}

_META = "io.modelcontextprotocol/"
VERSION_KEY = _META + "protocolVersion"
CAPABILITIES_KEY = _META + "clientCapabilities"
SERVER_KEY = _META + "serverInfo"
TASKS = _META + "tasks"
"""The identifier of the Tasks extension."""

Id = str | int
Message = Mapping[str, Any]


class WireError(Exception):
    """A JSON-RPC error. `status`: the HTTP status for clients of the stateless revision."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data
        self.status = _STATUS.get(code, 200)

    @classmethod
    def of(cls, error: CoordinationError) -> "WireError":
        """An error of the engine. Its own code is in the data."""
        codes = {"INTERNAL": INTERNAL_ERROR, "THROTTLED": INTERNAL_ERROR}
        code = codes.get(error.code, INVALID_PARAMS)
        found = cls(code, error.message, {**error.extensions, "code": error.code})
        if isinstance(error, Throttled):
            found.status = 503
        return found

    def body(self, request_id: Id | None) -> dict[str, Any]:
        """The message with this error."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = dict(self.data)
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


@dataclass(frozen=True)
class Call:
    """A request. `meta`: its `_meta`. `is_modern`: it is of the stateless revision."""

    id: Id
    method: str
    params: Mapping[str, Any]
    is_modern: bool
    version: str

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the client says about the request."""
        found = self.params.get("_meta")
        return found if isinstance(found, Mapping) else {}

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client of the stateless revision can do."""
        found = self.meta.get(CAPABILITIES_KEY)
        return found if isinstance(found, Mapping) else {}

    @property
    def has_tasks(self) -> bool:
        """Whether the client takes a task in place of a result."""
        extensions = self.capabilities.get("extensions")
        return self.is_modern and isinstance(extensions, Mapping) and TASKS in extensions

    @property
    def takes_forms(self) -> bool:
        """Whether the client of the stateless revision can ask its user by a form."""
        return takes_forms(self.capabilities)

    @property
    def progress_token(self) -> str | int | None:
        """The token under which the client wants to hear of progress."""
        token = self.meta.get("progressToken")
        return token if isinstance(token, str | int) and not isinstance(token, bool) else None


@dataclass(frozen=True)
class Answer:
    """A client's response to a request of the server, for clients of 2025; None: an error."""

    id: str
    result: Mapping[str, Any] | None


@dataclass(frozen=True)
class Notice:
    """A notification, which is accepted and changes nothing."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


def takes_forms(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client with these capabilities can ask its user by a form; it can if it names no
    mode ("Elicitation", section "Capabilities").
    """
    found = capabilities.get("elicitation")
    return isinstance(found, Mapping) and (not found or "form" in found)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; raises `WireError` for anything else, a batch included."""
    try:
        message = json_text.loads(body.decode())
    except (json_text.NotJSON, UnicodeDecodeError) as error:
        raise WireError(PARSE_ERROR, f"Parse error: {error}") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise WireError(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message.")
    return message


def read(message: Mapping[str, Any], version: str) -> Call | Notice | Answer:
    """The message of a client that speaks this version; raises `WireError`."""
    method, params = message.get("method"), message.get("params", {})
    if "method" not in message:
        return _answer(message, version)
    if not isinstance(method, str):
        raise WireError(INVALID_REQUEST, "method must be a text.")
    if not isinstance(params, Mapping):
        raise WireError(INVALID_PARAMS, "params must be an object.")
    if "id" not in message:
        return Notice(method, params)
    request_id = message["id"]
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        raise WireError(INVALID_REQUEST, "id must be a text or a whole number.")
    return Call(request_id, method, params, version == LATEST, version)


def _answer(message: Mapping[str, Any], version: str) -> Answer:
    request_id, result = message.get("id"), message.get("result")
    is_answer = "error" in message or isinstance(result, Mapping)
    if version == LATEST or not is_answer or not isinstance(request_id, str):
        raise WireError(INVALID_REQUEST, "The body must be a request or a notification.")
    return Answer(request_id, result if isinstance(result, Mapping) else None)


def id_of(message: Mapping[str, Any]) -> Id | None:
    """The id of a message for its error; None if it has no valid one."""
    found = message.get("id")
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None
