"""The protocol `graphql-transport-ws`, message by message, without a socket."""

import json
from typing import Any

import pytest

from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.api.live import protocol
from ai_coordination_engine.api.live.protocol import (
    Action,
    Close,
    Complete,
    Credentials,
    Init,
    Nothing,
    Phase,
    Reply,
    Subscribe,
    action_of,
    credentials_of,
)
from ai_coordination_engine.api.transport import Parameters
from ai_coordination_engine.errors import BadUserInput, Forbidden, Unauthenticated

QUERY = {"query": "{ ping }"}


def act(message: Any, phase: Phase = Phase.ACKNOWLEDGED) -> Action:
    text = message if isinstance(message, str | bytes) else json.dumps(message)
    return action_of(text, phase, Limits())


TOO_MANY = Close(4429, "Too many initialisation requests")
UNAUTHORIZED = Close(4401, "Unauthorized")
INIT = {"type": "connection_init"}
BEGIN = {"type": "subscribe", "id": "1", "payload": QUERY}
NAMED = {**QUERY, "variables": {"a": 1}, "operationName": "x"}


@pytest.mark.parametrize(
    ("message", "phase", "expected"),
    [
        (INIT, Phase.OPENED, Init({})),
        ({**INIT, "payload": None}, Phase.OPENED, Init({})),
        ({**INIT, "payload": {"a": 1}}, Phase.OPENED, Init({"a": 1})),
        (INIT, Phase.INITIALISING, TOO_MANY),
        (INIT, Phase.ACKNOWLEDGED, TOO_MANY),
        ({"type": "ping"}, Phase.OPENED, Reply('{"type":"pong"}')),
        (
            {"type": "ping", "payload": {"a": 1}},
            Phase.OPENED,
            Reply('{"type":"pong","payload":{"a":1}}'),
        ),
        ({"type": "pong"}, Phase.OPENED, Nothing()),
        ({"type": "pong", "payload": {"a": 1}}, Phase.OPENED, Nothing()),
        (BEGIN, Phase.OPENED, UNAUTHORIZED),
        (BEGIN, Phase.INITIALISING, UNAUTHORIZED),
        (
            {**BEGIN, "payload": NAMED},
            Phase.ACKNOWLEDGED,
            Subscribe("1", Parameters("{ ping }", "x", {"a": 1})),
        ),
        ({"type": "complete", "id": "1"}, Phase.ACKNOWLEDGED, Complete("1")),
    ],
)
def test_a_message_asks_for_what_the_specification_says(
    message: Any, phase: Phase, expected: Action
) -> None:
    assert act(message, phase) == expected


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "not JSON",
        "[]",
        '"subscribe"',
        "null",
        "{}",
        b'{"type":"ping"}',
        '{"type":"ping","type":"pong"}',
        '{"type":"ping","payload":{"a":NaN}}',
        '{"type":"ping","payload":{"a":"\\ud800"}}',
        "[" * 100_000,
        {"type": None},
        {"type": ["ping"]},
        {"type": "PING"},
        {"type": "start", "id": "1", "payload": QUERY},
        {"type": "connection_ack"},
        {"type": "next", "id": "1", "payload": {}},
        {"type": "error", "id": "1", "payload": []},
        {"type": "ping", "payload": "now"},
        {"type": "pong", "payload": [1]},
        {"type": "subscribe", "payload": QUERY},
        {"type": "subscribe", "id": "", "payload": QUERY},
        {"type": "subscribe", "id": 1, "payload": QUERY},
        {"type": "subscribe", "id": "\ud800", "payload": QUERY},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": "{ ping }"},
        {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "subscribe", "id": "1", "payload": {"query": 1}},
        {"type": "subscribe", "id": "1", "payload": {**QUERY, "operationName": 1}},
        {"type": "subscribe", "id": "1", "payload": {**QUERY, "variables": []}},
        {"type": "subscribe", "id": "1", "payload": {**QUERY, "extensions": 1}},
        {"type": "complete"},
        {"type": "complete", "id": 1},
    ],
)
def test_what_is_no_message_of_a_client_closes_with_4400(message: Any) -> None:
    action = act(message)
    assert isinstance(action, Close)
    assert (action.code, action.reason[:17]) == (4400, "Invalid message: ")
    assert len(action.reason.encode()) <= 123


@pytest.mark.parametrize("payload", ["now", [1], 1])
def test_an_init_whose_payload_is_no_object_closes_with_4400(payload: Any) -> None:
    action = act({"type": "connection_init", "payload": payload}, Phase.OPENED)
    assert isinstance(action, Close)
    assert action.code == 4400


def test_a_request_above_a_limit_gets_its_error_and_the_connection_stays() -> None:
    wide = {str(each): 0 for each in range(1_000)}
    action = action_of(
        json.dumps({"type": "subscribe", "id": "1", "payload": {**QUERY, "variables": wide}}),
        Phase.ACKNOWLEDGED,
        Limits(json_values=1_000),
    )
    assert isinstance(action, Reply)
    message = json.loads(action.text)
    assert (message["type"], message["id"]) == ("error", "1")
    assert message["payload"][0]["extensions"]["code"] == "TOO_COMPLEX"


def test_a_persisted_query_gets_the_error_after_which_apollo_sends_the_document() -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "x"}}
    action = act({"type": "subscribe", "id": "1", "payload": {"extensions": extensions}})
    assert isinstance(action, Reply)
    (error,) = json.loads(action.text)["payload"]
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, Credentials()),
        ({"authorization": "Bearer x"}, Credentials("Bearer x")),
        ({"Authorization": "Bearer x", "Part-Id": "eu"}, Credentials("Bearer x", None, "eu")),
        ({"endpointId": "acme", "partId": "eu"}, Credentials(None, "acme", "eu")),
        ({"endpoint_id": "acme", "part-id": None}, Credentials(None, "acme", None)),
        ({"partId": "eu", "Part-Id": "eu"}, Credentials(None, None, "eu")),
        ({"other": 1}, Credentials()),
    ],
)
def test_credentials_are_those_that_headers_and_path_would_name(
    payload: Any, expected: Credentials
) -> None:
    assert credentials_of(payload) == expected


@pytest.mark.parametrize("payload", [{"partId": 1}, {"partId": "eu", "part-id": "us"}])
def test_a_credential_that_is_not_one_text_is_refused(payload: Any) -> None:
    with pytest.raises(BadUserInput):
        credentials_of(payload)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthenticated("who?"), 4401),
        (Forbidden("no"), 4403),
        (BadUserInput("x" * 500), 4400),
        (RuntimeError("ace-tasks"), 4500),
    ],
)
def test_a_refused_init_closes_with_the_code_of_its_error(error: Exception, code: int) -> None:
    close = protocol.refused(error)
    assert close.code == code
    assert len(close.reason.encode()) <= 123
    assert "ace-tasks" not in close.reason


def test_a_long_id_is_cut_in_the_reason_at_a_whole_character() -> None:
    close = protocol.exists("ü" * 100)
    assert (close.code, close.reason) == (4409, "Subscriber for " + "ü" * 54)


def test_messages_to_the_client_are_those_of_the_specification() -> None:
    assert json.loads(protocol.next_message('a"b', '{"data":1}')) == {
        "id": 'a"b',
        "type": "next",
        "payload": {"data": 1},
    }
    assert json.loads(protocol.error_message("1", [{"message": "m"}])) == {
        "id": "1",
        "type": "error",
        "payload": [{"message": "m"}],
    }
    assert json.loads(protocol.complete_message("1")) == {"id": "1", "type": "complete"}
    assert json.loads(protocol.ACK) == {"type": "connection_ack"}
