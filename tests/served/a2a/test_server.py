"""Exposed tasks by A2A, with `a2a-sdk` as the client over HTTP, by both bindings."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from a2a.client.errors import A2AClientError
from a2a.types.a2a_pb2 import (
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils import errors

from ai_coordination_engine import AgentRequest
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.served.places import Places
from ai_coordination_engine.settings import Settings
from tests.kit.a2a_client import BINDINGS, A2AClient, said

GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def wait(request: AgentRequest) -> str:
    """Answer once the test lets it."""
    GATES[request.input].wait(20)
    return request.input


def refuse(request: AgentRequest) -> str:
    """Fail."""
    raise RuntimeError("no ink")


ECHO = {"kind": "function", "name": "echo"}
TASKS: dict[str, dict[str, Any]] = {
    "echo": {"agents": [{"agentUuid": "a", "runtime": ECHO}]},
    "topic": {
        "agents": [{"agentUuid": "a", "runtime": ECHO}],
        "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": '{{"on": "{topic}"}}'}],
    },
    "ask": {
        "agents": [{"agentUuid": "a", "runtime": {"kind": "function", "name": "answer"}}],
        "agentActions": {"a": {"userInTheLoop": "ann"}},
        "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": "Which colour?"}],
    },
    "wait": {"agents": [{"agentUuid": "a", "runtime": {"kind": "function", "name": "wait"}}]},
    "fail": {"agents": [{"agentUuid": "a", "runtime": {"kind": "function", "name": "fail"}}]},
}


_COORDINATION = """mutation($uuid: String, $agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: $uuid, agents: $agents, updatedBy: "me") {
    coordination { coordinationUuid } } }"""
_TASK = """mutation($uuid: String!, $name: String!, $subtaskQueries: [JSONCamelCase],
                    $agentActions: JSONCamelCase, $exposeAs: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: $uuid, taskName: $name, subtaskQueries: $subtaskQueries,
      agentActions: $agentActions, exposeAs: $exposeAs, updatedBy: "me") { task { taskUuid } } }"""


def expose(url: str, names: list[str]) -> None:
    """Make tasks of these names and expose them."""
    for name in names:
        says = {"uuid": f"c-{name}", "name": name, **TASKS[name]}
        exposed = {"name": name, "description": f"does {name}"}
        for document in (_COORDINATION, _TASK):
            body = {"query": document, "variables": {**says, "exposeAs": exposed}}
            answer = httpx.post(url, json=body).json()
            assert "errors" not in answer, answer


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    functions = {"wait": f"{__name__}:wait", "fail": f"{__name__}:refuse"}
    settings = Settings(auth="local", functions=functions, agent_attempts=1)
    with serving(settings, port=0) as running:
        for tenant, names in (("all", [*TASKS]), ("one", ["echo"])):
            expose(f"{running.page}{tenant}/graphql", names)
        yield running


@pytest.fixture(params=BINDINGS)
def agent(request: pytest.FixtureRequest, server: Running) -> A2AClient:
    """A client of the tenant that exposes all tasks."""
    return A2AClient(f"{server.page}all", request.param)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """An id of a message that no other test uses."""
    return request.node.name


def skill(name: str, text: str | None = "hello", **given: Any) -> Any:
    return said(text, metadata={"skill": name}, **given)


def test_the_card_says_what_works(server: Running) -> None:
    response = httpx.get(f"{server.page}all/.well-known/agent-card.json")
    card = response.json()
    assert [each["id"] for each in card["skills"]] == sorted(TASKS)
    assert card["skills"][1]["description"] == "does echo"
    assert card["supportedInterfaces"] == [
        {"url": f"{server.page}all/a2a", "protocolBinding": each, "protocolVersion": "1.0"}
        for each in ("HTTP+JSON", "JSONRPC")
    ]
    assert card["capabilities"] == {
        "streaming": True,
        "pushNotifications": False,
        "extendedAgentCard": True,
    }
    assert "securitySchemes" not in card
    tag = response.headers["etag"]
    again = httpx.get(str(response.url), headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["etag"]) == (304, tag)


def test_the_extended_card_has_the_schemas_of_the_arguments(agent: A2AClient) -> None:
    (extension,) = agent.extended_card()["capabilities"]["extensions"]
    assert extension["params"]["topic"]["required"] == ["topic"]


def test_a_message_starts_a_session_and_waits_for_its_outputs(agent: A2AClient, key: str) -> None:
    task = agent.task(skill("echo", "hello", message_id=key, context_id="ctx"))
    assert task["contextId"] == "ctx"
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    (artifact,) = task["artifacts"]
    assert artifact["parts"] == [{"text": "hello", "mediaType": "text/plain"}]
    (message,) = task["history"]
    assert (message["messageId"], message["role"], message["parts"]) == (
        key,
        "ROLE_USER",
        [{"text": "hello"}],
    )
    assert agent.get(task["id"]) == task


def test_a_repeated_message_starts_nothing_twice(agent: A2AClient, key: str) -> None:
    message = skill("echo", message_id=key)
    first = agent.task(message, return_immediately=True)
    again = agent.task(message)
    assert (again["id"], again["contextId"]) == (first["id"], first["contextId"])
    with pytest.raises((errors.InvalidParamsError, A2AClientError), match="other arguments"):
        agent.task(skill("echo", "something else", message_id=key))


def test_arguments_are_the_keys_of_data_or_the_text(agent: A2AClient, key: str) -> None:
    for number, given in enumerate(({"data": {"topic": "x"}}, {"text": "x"})):
        text = given.get("text")
        task = agent.task(
            skill("topic", text, data=given.get("data"), message_id=f"{key}-{number}")
        )
        assert task["artifacts"][0]["parts"] == [
            {"data": {"on": "x"}, "mediaType": "application/json"}
        ]
    with pytest.raises(errors.InvalidParamsError, match="do not conform to the schema"):
        agent.task(skill("topic", None, data={"topik": "x"}, message_id=f"{key}-9"))


def test_the_only_skill_need_not_be_named(server: Running, key: str) -> None:
    for binding in BINDINGS:
        task = A2AClient(f"{server.page}one", binding).task(said("hi", message_id=key))
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_skill_must_be_named_where_there_are_several(agent: A2AClient, key: str) -> None:
    with pytest.raises(errors.InvalidParamsError, match="one of ask, echo, fail, topic, wait"):
        agent.task(said("hi", message_id=key))
    with pytest.raises(errors.InvalidParamsError, match='Nothing is exposed as "other"'):
        agent.task(skill("other", message_id=key))


def test_a_question_is_answered_by_a_message_with_the_task(agent: A2AClient, key: str) -> None:
    task = agent.task(skill("ask", message_id=key))
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert task["status"]["message"]["parts"] == [{"text": "Which colour?"}]
    listed = agent.listed(status=TaskState.TASK_STATE_INPUT_REQUIRED)["tasks"]
    assert task["id"] in [each["id"] for each in listed]
    answer = said("red", message_id=f"{key}-2", task_id=task["id"])
    with pytest.raises(errors.InvalidParamsError, match="not the context of this task"):
        agent.task(said("red", message_id=key, task_id=task["id"], context_id="other"))
    done = agent.task(answer)
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert done["artifacts"][0]["parts"] == [{"text": "red", "mediaType": "text/plain"}]
    assert [each["parts"][0]["text"] for each in done["history"]] == ["hello", "red"]
    assert agent.get(done["id"], history_length=1)["history"] == done["history"][-1:]
    assert "history" not in agent.get(done["id"], history_length=0)
    with pytest.raises(errors.UnsupportedOperationError, match="takes no message"):
        agent.task(said("blue", message_id=f"{key}-3", task_id=task["id"]))


def test_a_failure_says_why(agent: A2AClient, key: str) -> None:
    task = agent.task(skill("fail", message_id=key))
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "no ink" in task["status"]["message"]["parts"][0]["text"]
    assert "artifacts" not in task


def test_a_stream_tells_what_changes_until_the_end(agent: A2AClient, key: str) -> None:
    events = agent.send(skill("echo", message_id=key), streaming=True)
    assert "task" in events[0]
    kinds = [next(iter(each)) for each in events]
    if len(events) > 1:  # the session may have ended before the first event
        assert kinds[-2:] == ["artifactUpdate", "statusUpdate"]
        assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_subscription_and_a_cancel(agent: A2AClient, server: Running, key: str) -> None:
    task = agent.task(skill("wait", key, message_id=key), return_immediately=True)
    assert task["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    seen: list[Any] = []

    def watch(event: Any) -> None:
        seen.append(event)
        has_begun.set()

    has_begun = threading.Event()
    thread = threading.Thread(target=agent.subscribe, args=(task["id"], watch))
    thread.start()
    assert has_begun.wait(10)
    cancelled = agent.cancel(task["id"])
    assert cancelled["status"]["state"] == "TASK_STATE_CANCELED"
    thread.join(10)
    assert "task" in seen[0]
    assert seen[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert agent.cancel(task["id"])["status"]["state"] == "TASK_STATE_CANCELED"
    GATES[key].set()
    with pytest.raises(errors.UnsupportedOperationError):
        agent.subscribe(task["id"])


def test_a_subscription_goes_on_while_somebody_is_asked(agent: A2AClient, key: str) -> None:
    asked = agent.send(skill("ask", message_id=key), streaming=True)
    last = asked[-1]
    status = last["task"]["status"] if "task" in last else last["statusUpdate"]["status"]
    assert status["state"] == "TASK_STATE_INPUT_REQUIRED"  # the events of the message end here
    (task,) = [each["task"] for each in asked if "task" in each]
    seen: list[Any] = []
    has_begun = threading.Event()

    def watch(event: Any) -> None:
        seen.append(event)
        has_begun.set()

    thread = threading.Thread(target=agent.subscribe, args=(task["id"], watch))
    thread.start()
    assert has_begun.wait(10)
    agent.task(said("red", message_id=f"{key}-2", task_id=task["id"]))
    thread.join(10)
    assert seen[0]["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert seen[-2]["artifactUpdate"]["artifact"]["parts"][0]["text"] == "red"
    assert seen[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_task_that_has_ended_cannot_be_cancelled(agent: A2AClient, key: str) -> None:
    task = agent.task(skill("echo", message_id=key))
    with pytest.raises(errors.TaskNotCancelableError):
        agent.cancel(task["id"])


def test_tasks_are_listed_by_pages_and_filters(agent: A2AClient, key: str) -> None:
    context = f"context of {key}"
    made = [
        agent.task(skill("echo", message_id=f"{key}-{number}", context_id=context))["id"]
        for number in range(3)
    ]
    first = agent.listed(context_id=context, page_size=2)
    assert (first["totalSize"], first["pageSize"], len(first["tasks"])) == (3, 2, 2)
    assert "artifacts" not in first["tasks"][0]
    rest = agent.listed(context_id=context, page_size=2, page_token=first["nextPageToken"])
    assert (rest["totalSize"], rest.get("nextPageToken", "")) == (3, "")
    assert {each["id"] for each in first["tasks"] + rest["tasks"]} == set(made)
    whole = agent.listed(
        context_id=context,
        status=TaskState.TASK_STATE_COMPLETED,
        include_artifacts=True,
        history_length=0,
    )
    assert len(whole["tasks"]) == 3
    assert whole["tasks"][0]["artifacts"][0]["parts"][0]["text"] == "hello"
    assert "history" not in whole["tasks"][0]
    none = agent.listed(context_id=context, status=TaskState.TASK_STATE_REJECTED)
    assert none.get("tasks", []) == []
    with pytest.raises(errors.InvalidParamsError, match="pageToken"):
        agent.listed(context_id="other", page_token=first["nextPageToken"])


def test_another_tenant_sees_nothing(server: Running, agent: A2AClient, key: str) -> None:
    task = agent.task(skill("echo", message_id=key))
    for binding in BINDINGS:
        other = A2AClient(f"{server.page}one", binding)
        for call in (other.get, other.cancel, other.subscribe):
            with pytest.raises(errors.TaskNotFoundError):
                call(task["id"])
        assert task["id"] not in [each["id"] for each in other.listed().get("tasks", [])]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("create_task_push_notification_config", TaskPushNotificationConfig(task_id="t", url="u")),
        (
            "get_task_push_notification_config",
            GetTaskPushNotificationConfigRequest(task_id="t", id="c"),
        ),
        (
            "list_task_push_notification_configs",
            ListTaskPushNotificationConfigsRequest(task_id="t"),
        ),
        (
            "delete_task_push_notification_config",
            DeleteTaskPushNotificationConfigRequest(task_id="t", id="c"),
        ),
    ],
)
def test_notices_are_not_sent(agent: A2AClient, method: str, request_: Any) -> None:
    with pytest.raises(errors.PushNotificationNotSupportedError):
        agent.call(method, request_)


def test_a_tenant_that_exposes_nothing_has_no_agent(server: Running) -> None:
    for path in ("nobody/a2a", "nobody/a2a/tasks", "nobody/.well-known/agent-card.json", "a2a"):
        response = httpx.post(f"{server.page}{path}", json={}, headers={"A2A-Version": "1.0"})
        assert response.status_code in (404, 405), path
        if response.status_code == 405:
            response = httpx.get(f"{server.page}{path}")
        assert response.status_code == 404, path
    card = httpx.get(f"{server.page}nobody/.well-known/agent-card.json")
    assert "set exposeAs of a task, with a2a in its `as`" in card.text


VERSION = {"A2A-Version": "1.0"}


@pytest.mark.parametrize("headers", [{}, {"A2A-Version": "0.3"}, {"A2A-Version": "2.0"}])
def test_other_versions_are_refused(server: Running, headers: dict[str, str]) -> None:
    response = httpx.get(f"{server.page}all/a2a/tasks", headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/a2a+json")
    (info,) = response.json()["error"]["details"]
    assert (info["reason"], info["domain"]) == ("VERSION_NOT_SUPPORTED", "a2a-protocol.org")
    call = {"jsonrpc": "2.0", "id": 7, "method": "ListTasks"}
    answer = httpx.post(f"{server.page}all/a2a", json=call, headers=headers).json()
    assert (answer["id"], answer["error"]["code"]) == (7, -32009)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": "\xff"}', -32700),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "GetTask"}', -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "GetTask"}]', -32600),
        (b'{"id": 1, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tasks/get"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": []}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": ["x"]}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageSize": 0}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"tenant": "x"}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"status": "x"}}', -32602),
    ],
)
def test_nonsense_is_refused_by_json_rpc(server: Running, body: bytes, code: int) -> None:
    headers = {**VERSION, "Content-Type": "application/json"}
    response = httpx.post(f"{server.page}all/a2a", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (200, code)


MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "message.role"),
        ({**MESSAGE, "role": "ROLE_AGENT"}, "message.role"),
        ({**MESSAGE, "messageId": ""}, "message.messageId"),
        ({**MESSAGE, "messageId": 5}, "message.messageId"),
        ({**MESSAGE, "messageId": "x" * 257}, "message.messageId"),
        ({**MESSAGE, "parts": []}, "message.parts"),
        ({**MESSAGE, "parts": ["x"]}, "message.parts[0]"),
        ({**MESSAGE, "parts": [{"text": "x", "url": "y"}]}, "message.parts[0]"),
        ({**MESSAGE, "parts": [{"text": 5}]}, "message.parts[0].text"),
        ({**MESSAGE, "metadata": "x"}, "message.metadata"),
        ({**MESSAGE, "metadata": {"skill": 5}}, "message.metadata.skill"),
        ({**MESSAGE, "contextId": "a\nb"}, "message.contextId"),
    ],
)
def test_wrong_messages_name_the_field(
    server: Running, message: dict[str, Any], field: str
) -> None:
    response = httpx.post(
        f"{server.page}all/a2a/message:send", json={"message": message}, headers=VERSION
    )
    _, violations = response.json()["error"]["details"]
    assert (response.status_code, violations["fieldViolations"][0]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "message:send", 405),
        ("PUT", "tasks", 405),
        ("GET", "nothing", 404),
        ("GET", "tasks/x/y", 404),
        ("GET", "tasks/x", 404),
        ("POST", "tasks/x:cancel", 404),
        ("GET", "tasks/x:cancel", 405),
        ("GET", "tasks?pageSize=x", 400),
        ("GET", "tasks?statusTimestampAfter=x", 400),
        ("GET", "tasks?historyLength=-1", 400),
        ("DELETE", "", 405),
    ],
)
def test_nonsense_is_refused_by_http(server: Running, method: str, path: str, status: int) -> None:
    url = f"{server.page}all/a2a" + (f"/{path}" if path else "")
    response = httpx.request(method, url, headers=VERSION)
    assert (response.status_code, "error" in response.json()) == (status, True)


def test_a_body_of_another_type_is_refused(server: Running) -> None:
    headers = {**VERSION, "Content-Type": "text/plain"}
    response = httpx.post(f"{server.page}all/a2a/message:send", content=b"x", headers=headers)
    assert response.status_code == 415
    (info,) = response.json()["error"]["details"]
    assert info["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"


def test_outputs_that_the_client_cannot_take(agent: A2AClient, key: str) -> None:
    with pytest.raises(errors.ContentTypeNotSupportedError):
        agent.task(skill("echo", message_id=key), accepted_output_modes=["image/png"])


def test_streams_are_limited(agent: A2AClient, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Places, "take", lambda places: None)
    with pytest.raises(A2AClientError, match="503"):
        agent.send(skill("wait", key, message_id=key), streaming=True)
    task = agent.task(skill("wait", key, message_id=key))
    assert task["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")  # at once
    GATES[key].set()


def test_other_sites_may_not_call(server: Running) -> None:
    headers = {**VERSION, "Origin": "https://evil.example"}
    assert httpx.get(f"{server.page}all/a2a/tasks", headers=headers).status_code == 403
