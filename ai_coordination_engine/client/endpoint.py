"""Where the API is, and with which credentials it is called."""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote

import httpx

from ai_coordination_engine.client.answers import place

Token = str | Callable[[], str]
"""A bearer token, or what returns the present one for each request."""

_NAMES = ("graphql", "ai_coordination_graphql")


class Bearer(httpx.Auth):
    """Sends a bearer token. The token is in no repr and no message."""

    def __init__(self, token: Token) -> None:
        if isinstance(token, str):
            checked(token)
        self._token = token

    def __repr__(self) -> str:
        return "Bearer(...)"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self.value()}"
        yield request

    def value(self) -> str:
        """Return the present token."""
        return checked(self._token if isinstance(self._token, str) else self._token())


def checked(token: str) -> str:
    """Return the token; raises `ValueError`, which does not quote it, if no header can hold it."""
    if re.fullmatch(r"[!-~]+", token):
        return token
    raise ValueError("the token must be printable ASCII without spaces: check how it is read")


@dataclass(frozen=True)
class Endpoint:
    """The address of the API, and the tenant as the caller names it."""

    url: httpx.URL
    endpoint_id: str | None = None
    part_id: str | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers of each request."""
        part = {} if self.part_id is None else {b"part-id": self.part_id.encode("latin-1")}
        return {b"content-type": b"application/json", **part}


def endpoint(url: str, tenant: str | None) -> Endpoint:
    """Return the address of the API for a tenant; raises `ValueError`.

    `url` is the address of a server, or its whole endpoint, which ends with `graphql`. `tenant` is
    an endpoint id, or `endpoint_id#part_id`.
    """
    parsed = _parsed(url)
    endpoint_id, part_id = (None, None) if tenant is None else _ids(tenant)
    base, _, name = parsed.raw_path.decode().rstrip("/").rpartition("/")
    if name not in _NAMES:
        base, name = f"{base}/{name}" if name else base, _NAMES[0]
    parts = [base, name] if endpoint_id is None else [base, quote(endpoint_id, safe=""), name]
    address = parsed.copy_with(raw_path="/".join(parts).encode())
    return Endpoint(address, endpoint_id, part_id)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("the URL of the API is not valid") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the URL of the API must begin with http:// or https://")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(
            "the URL of the API must be an address alone, without credentials or parameters:"
            f" {place(parsed)}"
        )
    return parsed


def _ids(tenant: str) -> tuple[str, str | None]:
    """Return the endpoint id and the part id of a tenant."""
    endpoint_id, separator, part_id = tenant.partition("#")
    if not endpoint_id or bool(separator) != bool(part_id):
        raise ValueError("the tenant must be an endpoint id, or endpoint_id#part_id")
    if not part_id.isprintable() or any(each > "ÿ" for each in part_id):
        raise ValueError("the part id has a character that a header cannot hold")
    return endpoint_id, part_id or None


def checked_websocket(url: str) -> str:
    """Return the address of a WebSocket API; raises `ValueError`."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme in ("ws", "wss") and parsed.host and not parsed.userinfo:
        return url
    raise ValueError(
        "the URL of the WebSocket must begin with ws:// or wss://, without credentials"
    )


def is_loopback(url: httpx.URL) -> bool:
    """Whether the API runs on this machine, so that no proxy is asked."""
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost" or url.host.endswith(".localhost")
