"""Lambda events as documented by AWS, converted to requests and responses."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import graphene
import pytest
from graphene.types.generic import GenericScalar

from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.entrypoints.aws.http_events import (
    A2APlace,
    Kind,
    kind_of,
    request_from,
    response_to,
    tenant_from,
)
from ai_coordination_engine.entrypoints.aws.invocations import Invocations
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    Forbidden,
    NotFound,
    Unauthenticated,
)
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.settings import Settings

ROLE = "arn:aws:iam::111122223333:role/Orders"
SESSION = "arn:aws:sts::111122223333:assumed-role/Orders/one"
JWT = Settings(auth="jwt", tenant_claim="tenants", cors_origins=["https://app.example"])
IAM = Settings(auth="iam", iam_tenants={ROLE: ["acme"]})
BODY = '{"query":"{ tenant }"}'
KINDS = [Kind.V2, Kind.V1, Kind.ALB]


def v2(
    path: str = "/graphql",
    authorizer: Any = None,
    stage: str = "$default",
    body: str = BODY,
    **headers: str,
) -> dict[str, Any]:
    """Return an event of an HTTP API with payload format 2.0, or of a function URL."""
    context: dict[str, Any] = {"http": {"method": "POST", "path": path}, "stage": stage}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"} | named(headers),
        "requestContext": context | ({"authorizer": authorizer} if authorizer else {}),
        "body": body,
        "isBase64Encoded": False,
    }


def v1(
    path: str = "/graphql",
    authorizer: Any = None,
    identity: Any = None,
    body: str = BODY,
    **headers: str,
) -> dict[str, Any]:
    """Return an event of a REST API."""
    every = {"Content-Type": "application/json"} | named(headers)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "POST",
        "headers": every,
        "multiValueHeaders": {name: [value] for name, value in every.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "stage": "prod",
            "authorizer": authorizer,
            "identity": identity or {"userArn": None},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def alb(
    path: str = "/graphql", body: str = BODY, several: bool = False, **headers: str
) -> dict[str, Any]:
    every = {"content-type": "application/json"} | named(headers)
    lists = {"multiValueHeaders": {name: [value] for name, value in every.items()}}
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:…"}},
        "httpMethod": "POST",
        "path": path,
        "queryStringParameters": {},
        **(lists if several else {"headers": every}),
        "body": body,
        "isBase64Encoded": False,
    }


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def event_of(kind: Kind) -> dict[str, Any]:
    return {Kind.V2: v2, Kind.V1: v1, Kind.ALB: alb}[kind]()


def jwt(tenants: object) -> dict[str, Any]:
    return {"jwt": {"claims": {"sub": "ann", "tenants": tenants}, "scopes": None}}


def iam(arn: str) -> dict[str, Any]:
    return {"iam": {"userArn": arn, "accountId": "111122223333"}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_an_event_is_recognised(kind: Kind) -> None:
    assert kind_of(event_of(kind)) is kind


@pytest.mark.parametrize(
    "event",
    [{}, {"query": "{ x }"}, {"requestContext": {}}, {"requestContext": "x"}, {"Records": []}],
)
def test_another_event_is_no_http(event: dict[str, Any]) -> None:
    assert kind_of(event) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_post_becomes_a_request(kind: Kind) -> None:
    assert request_from(event_of(kind), kind) == Request(
        "POST", {"content-type": "application/json"}, (), BODY.encode()
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ['{"query": "ä🏃"}'.encode(), b"\xff\x00"])
def test_a_base64_body_is_decoded_byte_for_byte(kind: Kind, content: bytes) -> None:
    event = event_of(kind) | {"body": b64encode(content).decode(), "isBase64Encoded": True}
    assert request_from(event, kind).body == content


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", ["***", "YQ=", "ä"])
def test_a_body_that_is_not_the_base64_it_claims_is_refused(kind: Kind, body: str) -> None:
    with pytest.raises(BadUserInput):
        request_from(event_of(kind) | {"body": body, "isBase64Encoded": True}, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_body_is_empty(kind: Kind) -> None:
    assert request_from(event_of(kind) | {"body": None}, kind).body == b""


QUERY = (("query", '{ a(b: "ä+ &") }'), ("variables", "{}"), ("variables", ""))
ENCODED = "query=%7B%20a(b:%20%22%C3%A4%2B+%26%22)%20%7D&variables=%7B%7D&variables="


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Kind.V2, {"rawQueryString": ENCODED}),
        (
            Kind.V1,
            {
                "multiValueQueryStringParameters": {
                    "query": ['{ a(b: "ä+ &") }'],
                    "variables": ["{}", ""],
                }
            },
        ),
        (
            Kind.ALB,
            {
                "multiValueQueryStringParameters": {
                    "query": ["%7B%20a(b:%20%22%C3%A4%2B+%26%22)%20%7D"],
                    "variables": ["%7B%7D", ""],
                }
            },
        ),
    ],
)
def test_url_parameters_are_decoded_once_and_all_kept(kind: Kind, changes: dict[str, Any]) -> None:
    assert request_from(event_of(kind) | changes, kind).query == QUERY


def test_single_url_parameters_are_read_where_there_are_no_lists() -> None:
    event = alb() | {"queryStringParameters": {"query": "%7Ba%7D"}}
    assert request_from(event, Kind.ALB).query == (("query", "{a}"),)


def test_header_names_are_lower_cased_and_lists_joined() -> None:
    event = v1() | {
        "headers": {"Accept": "b", "X-One": "1"},
        "multiValueHeaders": {"Accept": ["a", "b"]},
    }
    assert request_from(event, Kind.V1).headers == {"accept": "a,b", "x-one": "1"}


RESPONSE = Response(415, {"content-type": "application/json"}, '{"ä":1}'.encode())


def test_a_gateway_gets_its_response() -> None:
    expected = {
        "statusCode": 415,
        "headers": {"content-type": "application/json"},
        "body": '{"ä":1}',
        "isBase64Encoded": False,
    }
    assert response_to(v2(), Kind.V2, RESPONSE) == expected
    assert response_to(v1(), Kind.V1, RESPONSE) == expected


def test_a_load_balancer_gets_a_description_and_lists_if_it_sent_lists() -> None:
    common = {
        "statusCode": 415,
        "statusDescription": "415 Unsupported Media Type",
        "body": '{"ä":1}',
        "isBase64Encoded": False,
    }
    assert response_to(alb(), Kind.ALB, RESPONSE) == common | {
        "headers": {"content-type": "application/json"}
    }
    assert response_to(alb(several=True), Kind.ALB, RESPONSE) == common | {
        "multiValueHeaders": {"content-type": ["application/json"]}
    }


@pytest.mark.parametrize(
    ("event", "kind", "settings", "tenant"),
    [
        (v2(authorizer=jwt("acme")), Kind.V2, JWT, "acme"),
        (v2("/acme/graphql", jwt("[acme other]")), Kind.V2, JWT, "acme"),
        (v2("/acme/ai_coordination_graphql", jwt("acme#*"), part_id="eu"), Kind.V2, JWT, "acme#eu"),
        (v2("/prod/acme/graphql", jwt("acme"), stage="prod"), Kind.V2, JWT, "acme"),
        (v2("/prod/graphql", jwt("acme"), stage="prod"), Kind.V2, JWT, "acme"),
        (v2("/gr%C3%B6%C3%9Fe/graphql", jwt(["größe"])), Kind.V2, JWT, "größe"),
        (v1("/acme/graphql/", {"claims": {"tenants": "acme,other"}}), Kind.V1, JWT, "acme"),
        (
            v1("/acme/graphql", {"claims": {"tenants": "acme#eu"}}, Part_Id="eu"),
            Kind.V1,
            JWT,
            "acme#eu",
        ),
        (v2(authorizer=iam(SESSION)), Kind.V2, IAM, "acme"),
        (v2("/acme/graphql", iam(ROLE)), Kind.V2, IAM, "acme"),
        (v1("/acme/graphql", identity={"userArn": SESSION}), Kind.V1, IAM, "acme"),
    ],
)
def test_verified_credentials_prove_the_tenant(
    event: dict[str, Any], kind: Kind, settings: Settings, tenant: str
) -> None:
    assert tenant_from(event, kind, settings) == tenant


@pytest.mark.parametrize(
    ("event", "kind", "settings", "error"),
    [
        (v2(), Kind.V2, JWT, Unauthenticated),
        (
            v2("/acme/graphql", part_id="eu", authorization="Bearer x"),
            Kind.V2,
            JWT,
            Unauthenticated,
        ),
        (v2(authorizer={"jwt": {"claims": {}}}), Kind.V2, JWT, Unauthenticated),
        (v2(authorizer={"claims": {"tenants": "acme"}}), Kind.V2, JWT, Unauthenticated),
        (v2(authorizer=iam(ROLE)), Kind.V2, JWT, Unauthenticated),
        (v2(authorizer={"jwt": {"claims": {"sub": "ann"}}}), Kind.V2, JWT, Forbidden),
        (v2("/other/graphql", jwt("acme")), Kind.V2, JWT, Forbidden),
        (v2("/acme/graphql", jwt("acme"), part_id="eu"), Kind.V2, JWT, Forbidden),
        (v2(authorizer=jwt("acme other")), Kind.V2, JWT, Forbidden),
        (v2("/a%23b/graphql", jwt(["a#b"])), Kind.V2, JWT, BadUserInput),
        (v2("/a%FF/graphql", jwt(["a"])), Kind.V2, JWT, BadUserInput),
        (v2("/acme/graphql", jwt("acme"), part_id=""), Kind.V2, JWT, BadUserInput),
        (v2("/", jwt("acme")), Kind.V2, JWT, NotFound),
        (v2("/acme", jwt("acme")), Kind.V2, JWT, NotFound),
        (v2("/a/b/graphql", jwt("a")), Kind.V2, JWT, NotFound),
        (v2("/ai_coordination_graphql", jwt("acme")), Kind.V2, JWT, NotFound),
        (v2("/stage/acme/graphql", jwt("acme")), Kind.V2, JWT, NotFound),
        (v2(authorizer=jwt("acme")), Kind.V2, IAM, Unauthenticated),
        (v2(authorizer=iam("arn:aws:iam::111122223333:user/ann")), Kind.V2, IAM, Forbidden),
        (v1(), Kind.V1, JWT, Unauthenticated),
        (v1(authorizer={"jwt": {"claims": {"tenants": "acme"}}}), Kind.V1, JWT, Unauthenticated),
        (v1(), Kind.V1, IAM, Unauthenticated),
        (v1("/other/graphql", identity={"userArn": SESSION}), Kind.V1, IAM, Forbidden),
        (alb("/acme/graphql"), Kind.ALB, JWT, Unauthenticated),
        (alb("/acme/graphql", x_amzn_oidc_identity="ann"), Kind.ALB, JWT, Unauthenticated),
        (alb("/acme/graphql"), Kind.ALB, IAM, Unauthenticated),
        (v2("/acme/graphql"), Kind.V2, Settings(auth="local"), Unauthenticated),
    ],
)
def test_without_proof_of_the_tenant_the_event_is_refused(
    event: dict[str, Any], kind: Kind, settings: Settings, error: type[CoordinationError]
) -> None:
    with pytest.raises(error) as refusal:
        tenant_from(event, kind, settings)
    assert type(refusal.value) is error


def test_a_load_balancer_can_not_forge_a_gateways_credentials() -> None:
    event = alb("/acme/graphql")
    event["requestContext"] |= {
        "authorizer": {"claims": {"tenants": "acme"}},
        "identity": {"userArn": ROLE},
    }
    for settings in (JWT, IAM):
        with pytest.raises(Unauthenticated):
            tenant_from(event, Kind.ALB, settings)


@dataclass
class FakeContext:
    tenant: str
    method: str
    warnings: list[str] = field(default_factory=list)
    trace: str | None = None


class Query(graphene.ObjectType):
    tenant = graphene.String()
    method = graphene.String()
    loop = graphene.Int()
    long = graphene.String(length=graphene.Int(required=True))
    infinite = graphene.Field(GenericScalar)

    def resolve_tenant(self, info: Any) -> str:
        info.context.warnings.append("a warning")
        return str(info.context.tenant)

    def resolve_method(self, info: Any) -> str:
        return str(info.context.method)

    async def resolve_loop(self, info: Any) -> int:
        return id(asyncio.get_running_loop()) % 2**31

    def resolve_long(self, info: Any, length: int) -> str:
        return '"' * length

    def resolve_infinite(self, info: Any) -> float:
        return float("inf")


DOCUMENTS = Documents(graphene.Schema(query=Query).graphql_schema)


async def fake_webhook(request: Request) -> Response:
    if request.headers.get("x-ace-signature") == "broken":
        raise RuntimeError("ace-session_runs")
    return Response(200, {"content-type": "application/json"}, request.body)


async def fake_notice(request: Request, owner: str) -> Response:
    return Response(200, {"content-type": "application/json"}, owner.encode())


async def fake_mcp(request: Request, tenant: Callable[[], str]) -> Response:
    return Response(200, {"content-type": "application/json"}, tenant().encode())


async def fake_a2a(request: Request, place: A2APlace, tenant: Callable[[], str]) -> Response:
    return Response(200, {}, f"{tenant()} {place}".encode())


@pytest.fixture
def invocations() -> Iterator[Invocations]:
    with asyncio.Runner() as runner:
        others = fake_notice, {"mcp": fake_mcp}, fake_a2a
        yield Invocations(JWT, DOCUMENTS, FakeContext, runner, fake_webhook, *others)


def test_an_http_event_is_answered_for_its_tenant(invocations: Invocations) -> None:
    answered = invocations.answer(v2("/acme/graphql", jwt("acme"), origin="https://app.example"))
    assert answered == {
        "statusCode": 200,
        "headers": {
            "content-type": "application/json; charset=utf-8",
            "cache-control": "no-store",
            "vary": "origin",
            "access-control-allow-origin": "https://app.example",
        },
        "body": '{"data":{"tenant":"acme"},"extensions":{"warnings":["a warning"]}}',
        "isBase64Encoded": False,
    }


def test_a_get_event_is_answered(invocations: Invocations) -> None:
    event = v2("/graphql", jwt("acme")) | {"rawQueryString": "query=%7Bmethod%7D", "body": None}
    event["requestContext"]["http"]["method"] = "GET"
    assert invocations.answer(event)["body"] == '{"data":{"method":"GET"}}'


@pytest.mark.parametrize(
    "event",
    [
        v2("/async-tasks", body="{}"),
        v2("/prod/async-tasks", stage="prod", body="{}"),
        v1("/async-tasks", body="{}"),
    ],
)
def test_a_long_job_reports_without_a_token(
    invocations: Invocations, event: dict[str, Any]
) -> None:
    answered = invocations.answer(event)
    assert (answered["statusCode"], answered["body"]) == (200, "{}")


def test_a_report_that_fails_unexpectedly_tells_nothing(invocations: Invocations) -> None:
    answered = invocations.answer(v2("/async-tasks", x_ace_signature="broken"))
    (error,) = json.loads(answered["body"])["errors"]
    assert (answered["statusCode"], error["extensions"]["code"]) == (500, "INTERNAL")
    assert "ace-session_runs" not in answered["body"]


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (v2(), 401, "UNAUTHENTICATED"),
        (v1(), 401, "UNAUTHENTICATED"),
        (alb(), 401, "UNAUTHENTICATED"),
        (v2("/other/graphql", jwt("acme")), 403, "FORBIDDEN"),
        (v2("/nothing", jwt("acme")), 404, "NOT_FOUND"),
        (v2("/acme/graphql", jwt("acme"), body="[]"), 400, "BAD_USER_INPUT"),
        (v2("/acme/graphql", jwt("acme"), body='{"query":"\ud800"}'), 400, "BAD_USER_INPUT"),
        (v2("/acme/graphql", jwt("acme")) | {"isBase64Encoded": True}, 400, "BAD_USER_INPUT"),
    ],
)
def test_a_refused_http_event_gets_a_status_and_a_code(
    invocations: Invocations, event: dict[str, Any], status: int, code: str
) -> None:
    answered = invocations.answer(event)
    (error,) = json.loads(answered["body"])["errors"]
    assert (answered["statusCode"], error["extensions"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "event",
    [v2() | {"rawPath": None}, {"requestContext": {"http": 7}, "version": "2.0", "httpMethod": 1}],
)
def test_an_http_event_of_an_unknown_shape_is_internal(
    invocations: Invocations, event: dict[str, Any]
) -> None:
    answered = invocations.answer(event)
    assert answered["statusCode"] == 500


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "HEAD", "PROPFIND"])
@pytest.mark.parametrize(
    ("path", "status", "code"), [("/", 404, "NOT_FOUND"), ("/graphql", 405, "BAD_USER_INPUT")]
)
def test_an_unknown_path_is_404_and_an_unknown_method_405(
    invocations: Invocations, method: str, path: str, status: int, code: str
) -> None:
    event = v2(path, jwt("acme"))
    event["requestContext"]["http"]["method"] = method
    answered = invocations.answer(event)
    (error,) = json.loads(answered["body"])["errors"]
    assert (answered["statusCode"], error["extensions"]["code"]) == (status, code)


def test_a_persisted_query_without_a_document_is_told_so(invocations: Invocations) -> None:
    asked = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x"}}}
    http = invocations.answer(v2("/acme/graphql", jwt("acme"), body=json.dumps(asked)))
    error = {
        "message": "PersistedQueryNotSupported",
        "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"},
    }
    assert (http["statusCode"], json.loads(http["body"])) == (200, {"errors": [error]})
    assert invocations.answer(asked | {"query": None, "endpoint_id": "acme"}) == {"errors": [error]}


def test_a_preflight_needs_no_credentials(invocations: Invocations) -> None:
    event = v2(origin="https://app.example", access_control_request_method="POST")
    event["requestContext"]["http"]["method"] = "OPTIONS"
    answered = invocations.answer(event)
    assert (answered["statusCode"], answered["headers"]["access-control-allow-methods"]) == (
        204,
        "GET, POST, DELETE",
    )


def test_a_service_that_invokes_the_function_gets_the_response_object(
    invocations: Invocations,
) -> None:
    event = {"query": "query Q { tenant method }", "variables": None, "operationName": "Q"}
    answered = invocations.answer(event | {"endpoint_id": "acme", "part_id": "eu"})
    assert answered == {
        "data": {"tenant": "acme#eu", "method": "POST"},
        "extensions": {"warnings": ["a warning"]},
    }


def test_nothing_else_in_the_payload_overrides_the_tenant(invocations: Invocations) -> None:
    others = {
        "context": {"tenant": "evil", "endpoint_id": "evil", "partition_key": "evil"},
        "tenant": "evil",
        "settings": {"auth": "local"},
        "headers": {"Part-Id": "evil"},
        "partition_key": "evil",
    }
    event = {"query": "{ tenant }", "endpoint_id": "acme", "part_id": None} | others
    assert invocations.answer(event)["data"] == {"tenant": "acme"}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        7,
        {},
        {"Records": []},
        {"query": "{ tenant }"},
        {"query": "{ tenant }", "endpoint_id": None},
        {"query": "{ tenant }", "endpoint_id": ""},
        {"query": "{ tenant }", "endpoint_id": "a#b"},
        {"query": "{ tenant }", "endpoint_id": 7},
        {"query": "{ tenant }", "endpoint_id": "acme", "part_id": 7},
        {"query": 7, "endpoint_id": "acme"},
        {"query": "{", "endpoint_id": "acme"},
        {"query": "{ tenant }", "endpoint_id": "acme", "variables": []},
        {"query": "{ tenant }", "endpoint_id": "acme", "variables": {"a": float("nan")}},
        {"query": "{ tenant }", "endpoint_id": "acme", "variables": {"\ud800": 1}},
    ],
)
def test_an_ill_formed_invocation_is_bad_user_input(
    invocations: Invocations, event: object
) -> None:
    answered = invocations.answer(event)
    assert [error["extensions"] for error in answered["errors"]] == [{"code": "BAD_USER_INPUT"}]
    assert list(answered) == ["errors"]


def test_the_event_loop_is_kept_between_events(invocations: Invocations) -> None:
    event = {"query": "{ loop }", "endpoint_id": "acme"}
    assert invocations.answer(event) == invocations.answer(event)


@pytest.mark.parametrize(
    ("length", "code"),
    [(1_000, None), (1_500_000, None), (3_200_000, "TOO_COMPLEX"), (6_300_000, "TOO_COMPLEX")],
)
def test_a_response_that_lambda_can_not_carry_is_too_complex(
    invocations: Invocations, length: int, code: str | None
) -> None:
    query = {"query": f"{{ long(length: {length}) }}"}
    direct = invocations.answer(query | {"endpoint_id": "acme"})
    http = json.loads(
        invocations.answer(v2("/acme/graphql", jwt("acme"), body=json.dumps(query)))["body"]
    )
    if code is None:
        assert direct == http == {"data": {"long": '"' * length}}
    else:
        assert http["errors"][0]["extensions"] == {"code": code}
        assert direct["errors"][0]["extensions"] == {"code": code}


def test_a_result_that_is_no_json_is_internal(invocations: Invocations) -> None:
    direct = invocations.answer({"query": "{ infinite }", "endpoint_id": "acme"})
    http = invocations.answer(v2("/acme/graphql", jwt("acme"), body='{"query": "{ infinite }"}'))
    assert direct["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert http["statusCode"] == 500


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/acme/a2a", A2APlace("acme", [])),
        ("/acme/a2a/tasks/x:cancel", A2APlace("acme", ["tasks", "x:cancel"])),
        ("/a2a/message:send", A2APlace(None, ["message:send"])),
        ("/acme/.well-known/agent-card.json", A2APlace("acme", is_card=True)),
        ("/.well-known/agent-card.json", A2APlace(None, is_card=True)),
    ],
)
def test_a_path_of_a2a_is_answered_for_its_tenant(
    invocations: Invocations, path: str, place: A2APlace
) -> None:
    answered = invocations.answer(v2(path, jwt("acme")))
    assert (answered["statusCode"], answered["body"]) == (200, f"acme {place}")
