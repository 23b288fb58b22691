"""GraphQL over WebSocket (`graphql-transport-ws`, PROTOCOL.md of the npm package `graphql-ws`),
without a socket: what a message asks for in the state of its connection, and the answers as texts.

A transport keeps the state: the `Phase` of the connection and the ids of its active operations.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from ai_coordination_engine.api.formatting import formatted_errors
from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.api.transport import (
    Parameters,
    check_json,
    decoded,
    parameters_from,
)
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    Forbidden,
    PersistedQueryNotSupported,
    TooComplex,
    Unauthenticated,
)

SUBPROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 10.0
"""How long a connection may take to authenticate."""
MOST_OPERATIONS = 100
"""The active operations of one connection."""
_REASON_BYTES = 123  # of a close frame (RFC 6455, section 5.5)
_HEADERS = ("authorization", "endpointid", "partid")


class Phase(Enum):
    """How far a connection has come."""

    OPENED = "opened"
    INITIALISING = "initialising"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True)
class Close:
    """Close the connection with this code and reason."""

    code: int
    reason: str


@dataclass(frozen=True)
class Init:
    """Authenticate the connection; then send `ACK`, or close with `refused`."""

    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """Send this text."""

    text: str


@dataclass(frozen=True)
class Subscribe:
    """Begin an operation, or close with `exists` if the id is active."""

    id: str
    parameters: Parameters


@dataclass(frozen=True)
class Complete:
    """End the operation of this id, if it is active."""

    id: str


@dataclass(frozen=True)
class Nothing:
    """There is nothing to do."""


Action = Close | Init | Reply | Subscribe | Complete | Nothing


@dataclass(frozen=True)
class Credentials:
    """What the payload of `connection_init` names: `authorization`, `endpointId` and `partId` (or
    `Part-Id`). Browsers cannot send headers with a WebSocket.
    """

    authorization: str | None = None
    endpoint_id: str | None = None
    part_id: str | None = None


ACK = '{"type":"connection_ack"}'
GOING_AWAY = Close(1001, "The server is stopping")
INIT_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MANY_INITS = Close(4429, "Too many initialisation requests")
UNAUTHORIZED = Close(4401, "Unauthorized")
NO_SUBPROTOCOL = Close(4406, "Subprotocol not acceptable")


def action_of(text: str | bytes, phase: Phase, limits: Limits) -> Action:
    """Return what a message of the client asks for."""
    try:
        message = _message(text)
    except CoordinationError as error:
        return _invalid(error.message)
    kind = message.get("type")
    if kind == "connection_init":
        return _init(message, phase)
    if kind in ("ping", "pong"):
        return _heartbeat(message, kind, limits)
    if kind == "subscribe":
        return _subscribe(message, phase, limits)
    if kind == "complete":
        return Complete(message["id"]) if _is_id(message.get("id")) else _invalid_id(kind)
    return _invalid("the type of the message is not one that a client sends")


def credentials_of(payload: Mapping[str, Any]) -> Credentials:
    """Return what the payload of `connection_init` names; raises `BadUserInput` for a value that is
    not a text.
    """
    found: dict[str, str] = {}
    for name, value in payload.items():
        plain = name.lower().replace("-", "").replace("_", "")
        if plain not in _HEADERS or value is None:
            continue
        if not isinstance(value, str) or found.get(plain, value) != value:
            raise BadUserInput(f"`{name}` in the payload of connection_init must be one text")
        found[plain] = value
    return Credentials(found.get("authorization"), found.get("endpointid"), found.get("partid"))


def refused(error: Exception) -> Close:
    """Return the end of a connection whose `connection_init` was refused with this error."""
    if isinstance(error, Unauthenticated):
        return _close(4401, f"Unauthorized: {error.message}")
    if isinstance(error, Forbidden):
        return _close(4403, f"Forbidden: {error.message}")
    if isinstance(error, CoordinationError):
        return _invalid(error.message)
    return _close(4500, "Internal server error")


def exists(operation_id: str) -> Close:
    """Return the end of a connection that uses an active id again."""
    return _close(4409, f"Subscriber for {operation_id} already exists")


def too_many_operations() -> TooComplex:
    """Return the error for an operation above `MOST_OPERATIONS`."""
    return TooComplex(
        f"a connection has at most {MOST_OPERATIONS} active operations: complete one, or open"
        " another connection",
        limit=MOST_OPERATIONS,
    )


def next_message(operation_id: str, payload: str) -> str:
    """Return the message with a result, whose JSON is `payload`."""
    return f'{{"id":{json_text.encode(operation_id)},"type":"next","payload":{payload}}}'


def error_message(operation_id: str, errors: Sequence[Mapping[str, object]]) -> str:
    """Return the message with the errors of an operation that has not begun; it is the last one."""
    return _text({"id": operation_id, "type": "error", "payload": errors})


def complete_message(operation_id: str) -> str:
    """Return the message that ends an operation."""
    return _text({"id": operation_id, "type": "complete"})


def _message(text: str | bytes) -> Mapping[str, Any]:
    if isinstance(text, bytes):
        raise BadUserInput("a message must be a text frame")
    message = decoded(text, "the message")
    if not isinstance(message, dict):
        raise BadUserInput("a message must be a JSON object")
    return message


def _init(message: Mapping[str, Any], phase: Phase) -> Action:
    if phase is not Phase.OPENED:
        return TOO_MANY_INITS
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        return _invalid("the payload of connection_init must be an object")
    return Init(payload or {})


def _heartbeat(message: Mapping[str, Any], kind: str, limits: Limits) -> Action:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        return _invalid(f"the payload of {kind} must be an object")
    try:
        check_json(payload, limits.json_depth, limits.json_values)
    except CoordinationError as error:
        return _invalid(error.message)
    if kind == "pong":
        return Nothing()
    return Reply(
        _text({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
    )


def _subscribe(message: Mapping[str, Any], phase: Phase, limits: Limits) -> Action:
    if phase is not Phase.ACKNOWLEDGED:
        return UNAUTHORIZED
    operation_id, payload = message.get("id"), message.get("payload")
    if not _is_id(operation_id):
        return _invalid_id("subscribe")
    if not isinstance(payload, dict):
        return _invalid("the payload of subscribe must be an object")
    try:
        return Subscribe(str(operation_id), parameters_from(payload, limits))
    except (PersistedQueryNotSupported, TooComplex) as error:
        return Reply(error_message(str(operation_id), formatted_errors([error])))
    except BadUserInput as error:
        return _invalid(error.message)


def _is_id(value: object) -> bool:
    is_text = isinstance(value, str) and value != ""
    return is_text and value == str(value).encode(errors="replace").decode()


def _invalid_id(kind: str) -> Close:
    return _invalid(f"the id of {kind} must be a text that is not empty")


def _invalid(reason: str) -> Close:
    return _close(4400, f"Invalid message: {reason}")


def _close(code: int, reason: str) -> Close:
    return Close(code, reason.encode(errors="replace")[:_REASON_BYTES].decode(errors="ignore"))


def _text(message: Mapping[str, object]) -> str:
    return json_text.encode(message).encode(errors="replace").decode()
