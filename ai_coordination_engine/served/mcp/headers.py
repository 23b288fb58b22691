"""The headers of a request: which revision it speaks, and whether they agree with its body.

Source: "Streamable HTTP", sections "Request Metadata" and "Server Validation", revision 2026-07-28.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.served.mcp.wire import (
    CAPABILITIES_KEY,
    EARLIER,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    LATEST,
    SUPPORTED,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
    WireError,
)

VERSION, METHOD, NAME = "mcp-protocol-version", "mcp-method", "mcp-name"
SESSION = "mcp-session-id"
_NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter that the header `Mcp-Name` repeats, by method."""
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")


def version_of(message: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The revision that a message speaks; raises `WireError` for one that is not supported.

    A request without the header is one of a client of 2025, unless it says otherwise itself.
    """
    given = headers.get(VERSION)
    said = _meta(message).get(VERSION_KEY)
    if given is None:
        is_modern = said is not None or METHOD in headers
        return LATEST if is_modern else EARLIER[0]
    if given not in SUPPORTED:
        raise WireError(
            UNSUPPORTED_VERSION,
            f"The protocol version {given[:50]!r} is not supported.",
            {"supported": list(SUPPORTED), "requested": given},
        )
    return given


def check(message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raise `WireError` if the headers of a request of the stateless revision are missing or do not
    agree with its body, or it does not say what each request must.
    """
    meta = _meta(message)
    missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise WireError(INVALID_PARAMS, f"params._meta must have {', '.join(missing)}.")
    if not isinstance(meta[CAPABILITIES_KEY], Mapping):
        raise WireError(INVALID_PARAMS, f"{CAPABILITIES_KEY} must be an object.")
    _same("MCP-Protocol-Version", headers.get(VERSION), meta[VERSION_KEY])
    _same("Mcp-Method", headers.get(METHOD), message.get("method"))
    parameter = _NAMED_BY.get(str(message.get("method")))
    value = _params(message).get(parameter) if parameter else None
    if isinstance(value, str):
        _same("Mcp-Name", _decoded(headers.get(NAME)), value)


def _same(header: str, given: str | None, value: object) -> None:
    if given is None:
        raise WireError(HEADER_MISMATCH, f"Header mismatch: {header} is missing.")
    if given != value:
        raise WireError(
            HEADER_MISMATCH,
            f"Header mismatch: {header} is {given[:200]!r}, the body says {str(value)[:200]!r}.",
        )


def _decoded(value: str | None) -> str | None:
    """The value of a header that may be written in base64; as it is if it is not valid."""
    found = _ENCODED.fullmatch(value) if value is not None else None
    if found is None:
        return value
    try:
        data = b64decode(found[1], validate=True)
        return data.decode() if b64encode(data).decode() == found[1] else value
    except (binascii.Error, UnicodeDecodeError):
        return value


def _params(message: Mapping[str, Any]) -> Mapping[str, Any]:
    params = message.get("params")
    return params if isinstance(params, Mapping) else {}


def _meta(message: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = _params(message).get("_meta")
    return meta if isinstance(meta, Mapping) else {}
