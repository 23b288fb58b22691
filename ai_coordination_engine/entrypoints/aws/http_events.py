"""Lambda's HTTP events: what they ask, who asks, and the response in the shape that each of them
wants.

Four kinds: HTTP API (payload format 2.0) and function URL, which look the same, REST API (payload
format 1.0), and Application Load Balancer. Shapes: Amazon API Gateway developer guide, "AWS Lambda
integrations"; AWS Lambda developer guide, "Invoking function URLs"; Elastic Load Balancing, "Lambda
functions as targets".
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

from ai_coordination_engine.api.identity import claimed_grants, granted_tenant, principal_grants
from ai_coordination_engine.api.transport import Request, Response
from ai_coordination_engine.api.webhooks import PATH
from ai_coordination_engine.errors import BadUserInput, NotFound, Unauthenticated
from ai_coordination_engine.settings import Settings

Event = Mapping[str, Any]

_OPERATIONS = ("graphql", "ai_coordination_graphql")


class Kind(Enum):
    """Where an HTTP event comes from."""

    V2 = "HTTP API or function URL"
    V1 = "REST API"
    ALB = "load balancer"


def kind_of(event: Event) -> Kind | None:
    """Where the event comes from, or `None` when it is no HTTP event."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        return None
    if "elb" in context:
        return Kind.ALB
    if event.get("version") == "2.0" and "http" in context:
        return Kind.V2
    return Kind.V1 if "httpMethod" in event else None


def request_from(event: Event, kind: Kind) -> Request:
    """The event as a request; raises `BadUserInput` when its body is not the base64 that it claims
    to be.
    """
    method = event["requestContext"]["http"]["method"] if kind is Kind.V2 else event["httpMethod"]
    return Request(method.upper(), _headers(event), tuple(_query(event, kind)), _body(event))


def response_to(event: Event, kind: Kind, response: Response) -> dict[str, object]:
    """The response as the sender of the event takes it."""
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
    """Whether a long job reports: such a request proves its tenant by its signature."""
    return _segments(event, kind) == PATH.strip("/").split("/")


def check_path(event: Event, kind: Kind) -> None:
    """Raise `NotFound` for another path than the API's, before anything else is said about the
    request.
    """
    _endpoint_id(_segments(event, kind))


def tenant_from(event: Event, kind: Kind, settings: Settings) -> str:
    """The tenant that the event acts for, proven by what the gateway verified.

    Raises `NotFound` for another path than the API's, `Unauthenticated` without verified
    credentials (a load balancer verifies none), `Forbidden` for a tenant that they do not allow,
    `BadUserInput` for no tenant.
    """
    endpoint_id = _endpoint_id(_segments(event, kind))
    grants = _grants(event, kind, settings)
    return granted_tenant(grants, endpoint_id, _headers(event).get("part-id"))


def _grants(event: Event, kind: Kind, settings: Settings) -> list[str]:
    context = event["requestContext"]
    if settings.auth == "jwt" and (claims := _claims(context, kind)):
        return claimed_grants(claims.get(settings.tenant_claim))
    if settings.auth == "iam" and (principal := _principal(context, kind)):
        return principal_grants(principal, settings.iam_tenants)
    raise Unauthenticated("the request carries no credentials that were verified")


def _claims(context: Event, kind: Kind) -> Event | None:
    """The claims of the token that the gateway verified."""
    if kind is Kind.ALB:  # it verifies none
        return None
    authorizer = context.get("authorizer") or {}
    verified: Event = (authorizer.get("jwt") or {}) if kind is Kind.V2 else authorizer
    claims: Event | None = verified.get("claims")
    return claims


def _principal(context: Event, kind: Kind) -> str | None:
    """The ARN of whose signature the gateway verified."""
    if kind is Kind.ALB:
        return None
    identity = (
        (context.get("authorizer") or {}).get("iam") if kind is Kind.V2 else context.get("identity")
    )
    principal: str | None = (identity or {}).get("userArn")
    return principal


def _segments(event: Event, kind: Kind) -> list[str]:
    """The path, without the stage that may stand before it."""
    path = event["rawPath"] if kind is Kind.V2 else event["path"]
    segments = [
        unquote(segment, errors="surrogateescape") for segment in path.strip("/").split("/")
    ]
    if kind is Kind.V2 and segments[0] == event["requestContext"].get("stage"):
        return segments[1:]
    return segments


def _endpoint_id(segments: Sequence[str]) -> str | None:
    """`/graphql` names no endpoint, `/{endpoint_id}/graphql` one."""
    match segments:
        case ["graphql"]:
            return None
        case [endpoint_id, operation] if operation in _OPERATIONS:
            return endpoint_id
    raise nothing_here()


def nothing_here() -> NotFound:
    """The error of a path that has nothing."""
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
            # API Gateway decodes the parameters, a load balancer passes them on as they came.
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
