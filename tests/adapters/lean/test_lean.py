"""A lean client answers, fails and tries again exactly as botocore's client does."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import botocore.endpoint
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.adapters.lean.client import OPERATIONS, lean
from ai_coordination_engine.adapters.lean.connections import WarmConnections
from ai_coordination_engine.adapters.lean.requests import JsonRequests
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from tests.kit.raw_service import ITEM, KEY, REQUESTS, Service, call, client_of, response

OK = response(b'{"Item": {}}')
CAPACITY = {"TableName": "t", "CapacityUnits": 1.0}
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "GetItem": [{"Item": ITEM, "ConsumedCapacity": CAPACITY}, {}, {"Item": None}],
    "PutItem": [{}],
    "UpdateItem": [{"Attributes": ITEM}],
    "DeleteItem": [{"Attributes": {**ITEM, "b": {"B": "aGk="}, "bs": {"BS": ["aGk="]}}}],
    "Query": [{"Items": [ITEM], "Count": 1, "ScannedCount": 2, "LastEvaluatedKey": KEY}],
    "BatchGetItem": [{"Responses": {"t": [ITEM]}, "UnprocessedKeys": {"t": {"Keys": [KEY]}}}],
    "BatchWriteItem": [{"UnprocessedItems": {}, "ItemCollectionMetrics": None}],
    "TransactWriteItems": [{"ConsumedCapacity": [CAPACITY]}],
    "SendMessageBatch": [{"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": []}],
    "ReceiveMessage": [{}, {"Messages": [{"Body": "b", "Attributes": {"SenderId": "s"}}]}],
    "DeleteMessage": [{}],
    "DeleteMessageBatch": [{"Successful": [], "Failed": [{"Id": "0", "SenderFault": True}]}],
    "ChangeMessageVisibility": [{}],
}


def test_every_frequent_call_is_tried_here() -> None:
    assert set().union(*OPERATIONS.values()) == set(REQUESTS) == set(ANSWERS)


@pytest.mark.parametrize("operation", REQUESTS)
def test_requests_and_answers_are_those_of_botocore(service: Service, operation: str) -> None:
    sent: dict[str, Any] = {}
    for kind in ("botocore", "lean"):
        client = client_of(operation, kind)
        # the first request of a client opens the connection, in botocore's way
        service.answers, service.requests = [response(b"{}")], []
        call(client, operation)
        answers = []
        for answer in ANSWERS[operation]:
            service.answers = [response(json.dumps(answer).encode())]
            answers.append(call(client, operation))
        sent[kind] = answers, list(map(comparable, service.requests))
    assert sent["lean"] == sent["botocore"]
    assert service.connections == 2


def comparable(request: tuple[str, dict[str, str], bytes]) -> object:
    """A request without what differs between any two calls; its signature must be right."""
    line, headers, body = request
    verify_signature(line, headers, body)
    changing = ("authorization", "x-amz-date", "amz-sdk-invocation-id")
    kept = {name: value for name, value in headers.items() if name not in changing}
    kept["user-agent"] = re.sub(" m/[^ ]*", "", kept["user-agent"])  # features, in any order
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    return line, sorted(headers), signed, kept, body


def verify_signature(line: str, headers: dict[str, str], body: bytes) -> None:
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    method, target, _ = line.split(" ")
    received = AWSRequest(
        method,
        f"http://{headers['host']}{target}",
        data=body,
        headers={name: headers[name] for name in signed},
    )
    received.context["timestamp"] = headers["x-amz-date"]
    name = headers["authorization"].split("/")[3]
    auth = SigV4Auth(Credentials("testing", "testing"), name, "eu-west-1")
    text = auth.string_to_sign(received, auth.canonical_request(received))
    assert headers["authorization"].endswith(f"Signature={auth.signature(text, received)}")


def test_renewed_credentials_sign_the_next_call(service: Service) -> None:
    service.answers = [OK]
    renewed: list[int] = []

    def renew() -> dict[str, str]:
        renewed.append(1)
        ends = datetime.now(UTC) + timedelta(hours=1 if len(renewed) > 1 else -1)
        return {
            "access_key": f"key{len(renewed)}",
            "secret_key": "s",
            "token": f"token{len(renewed)}",
            "expiry_time": ends.isoformat(),
        }

    client = client_of("GetItem", "lean")
    client._request_signer._credentials = RefreshableCredentials.create_from_metadata(
        renew(), refresh_using=renew, method="test"
    )
    for _ in range(3):
        call(client, "GetItem")
    tokens = [headers["x-amz-security-token"] for _, headers, _ in service.requests]
    assert tokens == ["token2"] * 3
    assert "Credential=key2/" in service.requests[0][1]["authorization"]


def test_without_credentials_nothing_is_sent(service: Service) -> None:
    service.answers = [OK]
    client = client_of("GetItem", "lean")
    call(client, "GetItem")
    client._request_signer._credentials = None
    with pytest.raises(NoCredentialsError):
        call(client, "GetItem")
    assert len(service.requests) == 1


def test_a_proxy_gets_the_requests(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answers = [OK]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://dynamodb.example")
    monkeypatch.setenv("HTTP_PROXY", service.url)
    client = client_of("GetItem", "lean")
    for _ in range(2):
        call(client, "GetItem")
    assert [line for line, _, _ in service.requests] == [
        "POST http://dynamodb.example/ HTTP/1.1"
    ] * 2


def test_values_that_are_no_json_are_botocores(service: Service) -> None:
    service.answers = [OK]
    client = client_of("PutItem", "lean")
    call(client, "PutItem")
    client.put_item(TableName="t", Item={**KEY, "b": {"B": b"hi"}})
    assert json.loads(service.requests[1][2])["Item"]["b"] == {"B": "aGk="}


def test_a_line_break_in_a_header_is_refused(service: Service) -> None:
    service.answers = [OK]
    client = client_of("GetItem", "lean")
    call(client, "GetItem")
    client._request_signer._credentials = Credentials("a", "b", "token\r\nX-Other: 1")
    with pytest.raises(BotoCoreError, match="Invalid header value"):
        call(client, "GetItem")
    assert len(service.requests) == 1


def test_another_account_has_another_endpoint() -> None:
    client = client_of("GetItem", "lean")
    operation = client.meta.service_model.operation_model("GetItem")

    def url(account: str | None) -> str:
        client._request_signer._credentials.account_id = account
        return str(client._resolve_endpoint_ruleset(operation, REQUESTS["GetItem"], {})[0])

    plain = "https://dynamodb.eu-west-1.amazonaws.com"
    assert [url(each) for each in (None, "111111111111", "222222222222", None)] == [
        plain,
        "https://111111111111.ddb.eu-west-1.amazonaws.com",
        "https://222222222222.ddb.eu-west-1.amazonaws.com",
        plain,
    ]


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://dynamodb.eu-west-1.api.aws"),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://[::1]:8000/x"}, "http://[::1]:8000/x"),
    ],
    ids=str,
)
def test_the_endpoint_is_that_of_botocore(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = []
    for kind in ("botocore", "lean"):
        client = client_of("GetItem", kind)
        operation = client.meta.service_model.operation_model("GetItem")
        found += [client._resolve_endpoint_ruleset(operation, {}, {})[0] for _ in range(2)]
    assert set(found) == {found[0]}
    assert found[0].startswith(url)


def test_other_services_stay_as_they_are() -> None:
    client: Any = botocore.session.get_session().create_client("s3", "eu-west-1")
    serializer, sender = client._serializer, client._endpoint.http_session
    assert lean(client) is client
    assert (client._serializer, client._endpoint.http_session) == (serializer, sender)


def client_of_tables(app: App) -> Any:
    tables: Any = app.records.tables
    return next(iter(tables.values())).database.client


@mock_aws
def test_moto_in_the_process_answers_it() -> None:
    settings = Settings(auth="local")
    bootstrap.create_tables(settings)
    app = bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
    client = client_of_tables(app)
    assert isinstance(client._serializer, JsonRequests)
    assert isinstance(client._endpoint.http_session, WarmConnections)
    key = {"coordination_uuid": {"S": "c"}, "endpoint_id": {"S": "t"}}
    for _ in range(2):
        client.put_item(TableName="ace-coordinations", Item=key)
        assert client.get_item(TableName="ace-coordinations", Key=key)["Item"] == key
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        client.put_item(
            TableName="ace-coordinations",
            Item=key,
            ConditionExpression="attribute_not_exists(endpoint_id)",
        )


@mock_aws
@pytest.mark.parametrize("kind", ["lean", "botocore"])
def test_a_setting_chooses_the_client(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("ACE_AWS_CLIENT", kind)
    app = bootstrap.build_app(Settings(auth="local", queue_url="q", bucket="b"))
    client = client_of_tables(app)
    assert isinstance(client._serializer, JsonRequests) == (kind == "lean")
    assert isinstance(app.queue._client._serializer, JsonRequests) == (kind == "lean")  # type: ignore[attr-defined]
