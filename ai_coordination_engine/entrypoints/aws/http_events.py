"""Convert Lambda's HTTP events to requests and responses to the shape that each sender expects.

There are four senders: HTTP API and function URL (both payload format 2.0), REST API (payload
format 1.0), and Application Load Balancer. The shapes are documented in: Amazon API Gateway
developer guide, "AWS Lambda integrations"; AWS Lambda developer guide, "Invoking function URLs";
Elastic Load Balancing, "Lambda functions as targets".
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from ai_coordination_engine.api.identity import claimed_grants, granted_tenant, principal_grants
from ai_coordination_engine.api.notices import PATH as NOTICES
from ai_coordination_engine.api.webhooks import PATH
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.a2a import CARD_PATH
from ai_coordination_engine.errors import BadUserInput, NotFound, Unauthenticated
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.settings import Settings

Event = Mapping[str, Any]

_OPERATIONS = ("graphql", "ai_coordination_graphql")
_SERVED = ("mcp", "run-file")


class Kind(Enum):
    """The sender of an HTTP event."""

    V2 = "HTTP API or function URL"
    V1 = "REST API"
    ALB = "load balancer"


def kind_of(event: Event) -> Kind | None:
    """Return the sender of the event, or `None` when it is not an HTTP event."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        return None
    if "elb" in context:
        return Kind.ALB
    if event.get("version") == "2.0" and "http" in context:
        return Kind.V2
    return Kind.V1 if "httpMethod" in event else None


def request_from(event: Event, kind: Kind) -> Request:
    """Convert the event to a request; raises `BadUserInput` when its body is not valid base64."""
    method = event["requestContext"]["http"]["method"] if kind is Kind.V2 else event["httpMethod"]
    return Request(method.upper(), _headers(event), tuple(_query(event, kind)), _body(event))


def response_to(event: Event, kind: Kind, response: Response) -> dict[str, object]:
    """Convert the response to the shape that the sender of the event expects."""
    result: dict[str, object] = {
        "statusCode": response.status,
        "body": response.body.decode(),
        "isBase64Encoded": False,
    }
    if kind is Kind.ALB:
        result["statusDescription"] = f"{response.status} {HTTPStatus(response.status).phrase}"
    if kind is Kind.ALB and "multiValueHeaders" in event:  # then a load balancer ignores `headers`
        return result | {
            "multiValueHeaders": {name: [value] for name, value in response.headers.items()}
        }
    return result | {"headers": dict(response.headers)}


def is_webhook(event: Event, kind: Kind) -> bool:
    """Whether a long job reports its result. Such a request proves its tenant by a signature."""
    return _segments(event, kind) == PATH.strip("/").split("/")


def notice_owner(event: Event, kind: Kind) -> str | None:
    """The owner in the path of a notice of a remote agent, or None if it is not one."""
    *path, owner = _segments(event, kind)
    return owner if path == NOTICES.strip("/").split("/") else None


@dataclass(frozen=True)
class A2APlace:
    """A path of the Agent2Agent protocol: the endpoint, the path below the address, and whether it
    is that of the card.
    """

    endpoint_id: str | None
    below: Sequence[str] = ()
    is_card: bool = False

    @property
    def address(self) -> str:
        """The path of the address."""
        return "/a2a" if self.endpoint_id is None else f"/{quote(self.endpoint_id)}/a2a"


def a2a_place(event: Event, kind: Kind) -> A2APlace | None:
    """The place in the Agent2Agent protocol, or None for other paths."""
    segments = _segments(event, kind)
    for endpoint_id, rest in ((None, segments), (segments[0], segments[1:])):
        if rest == CARD_PATH.strip("/").split("/"):
            return A2APlace(endpoint_id, is_card=True)
        if rest[:1] == ["a2a"]:
            return A2APlace(endpoint_id, [each for each in rest[1:] if each])
    return None


def tenant_at(event: Event, kind: Kind, settings: Settings, endpoint_id: str | None) -> str:
    """Return the tenant of the event for an endpoint; raises as `tenant_from` does."""
    grants = _grants(event, kind, settings)
    return granted_tenant(grants, endpoint_id, _headers(event).get("part-id"))


def served_at(event: Event, kind: Kind) -> str | None:
    """`mcp` or `run-file`, the last segment of `/{endpoint_id}/mcp` or `/mcp`; None for other
    paths.
    """
    segments = _segments(event, kind)
    return segments[-1] if len(segments) <= 2 and segments[-1] in _SERVED else None


def check_path(event: Event, kind: Kind) -> None:
    """Raise `NotFound` when the path is not one of the API; called before anything else
    is checked.
    """
    _endpoint_id(_segments(event, kind))


def tenant_from(event: Event, kind: Kind, settings: Settings) -> str:
    """Return the tenant of the event, according to the credentials that the gateway verified.

    Raises `NotFound` when the path is not one of the API, `Unauthenticated` without verified
    credentials (a load balancer verifies none), `Forbidden` when the credentials do not allow the
    tenant, and `BadUserInput` when the tenant is not valid.
    """
    return tenant_at(event, kind, settings, _endpoint_id(_segments(event, kind)))


def _grants(event: Event, kind: Kind, settings: Settings) -> list[str]:
    context = event["requestContext"]
    if settings.auth == "jwt" and (claims := _claims(context, kind)):
        return claimed_grants(claims.get(settings.tenant_claim))
    if settings.auth == "iam" and (principal := _principal(context, kind)):
        return principal_grants(principal, settings.iam_tenants)
    raise Unauthenticated("the request has no verified credentials: send a token or sign it")


def _claims(context: Event, kind: Kind) -> Event | None:
    """Return the claims of the token that the gateway verified, or None."""
    if kind is Kind.ALB:  # a load balancer verifies none
        return None
    authorizer = context.get("authorizer") or {}
    verified: Event = (authorizer.get("jwt") or {}) if kind is Kind.V2 else authorizer
    claims: Event | None = verified.get("claims")
    return claims


def _principal(context: Event, kind: Kind) -> str | None:
    """Return the ARN of the IAM principal whose signature the gateway verified, or None."""
    if kind is Kind.ALB:
        return None
    identity = (
        (context.get("authorizer") or {}).get("iam") if kind is Kind.V2 else context.get("identity")
    )
    principal: str | None = (identity or {}).get("userArn")
    return principal


def _segments(event: Event, kind: Kind) -> list[str]:
    """Return the segments of the path, without the name of the stage."""
    path = event["rawPath"] if kind is Kind.V2 else event["path"]
    segments = [
        unquote(segment, errors="surrogateescape") for segment in path.strip("/").split("/")
    ]
    if kind is Kind.V2 and segments[0] == event["requestContext"].get("stage"):
        return segments[1:]
    return segments


def _endpoint_id(segments: Sequence[str]) -> str | None:
    """Return the endpoint id in `/{endpoint_id}/graphql`, or None for `/graphql`."""
    match segments:
        case ["graphql"]:
            return None
        case [name] if name in _SERVED:
            return None
        case [endpoint_id, operation] if operation in (*_OPERATIONS, *_SERVED):
            return endpoint_id
    raise unknown_path()


def unknown_path() -> NotFound:
    """Return the error for an unknown path."""
    return NotFound("there is nothing at this path: use /graphql or /{endpoint_id}/graphql")


def _headers(event: Event) -> dict[str, str]:
    several = event.get("multiValueHeaders") or {}
    single = event.get("headers") or {}
    joined = {name.lower(): ",".join(values) for name, values in several.items() if values}
    return {name.lower(): value for name, value in single.items() if value is not None} | joined


def _query(event: Event, kind: Kind) -> Iterator[tuple[str, str]]:
    if kind is Kind.V2:
        yield from parse_qsl(
            event.get("rawQueryString", ""), keep_blank_values=True, errors="surrogateescape"
        )
        return
    several = event.get("multiValueQueryStringParameters")
    if several is None:
        several = {
            name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
        }
    for name, values in several.items():
        for value in values:
            # API Gateway decodes the parameters; a load balancer does not.
            yield (_decoded(name), _decoded(value)) if kind is Kind.ALB else (name, value)


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode(errors="surrogatepass")
    try:
        return b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise BadUserInput("the request body is not valid base64") from None
