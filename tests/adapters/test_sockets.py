from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

from ai_coordination_engine.adapters.reminders import SqsReminders
from ai_coordination_engine.adapters.sockets import ApiGatewaySockets
from ai_coordination_engine.bootstrap import client
from ai_coordination_engine.errors import BadUserInput, Throttled, Unavailable
from ai_coordination_engine.live_ports import ConnectionGone, Expire, Look

URL = "https://api.execute-api.us-east-1.amazonaws.com/graphql"


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(client("apigatewaymanagementapi", url=URL)) as stub:
        yield stub


@pytest.fixture
def sockets(stub: Stubber) -> ApiGatewaySockets:
    return ApiGatewaySockets(lambda: stub.client)


def test_a_message_is_posted_to_its_connection(stub: Stubber, sockets: ApiGatewaySockets) -> None:
    stub.add_response("post_to_connection", {}, {"ConnectionId": "c1=", "Data": b"{}"})
    sockets.send("c1=", b"{}")
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("GoneException", 410, ConnectionGone),
        ("410", 410, ConnectionGone),  # without a body
        ("LimitExceededException", 429, Throttled),
        ("InternalServerError", 500, Unavailable),
    ],
)
def test_refusals_of_a_message(
    stub: Stubber, sockets: ApiGatewaySockets, code: str, status: int, error: type[Exception]
) -> None:
    stub.add_client_error("post_to_connection", code, http_status_code=status)
    with pytest.raises(error):
        sockets.send("c1", b"{}")


def test_closing_is_repeatable(stub: Stubber, sockets: ApiGatewaySockets) -> None:
    stub.add_response("delete_connection", {}, {"ConnectionId": "c1"})
    stub.add_client_error("delete_connection", "GoneException", http_status_code=410)
    sockets.close("c1")
    sockets.close("c1")
    stub.assert_no_pending_responses()


def test_the_requests_go_to_the_stage_of_the_api() -> None:
    found: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        found.append((request.method, request.url))
        return AWSResponse(request.url, 200, {}, Body())

    made = client("apigatewaymanagementapi", url=URL)
    made.meta.events.register("before-send.*.*", answer)
    sockets = ApiGatewaySockets(lambda: made)
    sockets.send("a/b=", b"{}")
    sockets.close("a/b=")
    address = f"{URL}/@connections/a%2Fb%3D"
    assert found == [("POST", address), ("DELETE", address)]


class Body(BytesIO):
    """An empty body in the form of urllib3's responses."""

    def stream(self) -> Iterator[bytes]:
        yield b""


@pytest.mark.parametrize("message", [Look("t\x1fx"), Look("t", "c 1"), Expire("c1=")])
def test_a_reminder_is_read_as_it_was_sent(message: Look | Expire) -> None:
    sqs = client("sqs")
    sent: list[Any] = []
    with Stubber(sqs) as stub:
        reminders = SqsReminders(sqs, "https://queue")
        sqs.meta.events.register(
            "before-parameter-build.sqs.SendMessage",
            lambda params, **_: sent.append(params),
        )
        stub.add_response("send_message", {})
        reminders.send(message, 1.5)
    assert sent[0]["DelaySeconds"] == 2
    assert reminders.read(sent[0]["MessageBody"]) == message


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"kind": "x"}', '{"kind": "look"}'])
def test_another_text_is_no_reminder(body: str) -> None:
    with pytest.raises(BadUserInput):
        SqsReminders(None, "").read(body)  # type: ignore[arg-type]
