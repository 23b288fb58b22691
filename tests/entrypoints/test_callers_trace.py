"""A caller's trace goes on in the session: over HTTP and a WebSocket, and in an invocation."""

from asyncio import Runner
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.settings import Settings
from tests.kit.schedules import scheduled
from tests.kit.stage import TENANT, Stage, stage_of

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADERS = {"Traceparent": TRACEPARENT, "TraceState": "vendor=x"}
START = """mutation Start($c: String!, $t: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t) {
    procedureTaskSession { sessionUuid }
  }
}"""
ASK = """mutation Ask($c: String!) {
  askOperationHub(coordinationUuid: $c, userQuery: "Why?") { sessionUuid }
}"""
RUN = """mutation Run($t: String!, $s: String!) {
  runTaskSchedule(taskUuid: $t, scheduleUuid: $s) { sessions { sessionUuid } }
}"""
Send = Callable[[dict[str, Any], dict[str, str]], dict[str, Any]]


@pytest.fixture
def stage(shared_app: App) -> Stage:
    return stage_of(shared_app)


@pytest.fixture
def runner() -> Iterator[Runner]:
    with Runner() as made:
        yield made


def over_http(app: App, runner: Runner) -> Send:
    transport = httpx.ASGITransport(asgi_app(app))

    async def post(body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            sent = await client.post(f"/{TENANT}/graphql", json=body, headers=headers)
            answer: dict[str, Any] = sent.json()
            return answer

    return lambda body, headers: runner.run(post(body, headers))


def by_invocation(app: App, runner: Runner) -> Send:
    handler = build_handler(replace(app, settings=Settings(auth="jwt")), runner)
    return lambda body, headers: handler(
        {**body, "endpoint_id": TENANT, **{name.lower(): each for name, each in headers.items()}},
        None,
    )


def by_socket(app: App, runner: Runner) -> Send:
    """A mutation over a WebSocket, which has no headers: the trace is in its extensions."""

    def send(body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        extensions = {name.lower(): each for name, each in headers.items()}
        payload = {**body, "extensions": extensions}
        path, client = f"/{TENANT}/graphql", TestClient(asgi_app(app), "http://127.0.0.1")
        with client.websocket_connect(path, subprotocols=["graphql-transport-ws"]) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            answer: dict[str, Any] = socket.receive_json()["payload"]
            return answer

    return send


@pytest.mark.parametrize("home", [over_http, by_invocation, by_socket])
@pytest.mark.parametrize("query", [START, ASK, RUN])
@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (HEADERS, (TRACEPARENT, "vendor=x")),
        ({}, ("", "")),  # in the same process as the one before
        ({"traceparent": "00-bad", "tracestate": "vendor=x"}, ("", "")),
    ],
)
def test_the_session_goes_on_with_the_trace_of_its_caller(
    stage: Stage, runner: Runner, home: Any, query: str, headers: dict[str, str], sent: Any
) -> None:
    coordination, task = stage.define({"a": ""})
    schedule = scheduled(stage, (coordination, task), "0 8 * * *", status="paused")
    send, uuid = home(stage.app, runner), schedule.schedule_uuid
    answer = send({"query": query, "variables": {"c": coordination, "t": task, "s": uuid}}, headers)
    assert "errors" not in answer
    stage.drain()
    (request,) = stage.runtime.requests
    assert (request.traceparent, request.tracestate) == sent
