"""The messages of one subscription with the protocol `graphql-transport-ws` (PROTOCOL.md of the npm
package `graphql-ws`), without a socket.
"""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from ai_coordination_engine.client.errors import ApiError, UnexpectedAnswer

SUBPROTOCOL = "graphql-transport-ws"
_ID = "1"
_CODES = {4400: "BAD_USER_INPUT", 4401: "UNAUTHENTICATED", 4403: "FORBIDDEN", 4500: "INTERNAL"}
_FINAL = (*_CODES, 4406, 4409, 4429)


def init(token: str | None, tenant: tuple[str | None, str | None]) -> str:
    """Return the first message; `tenant` is the endpoint id and the part id."""
    payload = {
        "authorization": None if token is None else f"Bearer {token}",
        "endpointId": tenant[0],
        "partId": tenant[1],
    }
    given = {name: value for name, value in payload.items() if value is not None}
    return json.dumps({"type": "connection_init", "payload": given})


def check_origin(url: str, protocol: Any) -> None:
    """Raise `UnexpectedAnswer` if a redirect led to another origin: the first message has the
    token. `protocol` is that of the connection.
    """
    named, found = httpx.URL(url), protocol.uri
    port = named.port or (443 if named.scheme == "wss" else 80)
    if (found.secure, found.host, found.port) != (named.scheme == "wss", named.host, port):
        raise UnexpectedAnswer(f"{url} is redirected to another server, which is not followed")


def subscribe(request: Mapping[str, Any]) -> str:
    """Return the message that begins the subscription."""
    return json.dumps({"id": _ID, "type": "subscribe", "payload": request}, allow_nan=False)


PONG = json.dumps({"type": "pong"})


def received(text: str | bytes) -> tuple[str, Any]:
    """Return the type of a message of the server, and its payload.

    Raises the error of a connection that is about to be closed: AWS closes without a code, so that
    the server says it in a ping.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise UnexpectedAnswer("a message of the WebSocket is not a JSON object")
    kind, payload = message.get("type"), message.get("payload")
    if kind == "ping" and isinstance(payload, dict) and isinstance(payload.get("code"), int):
        raise closed(payload["code"], str(payload.get("reason", "")))
    if kind == "error":
        return "next", {"errors": payload}
    return str(kind), payload


def closed(code: int, reason: str) -> ApiError:
    """Return the error for a connection that the server closed before the end."""
    words = reason or f"the WebSocket was closed with the code {code}"
    return ApiError.of(_CODES.get(code, "UNREACHABLE"), words, retryable=code not in _FINAL)
