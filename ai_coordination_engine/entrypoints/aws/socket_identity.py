"""Decide for which tenant a WebSocket connection acts: the rules are those of HTTP.

Browsers cannot send headers with a WebSocket, so a token comes in `connection_init`, and a
WebSocket API has no authorizer that would verify it. The authorizer of the HTTP API does: the token
is sent there with the smallest query. It is refused or accepted exactly as over HTTP, and there are
no keys, caches or algorithms of our own.
"""

import binascii
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from ai_coordination_engine.api.identity import (
    claimed_grants,
    granted_tenant,
    principal_grants,
    tenant_of,
)
from ai_coordination_engine.api.live.protocol import Credentials
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    Forbidden,
    Unauthenticated,
    Unavailable,
)
from ai_coordination_engine.settings import Settings

SECONDS = 10.0
_TOKEN = re.compile(r"(?:bearer +)?([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)
_REFUSED: Mapping[int, type[CoordinationError]] = {
    400: BadUserInput,
    401: Unauthenticated,
    403: Forbidden,
    404: BadUserInput,
}
_MESSAGES = {
    Unauthenticated: "the token is not valid or has expired",
    Forbidden: "the token does not allow this tenant",
    BadUserInput: "the endpoint id or the part id is not valid",
}


class Ask(Protocol):
    """Asks the HTTP API."""

    def __call__(self, path: str, headers: Mapping[str, str]) -> int:
        """Send the smallest query and return the status; raises `Unavailable`."""


@dataclass(frozen=True)
class Identity:
    """The tenant of a connection, and when its token expires (epoch seconds; None: never)."""

    tenant: str
    until: float | None = None


def ask(url: str) -> Ask:
    """Return a function that asks the HTTP API at this URL."""

    def status(path: str, headers: Mapping[str, str]) -> int:
        query = urlencode({"query": "{__typename}"})
        request = Request(f"{url}{path}?{query}", headers=dict(headers))  # noqa: S310
        try:
            with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            error.close()
            return error.code
        except (URLError, OSError) as error:
            raise Unavailable("The HTTP API does not answer; connect again.") from error

    return status


def identity_of(
    credentials: Credentials, principal: str | None, settings: Settings, asked: Ask
) -> Identity:
    """Return the identity of a connection.

    `principal`: the IAM principal that signed the request to connect. Raises `Unauthenticated`,
    `Forbidden`, `BadUserInput` and `Unavailable`.
    """
    endpoint_id, part_id = credentials.endpoint_id, credentials.part_id
    if settings.auth == "iam":
        if principal is None:
            raise Unauthenticated("the request to connect is not signed")
        grants = principal_grants(principal, settings.iam_tenants)
        return Identity(granted_tenant(grants, endpoint_id, part_id))
    token = _TOKEN.fullmatch((credentials.authorization or "").strip())
    if token is None:
        raise Unauthenticated("send `authorization`, with `Bearer` and a token, in connection_init")
    claims = _verified(token[1], endpoint_id, part_id, asked)
    grants = claimed_grants(claims.get(settings.tenant_claim))
    until = claims.get("exp")
    return Identity(
        granted_tenant(grants, endpoint_id, part_id),
        float(until) if isinstance(until, int | float) else None,
    )


def _verified(
    token: str, endpoint_id: str | None, part_id: str | None, asked: Ask
) -> Mapping[str, Any]:
    """The claims of a token that the HTTP API accepts for this tenant."""
    path, headers = "/graphql", {"authorization": f"Bearer {token}"}
    if endpoint_id is not None:
        tenant_of(endpoint_id, part_id)
        path = f"/{quote(endpoint_id, safe='')}/graphql"
    if part_id is not None:
        headers["part-id"] = _header(part_id)
    status = asked(path, headers)
    if status != 200:
        kind = _REFUSED.get(status, Unavailable)
        raise kind(_MESSAGES.get(kind, "The HTTP API refuses more work for now; connect again."))
    try:
        text = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise Unauthenticated("the token is not a JSON Web Token") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("the token is not a JSON Web Token")
    return claims


def _header(part_id: str) -> str:
    """The part id as the value of a header."""
    tenant_of("any", part_id)
    if not part_id.isascii():
        raise BadUserInput("the part id must be ASCII text")
    return part_id
