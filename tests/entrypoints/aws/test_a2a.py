"""Exposed tasks by A2A behind the Lambda handler."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from ai_coordination_engine.served.a2a import server
from tests.kit.stage import TENANT, Stage, stage_of

Send = Callable[..., tuple[int, Any]]
MESSAGE = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app)
    stage.define({"a": ""}, expose_as={"name": "report"})
    return stage


@pytest.fixture
def send(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """Send a request to the handler; return the status and the body of the answer."""
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.0)
    settings = stage.app.settings.model_copy(update={"auth": "jwt"})
    with asyncio.Runner() as runner:
        handler = build_handler(replace(stage.app, settings=settings), runner)

        def sending(
            method: str, path: str, body: Any = None, *, tenants: str = f"[{TENANT}]"
        ) -> tuple[int, Any]:
            http = {"method": method, "path": path}
            claims = {"jwt": {"claims": {settings.tenant_claim: tenants}}} if tenants else {}
            event = {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": "",
                "headers": {
                    "content-type": "application/json",
                    "a2a-version": "1.0",
                    "host": "api.example",
                },
                "requestContext": {"http": http, "stage": "$default", "authorizer": claims},
                "body": None if body is None else json.dumps(body),
            }
            answered: Any = handler(event, None)
            return answered["statusCode"], json.loads(answered["body"])

        yield sending


def test_the_card_says_that_nothing_streams_here(send: Send) -> None:
    status, card = send("GET", f"/{TENANT}/.well-known/agent-card.json")
    assert status == 200
    assert card["supportedInterfaces"][0]["url"] == f"https://api.example/{TENANT}/a2a"
    assert card["capabilities"] == {
        "streaming": False,
        "pushNotifications": False,
        "extendedAgentCard": True,
    }
    assert card["securityRequirements"] == [{"schemes": {"bearer": {"list": []}}}]
    assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"


def test_a_message_is_answered_before_the_function_ends(send: Send, stage: Stage) -> None:
    status, sent = send("POST", f"/{TENANT}/a2a/message:send", {"message": MESSAGE})
    assert (status, sent["task"]["status"]["state"]) == (200, "TASK_STATE_SUBMITTED")
    stage.drain()
    status, task = send("GET", f"/{TENANT}/a2a/tasks/{sent['task']['id']}")
    assert (status, task["status"]["state"]) == (200, "TASK_STATE_COMPLETED")
    assert task["artifacts"][0]["parts"] == [{"text": "A", "mediaType": "text/plain"}]


def test_streams_are_refused_by_the_error_of_the_protocol(send: Send) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {}}
    status, answered = send("POST", f"/{TENANT}/a2a", call)
    assert (status, answered["error"]["code"]) == (200, -32004)
    status, refused = send("POST", f"/{TENANT}/a2a/tasks/x:subscribe")
    assert (status, refused["error"]["details"][0]["reason"]) == (400, "UNSUPPORTED_OPERATION")


def test_configurations_are_deleted_by_their_paths(send: Send) -> None:
    status, refused = send("DELETE", f"/{TENANT}/a2a/tasks/x/pushNotificationConfigs/y")
    reason = "PUSH_NOTIFICATION_NOT_SUPPORTED"  # without receivers
    assert (status, refused["error"]["details"][0]["reason"]) == (400, reason)


def test_credentials_decide_the_tenant(send: Send) -> None:
    for path in (f"/{TENANT}/a2a/tasks", f"/{TENANT}/.well-known/agent-card.json"):
        status, refused = send("GET", path, tenants="[other]")
        assert (status, refused["error"]["status"]) == (403, "PERMISSION_DENIED")
        status, refused = send("GET", path, tenants="")
        assert (status, refused["error"]["status"]) == (401, "UNAUTHENTICATED")
        status, refused = send("GET", path.replace(TENANT, "other"), tenants="[other]")
        assert (status, refused["error"]["status"]) == (404, "NOT_FOUND")
