"""The MCP server in the function of the API, called by events of API Gateway."""

import json
from asyncio import Runner
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from tests.kit.stage import Stage, stage_of

ORIGIN = "https://app.example"
Post = Callable[..., dict[str, Any]]


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app)
    stage.define({"a": ""}, expose_as={"name": "report"})
    return stage


@pytest.fixture
def post(stage: Stage) -> Iterator[Post]:
    """Send a request of a client of 2025 by an HTTP API."""
    settings = stage.app.settings.model_copy(update={"auth": "jwt", "cors_origins": [ORIGIN]})
    with Runner() as runner:
        handler = build_handler(replace(stage.app, settings=settings), runner)

        def send(
            path: str, method: str, grants: str | None = "acme", /, **headers: str
        ) -> dict[str, Any]:
            context: dict[str, Any] = {"http": {"method": "POST"}, "stage": "$default"}
            if grants is not None:
                context["authorizer"] = {"jwt": {"claims": {settings.tenant_claim: grants}}}
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
            event = {
                "version": "2.0",
                "rawPath": path,
                "requestContext": context,
                "headers": {"content-type": "application/json", **headers},
                "body": json.dumps(body),
            }
            return handler(event, None)

        yield send


@pytest.mark.parametrize("path", ["/mcp", "/acme/mcp"])
def test_tools_are_listed_for_the_tenant_of_the_token(post: Post, path: str) -> None:
    answered = post(path, "tools/list")
    tools = json.loads(answered["body"])["result"]["tools"]
    assert (answered["statusCode"], [each["name"] for each in tools]) == (
        200,
        ["report", "get_session_result"],
    )
    assert "mcp-session-id" not in answered["headers"]


@pytest.mark.parametrize(
    ("path", "grants", "status"),
    [
        ("/mcp", None, 401),
        ("/other/mcp", "acme", 403),
        ("/other/mcp", "other", 404),
        ("/mcp", "acme other", 403),
        ("/a/b/mcp", "acme", 404),
        ("/mcp/acme", "acme", 404),
    ],
)
def test_others_are_refused(post: Post, path: str, grants: str | None, status: int) -> None:
    assert post(path, "tools/list", grants)["statusCode"] == status


def test_an_answer_that_is_too_large_for_a_function_is_an_error(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_coordination_engine.entrypoints.aws.invocations.LAMBDA_BYTES", 2_100)
    answered = post("/mcp", "tools/list")
    error = json.loads(answered["body"])["error"]
    assert (answered["statusCode"], error["data"]["code"]) == (400, "TOO_COMPLEX")
    assert json.loads(answered["body"])["id"] == 1


def test_pages_of_other_origins_are_refused(post: Post) -> None:
    assert post("/mcp", "ping", origin="https://evil.example")["statusCode"] == 403
    allowed = post("/mcp", "ping", origin=ORIGIN)
    assert allowed["statusCode"] == 200
    assert allowed["headers"]["access-control-allow-origin"] == ORIGIN
