"""The real schema behind the Lambda handler and the ASGI application, with fields that need no
record.
"""

import gc
import json
from asyncio import Runner
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from ai_coordination_engine.entrypoints.aws import graphql_api
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.settings import Settings

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
PONG = {"data": {"ping": "Hello at 2027-01-01T12:00:00+00:00"}}
RUN = """
coordination: {name: c, agents: [{name: a}]}
task: {subtasks: [{agent: a, query: q}]}
"""
ASK = '{ askOperationHub(coordinationUuid: "c", userQuery: "q") { runUuid } }'


def app(**settings: Any) -> Any:
    """An application with settings and a clock but without records."""
    return SimpleNamespace(
        settings=Settings(**settings),
        clock=SimpleNamespace(now=lambda: NOON),
        state_problem=lambda: None,
        changes=SimpleNamespace(is_watched=False),
        telemetry=None,
        allow_list=None,
    )


def local_client(**settings: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi_app(app(**settings))), base_url="http://test"
    )


def test_the_handler_answers_a_direct_invocation() -> None:
    with Runner() as runner:
        answered = build_handler(app(auth="jwt"), runner)(
            {"query": "{ ping }", "endpoint_id": "acme"}, None
        )
    assert answered == PONG


def test_the_handler_does_not_start_when_it_would_believe_every_caller() -> None:
    with pytest.raises(ValueError, match="set `jwt` or `iam`"):
        build_handler(app(auth="local"))


def test_the_module_has_nothing_else_that_appears_when_looked_up() -> None:
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = graphql_api.other


def test_the_handler_is_built_when_lambda_looks_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACE_AUTH", "jwt")
    monkeypatch.setenv("ACE_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/111122223333/wake")
    answered = graphql_api.handler({"query": "{ __typename }", "endpoint_id": "acme"}, None)
    assert answered == {"data": {"__typename": "Query"}}
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("path", "method", "text", "expected"),
    [
        ("/run-file", "POST", RUN, (200, [], [1])),
        ("/acme/run-file", "POST", RUN, (200, [], [1])),
        ("/acme/run-file", "POST", "task: 1", (200, ["error", "error"], None)),
        ("/other/run-file", "POST", RUN, (403, None, None)),
        ("/acme/run-file", "POST", None, (400, None, None)),
        ("/acme/run-file", "GET", RUN, (405, None, None)),
    ],
)
def test_run_files_are_checked_for_who_may_call(
    path: str, method: str, text: str | None, expected: Any
) -> None:
    claims = {"jwt": {"claims": {"tenant": "acme"}}}
    event = {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method}, "authorizer": claims},
        "body": json.dumps({"text": text}),
    }
    with Runner() as runner:
        handler = build_handler(app(auth="jwt", tenant_claim="tenant"), runner)
        answered: Any = handler(event, None)
    found = json.loads(answered["body"])
    kinds = found.get("problems") and [each["kind"] for each in found["problems"]]
    calls = found.get("plan") and [*found["plan"]["agentCalls"].values()]
    assert (answered["statusCode"], kinds, calls) == expected


@pytest.mark.parametrize("tenant", ["acme", "docs"])  # the page has paths below /docs
async def test_the_local_api_believes_the_path(tenant: str) -> None:
    async with local_client(auth="local") as client:
        answered = await client.post(f"/{tenant}/graphql", json={"query": "{ ping }"})
    assert answered.json() == PONG


@pytest.mark.parametrize("auth", ["jwt", "iam"])
async def test_the_local_api_is_closed_where_credentials_are_wanted(auth: str) -> None:
    async with local_client(auth=auth) as client:
        answered = await client.post("/acme/graphql", json={"query": "{ ping }"})
    assert (answered.status_code, answered.json()["errors"][0]["extensions"]) == (
        401,
        {"code": "UNAUTHENTICATED"},
    )


async def test_an_ill_formed_tenant_in_the_path_is_bad_user_input() -> None:
    async with local_client(auth="local") as client:
        answered = await client.post("/a%23b/graphql", json={"query": "{ ping }"})
    assert (answered.status_code, answered.json()["errors"][0]["extensions"]) == (
        400,
        {"code": "BAD_USER_INPUT"},
    )


async def test_asking_the_hub_over_get_is_refused() -> None:
    async with local_client(auth="local") as client:
        answered = await client.get("/graphql", params={"query": ASK})
    (error,) = answered.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
