"""The MCP server without HTTP: what it answers to right and wrong requests of both eras."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import Unauthenticated
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.mcp import calls, server, streams
from ai_coordination_engine.served.mcp.calls import IDEMPOTENCY_KEY
from ai_coordination_engine.served.mcp.server import McpServer
from ai_coordination_engine.served.places import Places
from tests.kit.fakes import failing
from tests.kit.stage import TENANT, Stage, stage_of

VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
FORMS: dict[str, Any] = {"elicitation": {}}
TASKS: dict[str, Any] = {"extensions": {META + "tasks": {}}}
ASK = {"a": {"user_in_the_loop": "ann"}}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits: the tests work between the calls."""
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(server, "TASK_SECONDS", 0.0)
    monkeypatch.setattr(calls, "WAIT_SECONDS", 0.0)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Client:
    """A client of one tenant that sends one message after the other."""

    def __init__(self, app: App, runner: asyncio.Runner, tenant: str = TENANT) -> None:
        self._app, self._runner, self._tenant = app, runner, tenant

    def post(self, body: object, **headers: str) -> Response:
        """Send a body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request("POST", {"content-type": "application/json", **named}, (), data)
        answered = self._runner.run(McpServer(self._app).answer(request, lambda: self._tenant))
        assert not isinstance(answered, EventStream)
        return answered

    def modern(
        self, method: str, can: dict[str, Any] | None = None, meta: Any = (), /, **params: Any
    ) -> dict[str, Any]:
        """Send a request of the stateless revision; return the body of the response."""
        said = {META + "protocolVersion": VERSION, META + "clientCapabilities": can or {}}
        body = message(method, _meta={**said, **dict(meta)}, **params)
        name = params.get("name") or params.get("taskId")
        headers = {"mcp_name": name} if name else {}
        answered = self.post(body, mcp_protocol_version=VERSION, mcp_method=method, **headers)
        found: dict[str, Any] = json.loads(answered.body)
        return found

    def legacy(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request of a client of 2025; return the body of the response."""
        answered = self.post(message(method, **params), mcp_protocol_version="2025-06-18")
        found: dict[str, Any] = json.loads(answered.body)
        return found


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, runner: asyncio.Runner) -> Client:
    return Client(stage.app, runner)


def expose(stage: Stage, **given: Any) -> None:
    stage.define({"a": "", "b": "a"}, expose_as={"name": "report", "as": ["mcp"]}, **given)


def text(answered: dict[str, Any]) -> str:
    (block,) = answered["result"]["content"]
    return str(block["text"])


def test_a_call_is_sent_again_with_its_state_until_its_session_ends(
    stage: Stage, client: Client
) -> None:
    expose(stage)
    begun = client.modern("tools/call", name="report", arguments={"query": "go"})["result"]
    assert (begun["resultType"], "inputRequests" in begun) == ("input_required", False)
    stage.drain()
    again = client.modern(
        "tools/call",
        name="report",
        arguments={"query": "go"},
        requestState=begun["requestState"],
    )
    assert (again["result"]["resultType"], again["result"]["isError"]) == ("complete", False)
    assert text(again) == "B"
    assert len(stage.runtime.requests) == 2


@pytest.mark.parametrize("changed", ["arguments", "state", "no text"])
def test_a_state_of_another_call_is_refused(stage: Stage, client: Client, changed: str) -> None:
    expose(stage)
    begun = client.modern("tools/call", name="report", arguments={"query": "go"})["result"]
    arguments, state = {"query": "go"}, begun["requestState"]
    if changed == "arguments":
        arguments = {"query": "stay"}
    else:
        state = state[:-1] + "x" if changed == "state" else [state]
    refused = client.modern("tools/call", name="report", arguments=arguments, requestState=state)
    assert refused["error"]["code"] == -32602
    assert refused["error"]["message"] == "requestState is not one of this call."


def test_a_question_goes_to_a_client_that_takes_forms(stage: Stage, client: Client) -> None:
    schema = {"enum": ["yes", "no"]}
    expose(stage, actions={"a": {"user_in_the_loop": "ann", "answer_schema": schema}})
    call = {"name": "report", "arguments": {"query": "go"}}
    state = client.modern("tools/call", FORMS, **call)["result"]["requestState"]
    stage.drain()
    asked = client.modern("tools/call", FORMS, **call, requestState=state)["result"]
    ((key, request),) = asked["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    assert request["params"]["requestedSchema"]["properties"] == {
        "answer": {"type": "string", "enum": ["yes", "no"]}
    }
    assert request["params"]["message"] == "a asks ann:\n\ngo"

    def answer(content: object, action: str = "accept") -> dict[str, Any]:
        responses = {key: {"action": action, "content": content}, "another": {}}
        said = {"requestState": asked["requestState"], "inputResponses": responses}
        found: dict[str, Any] = client.modern("tools/call", FORMS, **call, **said)["result"]
        return found

    wrong = answer({"answer": "maybe"})
    assert [*wrong["inputRequests"]] == [key]
    said = wrong["inputRequests"][key]["params"]["message"]
    assert said.startswith("the answer does not conform to the answerSchema")
    declined = answer(None, "decline")
    assert declined["resultType"] == "complete"
    assert "waits for ann, who must answer in the inbox" in declined["content"][0]["text"]
    going_on = answer({"answer": "yes"})
    assert "inputRequests" not in going_on
    stage.drain()
    ended = client.modern("tools/call", FORMS, **call, requestState=going_on["requestState"])
    assert text(ended) == "B"


def test_a_question_stays_in_the_inbox_of_a_client_without_forms(
    stage: Stage, client: Client
) -> None:
    expose(stage, actions=ASK)
    call = {"name": "report", "arguments": {"query": "go"}}
    state = client.modern("tools/call", **call)["result"]["requestState"]
    stage.drain()
    told = client.modern("tools/call", {"elicitation": {"url": {}}}, **call, requestState=state)
    assert "waits for ann" in text(told)


def test_a_client_with_tasks_gets_one_and_answers_and_cancels_it(
    stage: Stage, client: Client
) -> None:
    expose(stage, actions=ASK)
    can = {**TASKS, **FORMS}
    made = client.modern("tools/call", can, name="report", arguments={"query": "go"})["result"]
    assert (made["resultType"], made["status"], made["ttlMs"]) == ("task", "working", None)
    task = made["taskId"]
    stage.drain()
    asking = client.modern("tasks/get", can, taskId=task)["result"]
    assert (asking["resultType"], asking["status"]) == ("complete", "input_required")
    (key,) = asking["inputRequests"]
    elsewhere = client.modern("tasks/get", TASKS, taskId=task)["result"]
    assert (elsewhere["status"], "inputRequests" in elsewhere) == ("working", False)
    assert "waits for ann" in elsewhere["statusMessage"]
    responses = {key: {"action": "accept", "content": {"answer": "blue"}}}
    done = client.modern("tasks/update", can, taskId=task, inputResponses=responses)
    assert done["result"]["resultType"] == "complete"
    stage.drain()
    ended = client.modern("tasks/get", can, taskId=task)["result"]
    assert (ended["status"], ended["result"]["content"][0]["text"]) == ("completed", "B")
    for _ in range(2):  # a task that has ended is acknowledged, too
        assert client.modern("tasks/cancel", can, taskId=task)["result"]["resultType"] == "complete"
    other = client.modern("tools/call", can, name="report", arguments={"query": "go"})["result"]
    client.modern("tasks/cancel", can, taskId=other["taskId"])
    assert (
        client.modern("tasks/get", can, taskId=other["taskId"])["result"]["status"] == "cancelled"
    )


def test_a_failed_session_is_a_completed_task_with_an_error(stage: Stage, client: Client) -> None:
    expose(stage)
    stage.runtime.behaviours["a"] = failing("no such model", retryable=False)
    made = client.modern("tools/call", TASKS, name="report", arguments={"query": "go"})["result"]
    stage.drain()
    ended = client.modern("tasks/get", TASKS, taskId=made["taskId"])["result"]
    assert (ended["status"], ended["result"]["isError"]) == ("completed", True)
    assert "no such model" in ended["result"]["content"][0]["text"]


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
def test_tasks_need_the_extension_and_a_task_of_the_tenant(
    stage: Stage, client: Client, method: str
) -> None:
    expose(stage)
    refused = client.modern(method, taskId="t")["error"]
    assert (refused["code"], refused["data"]) == (-32021, {"requiredCapabilities": TASKS})
    unknown = client.modern(method, TASKS, taskId="t", inputResponses={})["error"]
    assert (unknown["code"], unknown["data"]["code"]) == (-32602, "NOT_FOUND")


def test_a_key_in_meta_makes_a_call_repeatable(stage: Stage, client: Client) -> None:
    expose(stage)

    def call(query: str, key: object) -> dict[str, Any]:
        arguments = {"query": query}
        meta = {IDEMPOTENCY_KEY: key}
        return client.modern("tools/call", TASKS, meta, name="report", arguments=arguments)

    first = call("go", "k")["result"]["taskId"]
    assert call("go", "k")["result"]["taskId"] == first
    assert call("go", "l")["result"]["taskId"] != first
    other = call("stay", "k")["error"]
    assert (other["code"], other["data"]["code"]) == (-32602, "CONFLICT")
    assert call("go", "")["error"]["code"] == -32602
    assert call("go", 3)["error"]["code"] == -32602


def test_the_trace_of_the_caller_is_continued(stage: Stage, client: Client) -> None:
    expose(stage)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.modern("tools/call", TASKS, {"traceparent": trace}, name="report", arguments={})
    client.modern(
        "tools/call", TASKS, {"traceparent": trace}, name="report", arguments={"query": "go"}
    )
    stage.drain()
    assert "0af7651916cd43dd8448eb211c80319c" in stage.runtime.requests[0].traceparent


def test_structured_output_conforms_to_its_schema_or_is_an_error(
    stage: Stage, client: Client
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    runtime = {"kind": "function", "name": "echo", "output_schema": schema}
    stage.define({"a": ""}, agents={"a": {"runtime": runtime}}, expose_as={"name": "count"})
    (tool,) = client.modern("tools/list")["result"]["tools"]
    assert tool["outputSchema"] == schema
    for output, expected in (('{"n": 3}', {"n": 3}), ('{"n": "x"}', None), ("three", None)):
        stage.runtime.behaviours["a"] = lambda request, said=output: said
        call = {"name": "count", "arguments": {"query": output}}
        state = client.modern("tools/call", **call)["result"]["requestState"]
        stage.drain()
        ended = client.modern("tools/call", **call, requestState=state)["result"]
        assert ended.get("structuredContent") == expected
        assert ended["isError"] is (expected is None)


def test_arguments_that_do_not_fit_are_an_error_that_the_model_can_mend(
    stage: Stage, client: Client
) -> None:
    expose(stage)
    for call in (client.modern, client.legacy):
        answered = call("tools/call", name="report", arguments={"query": 3})
        assert answered["result"]["isError"] is True
        assert "3 is not of type 'string'" in text(answered)
    assert stage.queue.sent == []


def test_a_client_of_2025_is_told_how_to_look_later(stage: Stage, client: Client) -> None:
    expose(stage)
    given = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
    assert client.legacy("initialize", **given)["result"]["protocolVersion"] == "2025-11-25"
    later = client.legacy("initialize", **{**given, "protocolVersion": "2030-01-01"})["result"]
    assert later["protocolVersion"] == "2025-11-25"
    assert client.legacy("ping")["result"] == {}
    tools = client.legacy("tools/list")["result"]
    assert [each["name"] for each in tools["tools"]] == ["report", "get_session_result"]
    begun = text(client.legacy("tools/call", name="report", arguments={"query": "go"}))
    assert "has not ended yet. Call get_session_result with" in begun
    session = json.loads(begun[begun.index("{") : begun.index("}") + 1])
    stage.drain()
    assert text(client.legacy("tools/call", name="get_session_result", arguments=session)) == "B"
    wrong = client.legacy("tools/call", name="get_session_result", arguments={"session": "x"})
    assert wrong["result"]["isError"] is True


def test_tools_are_listed_in_pages(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PAGE", 2)
    for name in "cab":
        stage.define({"a": ""}, expose_as={"name": name}, task_description=f"does {name}")
    first = client.modern("tools/list")["result"]
    assert [each["name"] for each in first["tools"]] == ["a", "b"]
    assert (first["ttlMs"], first["cacheScope"]) == (60_000, "private")
    assert first["tools"][0]["description"] == "does a"
    second = client.modern("tools/list", cursor=first["nextCursor"])["result"]
    assert ([each["name"] for each in second["tools"]], "nextCursor" in second) == (["c"], False)
    wrong = client.modern("tools/list", cursor="x")["error"]
    assert (wrong["code"], wrong["data"]["code"]) == (-32602, "BAD_USER_INPUT")


def test_other_tenants_see_nothing(stage: Stage, client: Client, runner: asyncio.Runner) -> None:
    expose(stage)
    made = client.modern("tools/call", TASKS, name="report", arguments={"query": "go"})["result"]
    other = Client(stage.app, runner, "other")
    for method, params in (
        ("server/discover", {}),
        ("tools/list", {}),
        ("tools/call", {"name": "report", "arguments": {"query": "go"}}),
        ("tasks/get", {"taskId": made["taskId"]}),
    ):
        said = {META + "protocolVersion": VERSION, META + "clientCapabilities": TASKS}
        named = {"mcp_name": str(next(iter(params.values())))} if params else {}
        body = message(method, _meta=said, **params)
        answered = other.post(body, mcp_protocol_version=VERSION, mcp_method=method, **named)
        assert (answered.status, json.loads(answered.body)["error"]["data"]["code"]) == (
            404,
            "NOT_FOUND",
        )
    assert other.post(message("initialize")).status == 404


MODERN = {"mcp_protocol_version": VERSION}
SAID = {META + "protocolVersion": VERSION, META + "clientCapabilities": {}}


WRONG: list[tuple[Any, dict[str, str], int, int]] = [
    (b"{", {}, 400, -32700),
    (b"\xff", {}, 400, -32700),
    (b'{"a": ' * 100_000, {}, 400, -32700),
    ([message("ping")], {}, 400, -32600),
    ({"id": 1, "method": "ping"}, {}, 400, -32600),
    ({"jsonrpc": "2.0", "id": 1}, {}, 400, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": 3}, {}, 400, -32600),
    ({**message("ping"), "id": None}, {}, 400, -32600),
    ({**message("ping"), "id": True}, {}, 400, -32600),
    ({**message("ping"), "params": [1]}, {}, 400, -32602),
    (message("nothing"), {}, 200, -32601),
    (message("tools/call", name="none"), {}, 200, -32602),
    (message("tools/call", name=3), {}, 200, -32602),
    (message("tools/call", name="report", arguments=[1]), {}, 200, -32602),
    (message("tools/list", cursor=3), {}, 200, -32602),
    (message("ping"), {"mcp_protocol_version": "2024-01-01"}, 400, -32022),
    (message("server/discover"), MODERN, 400, -32602),
    (message("server/discover", _meta=SAID), MODERN, 400, -32020),
    (message("server/discover", _meta=SAID), {"mcp_method": "server/discover"}, 400, -32020),
    (message("nothing", _meta=SAID), {**MODERN, "mcp_method": "nothing"}, 404, -32601),
    (message("ping", _meta=SAID), {**MODERN, "mcp_method": "ping"}, 404, -32601),
    (
        message("tools/call", _meta=SAID, name="report"),
        {**MODERN, "mcp_method": "tools/call", "mcp_name": "other"},
        400,
        -32020,
    ),
    (
        message("tools/call", _meta=SAID, name="none"),
        {**MODERN, "mcp_method": "tools/call", "mcp_name": "=?base64?bm9uZQ==?="},
        400,
        -32602,
    ),
    ({"jsonrpc": "2.0", "id": "ask.x.y", "result": {}}, MODERN, 400, -32600),
]


def test_a_wrong_request_has_its_code(stage: Stage, client: Client) -> None:
    expose(stage)
    for body, headers, status, code in WRONG:
        answered = client.post(body, **headers)
        found = (answered.status, json.loads(answered.body)["error"]["code"])
        assert found == (status, code), (str(body)[:200], headers)


def test_what_is_no_request_of_the_protocol_is_refused(
    stage: Stage, client: Client, runner: asyncio.Runner
) -> None:
    expose(stage)
    mcp = McpServer(stage.app)

    def answered(method: str, body: bytes = b"", **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        found = runner.run(mcp.answer(Request(method, named, (), body), lambda: TENANT))
        assert isinstance(found, Response)
        return found

    assert answered("GET", accept="text/event-stream").status == 405
    assert answered("DELETE").headers["allow"] == "POST"
    assert answered("POST", b"{}", content_type="text/plain").status == 415
    json_only = {"content_type": "application/json; charset=utf-8"}
    assert answered("POST", b"{}", accept="text/html", **json_only).status == 406
    notice = b'{"jsonrpc": "2.0", "method": "notifications/initialized"}'
    assert answered("POST", notice, **json_only).status == 202
    lost = b'{"jsonrpc": "2.0", "id": "ask.x.y", "result": {}}'
    assert answered("POST", lost, **json_only).status == 202  # of a session that nobody knows


def tool_call(**headers: str) -> Request:
    """A call of the one tool, of a client of 2025."""
    body = json.dumps(message("tools/call", name="report", arguments={"query": "go"})).encode()
    return Request("POST", {"content-type": "application/json", **headers}, (), body)


def test_streams_are_opened_up_to_a_bound_and_nothing_is_started_beyond(
    stage: Stage, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(streams, "STREAM_SECONDS", 0.0)
    expose(stage)
    mcp = McpServer(stage.app, has_streams=True, places=Places(1))
    request = tool_call(accept="application/json, text/event-stream")

    async def both() -> tuple[object, list[str]]:
        # nobody has begun to read the first one when the second one comes
        first, refused = await asyncio.gather(
            *(mcp.answer(request, lambda: TENANT) for _ in range(2))
        )
        assert isinstance(first, EventStream)
        return refused, [event async for event in first.events]

    refused, events = runner.run(both())
    assert isinstance(refused, Response)
    assert json.loads(refused.body)["error"]["data"] == {"code": "THROTTLED", "retryable": True}
    assert len(stage.queue.sent) == 1
    assert "has not ended yet" in events[-1]
    assert mcp.places.taken == 0


def test_waiting_calls_have_a_bound_too_and_streams_that_nobody_reads_are_forgotten(
    stage: Stage, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.0)
    expose(stage)
    mcp = McpServer(stage.app, has_streams=True, places=Places(1))
    json_only = tool_call()
    stream = runner.run(mcp.answer(tool_call(accept="text/event-stream"), lambda: TENANT))
    assert isinstance(stream, EventStream)
    refused = runner.run(mcp.answer(json_only, lambda: TENANT))
    assert isinstance(refused, Response)
    assert (refused.status, "1 callers wait" in refused.body.decode()) == (200, True)
    del stream
    answered = runner.run(mcp.answer(json_only, lambda: TENANT))
    assert isinstance(answered, Response)
    assert b"has not ended yet" in answered.body
    assert (mcp.places.taken, len(stage.queue.sent)) == (0, 2)


def test_a_caller_without_rights_is_refused_before_the_body_is_read(
    stage: Stage, runner: asyncio.Runner
) -> None:
    def tenant() -> str:
        raise Unauthenticated("send a token")

    request = Request("POST", {"origin": "https://evil.example"}, (), b"{")
    mcp = McpServer(stage.app)
    refused = runner.run(mcp.answer(request, tenant))
    assert isinstance(refused, Response)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    foreign = runner.run(mcp.answer(request, lambda: TENANT, lambda origin: False))
    assert isinstance(foreign, Response)
    assert (foreign.status, json.loads(foreign.body)["error"]["data"]["code"]) == (403, "FORBIDDEN")


def test_an_unexpected_error_tells_nothing(stage: Stage, runner: asyncio.Runner) -> None:
    def tenant() -> str:
        raise RuntimeError("ace-tasks")

    answered = runner.run(McpServer(stage.app).answer(Request("POST", {}), tenant))
    assert isinstance(answered, Response)
    error = json.loads(answered.body)["error"]
    assert (answered.status, error["code"]) == (500, -32603)
    assert "ace-tasks" not in error["message"]
