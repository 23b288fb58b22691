"""Decide which origins may call the API, and build the CORS headers (Fetch standard, "CORS
protocol").

An allowed origin is written as browsers send it, such as `https://app.example`.
`http://localhost:*` allows any port or none. `*` allows every origin.
"""

import re
from collections.abc import Mapping, Sequence

LOOPBACK = tuple(
    f"{scheme}://{host}:*"
    for scheme in ("http", "https")
    for host in ("localhost", "127.0.0.1", "[::1]")
)
"""The origins of pages that this machine serves."""

METHODS = "GET, POST, DELETE"
"""Those of all paths that pages may call; configurations of A2A are deleted."""
HEADERS = (
    "authorization, content-type, part-id, traceparent, tracestate,"
    " mcp-method, mcp-name, mcp-protocol-version, mcp-session-id,"
    " a2a-version, a2a-extensions"
)
PREFLIGHT_SECONDS = 600
_ANY_PORT = ":*"


def allows(origins: Sequence[str], origin: str) -> bool:
    """Whether pages of this origin may call the API."""
    return any(entry in ("*", origin) or _matches_any_port(entry, origin) for entry in origins)


def is_preflight(method: str, headers: Mapping[str, str], origins: Sequence[str]) -> bool:
    """Whether the request is a preflight from an allowed origin."""
    asks = method == "OPTIONS" and "access-control-request-method" in headers
    return asks and allows(origins, headers.get("origin", ""))


def preflight_headers() -> dict[str, str]:
    """Return the headers of the answer to a preflight, in addition to `response_headers`."""
    return {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": HEADERS,
        "access-control-max-age": str(PREFLIGHT_SECONDS),
    }


def response_headers(headers: Mapping[str, str], origins: Sequence[str]) -> dict[str, str]:
    """Return the headers that let a page read the response; none when no origin is allowed."""
    if not origins:
        return {}
    if "*" in origins:
        return {"access-control-allow-origin": "*"}
    origin = headers.get("origin", "")
    return {"vary": "origin"} | (
        {"access-control-allow-origin": origin} if allows(origins, origin) else {}
    )


def _matches_any_port(entry: str, origin: str) -> bool:
    if not entry.endswith(_ANY_PORT):
        return False
    name = entry.removesuffix(_ANY_PORT)
    if origin == name:
        return True
    host, _, port = origin.rpartition(":")
    return host == name and re.fullmatch("[0-9]{1,5}", port) is not None
