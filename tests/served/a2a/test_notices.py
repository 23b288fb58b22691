"""Notices of A2A tasks from a server to a receiver, both over HTTP, asked for by `a2a-sdk`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.types.a2a_pb2 import (
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    TaskPushNotificationConfig,
)
from a2a.utils import errors
from pydantic import SecretStr

from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.runtime_settings import A2AReceiver
from ai_coordination_engine.served.a2a import notices
from ai_coordination_engine.settings import Settings
from tests.kit.a2a_client import BINDINGS, A2AClient, said
from tests.kit.receiver import Receiver, receiver

EXPOSED = """mutation {
  insertUpdateCoordination(coordinationUuid: "c", agents: [{agentUuid: "a"}], updatedBy: "me") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "c", taskName: "t", exposeAs: {name: "ask"}, updatedBy: "me",
      agentActions: {a: {userInTheLoop: "ann"}}) { task { taskUuid } } }"""


def expose(running: Running) -> None:
    """Expose a task that asks."""
    assert "errors" not in httpx.post(running.url, json={"query": EXPOSED}).json()


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def settings_for(hook: Receiver) -> Settings:
    allowed = {f"{hook.url}/hooks": A2AReceiver(headers={"Authorization": SecretStr("Key k-1")})}
    return Settings(auth="local", a2a_push=allowed)


@pytest.fixture(scope="module")
def server(hook: Receiver) -> Iterator[Running]:
    with serving(settings_for(hook), port=0) as running:
        expose(running)
        yield running


def states(bodies: list[Any]) -> list[str]:
    return [each["task"]["status"]["state"] for each in bodies]


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_client_is_told_of_its_task(server: Running, hook: Receiver, binding: str) -> None:
    agent = A2AClient(server.page.rstrip("/"), binding)
    path = f"/hooks/{binding[:4]}"
    push = TaskPushNotificationConfig(url=hook.url + path)
    task = agent.task(
        said("x", message_id=binding), task_push_notification_config=push, return_immediately=True
    )
    (asked,) = hook.until(1, path)
    assert (asked["task"]["id"], states([asked])) == (task["id"], ["TASK_STATE_INPUT_REQUIRED"])
    names = {"task_id": task["id"]}
    listed = agent.call(
        "list_task_push_notification_configs", ListTaskPushNotificationConfigsRequest(**names)
    )
    (kept,) = listed["configs"]
    assert (kept["url"], kept["taskId"]) == (hook.url + path, task["id"])
    second = TaskPushNotificationConfig(url=f"{hook.url}/hooks/second", id="second", **names)
    made = agent.call("create_task_push_notification_config", second)
    one = GetTaskPushNotificationConfigRequest(id="second", **names)
    assert agent.call("get_task_push_notification_config", one) == made
    agent.call(
        "delete_task_push_notification_config",
        DeleteTaskPushNotificationConfigRequest(id="second", **names),
    )
    with pytest.raises(errors.TaskNotFoundError):
        agent.call("get_task_push_notification_config", one)
    answer = said("red", message_id=f"{binding}-2", task_id=task["id"])
    assert agent.task(answer)["status"]["state"] == "TASK_STATE_COMPLETED"
    assert states(hook.until(2, path)) == ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"]
    _, headers, _ = hook.got[-1]
    assert headers["authorization"] == "Key k-1"
    assert headers["content-type"] == "application/a2a+json"
    assert headers["a2a-version"] == "1.0"


def test_secrets_and_other_receivers_are_refused(server: Running) -> None:
    card = httpx.get(f"{server.page}.well-known/agent-card.json").json()
    assert card["capabilities"]["pushNotifications"] is True
    allowed = next(iter(server.app.settings.a2a_push))
    for wrong in (
        {"url": allowed, "token": "s3cret"},
        {"url": allowed, "authentication": {"scheme": "Bearer", "credentials": "s3cret"}},
        {"url": f"{allowed}/../admin"},
        {"url": f"{allowed}-2"},
        {"url": "http://169.254.169.254/latest"},
    ):
        message = {"messageId": "refused", "role": "ROLE_USER", "parts": [{"text": "x"}]}
        body = {"message": message, "configuration": {"taskPushNotificationConfig": wrong}}
        url, headers = f"{server.page}a2a/message:send", {"A2A-Version": "1.0"}
        refused = httpx.post(url, json=body, headers=headers)
        assert refused.status_code == 400
        assert "s3cret" not in refused.text
    tasks = httpx.get(f"{server.page}a2a/tasks", headers={"A2A-Version": "1.0"}).json()["tasks"]
    assert all(each["history"][0]["messageId"] != "refused" for each in tasks)


def test_a_server_that_starts_sends_what_another_one_could_not(
    hook: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "FIRST_SECONDS", 0.2)
    path, answer = "/hooks/later", hook.answer
    hook.answer = lambda path: 302  # which is not followed
    with serving(settings_for(hook), port=0, data_dir=tmp_path) as running:
        expose(running)
        push = {"taskPushNotificationConfig": {"url": hook.url + path}}
        message = {"messageId": "later", "role": "ROLE_USER", "parts": [{"text": "x"}]}
        url, headers = f"{running.page}a2a/message:send", {"A2A-Version": "1.0"}
        httpx.post(url, json={"message": message, "configuration": push}, headers=headers)
        hook.until(2, path)
    hook.answer = answer
    tried = len(hook.until(2, path))
    with serving(settings_for(hook), port=0, data_dir=tmp_path):
        assert states(hook.until(tried + 1, path))[-1] == "TASK_STATE_INPUT_REQUIRED"
    assert all(path != "/elsewhere" for path, _, _ in hook.got)
