"""The controls over the API: arguments, results and every coded error."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.transport import Parameters, run
from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import DOCUMENTS, Api
from tests.kit.api import code, data, document, error
from tests.kit.fakes import failing
from tests.kit.stage import TENANT, Stage, stage_of

CONTROLS = ("cancelSession", "pauseSession", "resumeSession", "retrySession", "reconcileSession")


@dataclass
class Scene:
    """A session of `a → b → c` on fakes, and a client of the API."""

    stage: Stage
    api: Api
    coordination: str
    session: str

    @property
    def key(self) -> dict[str, str]:
        return {"coordinationUuid": self.coordination, "sessionUuid": self.session}

    def agent(self, name: str) -> dict[str, str]:
        found = self.stage.agent(self.session, name)
        return {"sessionUuid": self.session, "sessionAgentUuid": found.session_agent_uuid}

    def control(self, field: str, **arguments: Any) -> Any:
        return data(self.api, field, "{ session { sessionUuid status updatedBy } }", **arguments)[
            "session"
        ]

    def status(self) -> Any:
        return data(self.api, "session", "{ status }", **self.key)["status"]


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def scene(stage: Stage, api: Api) -> Scene:
    session = stage.start(
        stage.define({"a": "", "b": "a", "c": "b"}, actions={"b": {"user_in_the_loop": "ann"}})
    )
    client = Api(stage.app, api._runner, TENANT)
    return Scene(stage, client, session.coordination_uuid, session.session_uuid)


def test_a_session_is_paused_resumed_and_cancelled(scene: Scene) -> None:
    paused = scene.control("pauseSession", **scene.key, updatedBy="ann")
    assert paused == {"sessionUuid": scene.session, "status": "paused", "updatedBy": "ann"}
    scene.stage.drain()
    assert scene.stage.states(scene.session) == {"a": "initial", "b": "initial", "c": "initial"}
    resumed = scene.control("resumeSession", **scene.key)
    assert resumed["status"] in ("dispatched", "in_progress")
    scene.stage.drain()
    assert scene.stage.states(scene.session)["b"] == "wait_for_user_input"
    assert scene.control("cancelSession", **scene.key, updatedBy="bob")["status"] == "cancelled"
    assert scene.status() == "cancelled"


def test_a_failed_session_is_retried(scene: Scene) -> None:
    scene.stage.runtime.behaviours["a"] = failing("no idea")
    scene.stage.drain()
    assert scene.status() == "failed"
    del scene.stage.runtime.behaviours["a"]
    scene.control("retrySession", **scene.key)
    scene.stage.drain()
    assert scene.stage.states(scene.session) == {
        "a": "completed",
        "b": "wait_for_user_input",
        "c": "initial",
    }


def test_one_agent_runs_again(scene: Scene) -> None:
    scene.stage.drain()
    # the session is open
    assert code(scene.api, "rerunSessionAgent", **scene.agent("a")) == "CONFLICT"
    data(scene.api, "executeForUserInput", **scene.agent("b"), userInput="yes", idempotencyKey="k")
    scene.stage.drain()
    assert scene.status() == "completed"
    scene.control("rerunSessionAgent", **scene.agent("c"), updatedBy="ann", idempotencyKey="again")
    scene.stage.drain()
    assert scene.stage.runtime.ran() == ["a", "b", "c", "c"]
    scene.control("rerunSessionAgent", **scene.agent("c"), updatedBy="ann", idempotencyKey="again")
    scene.stage.drain()
    assert scene.stage.runtime.ran() == ["a", "b", "c", "c"]


def test_a_session_is_forked(scene: Scene) -> None:
    scene.stage.drain()
    forked = scene.control(
        "forkSession", **scene.key, newSessionUuid="fork-1", taskQuery="otherwise", userId="u"
    )
    assert forked["sessionUuid"] == "fork-1"
    again = scene.control(
        "forkSession", **scene.key, newSessionUuid="fork-1", taskQuery="otherwise", userId="u"
    )
    assert again["sessionUuid"] == "fork-1"
    key = {**scene.key, "sessionUuid": "fork-1"}
    assert data(scene.api, "session", "{ taskQuery userId }", **key) == {
        "taskQuery": "otherwise",
        "userId": "u",
    }
    alone = error(scene.api, "forkSession", **scene.key, subtaskQuery="s")
    assert alone["code"] == "BAD_USER_INPUT"


def test_a_fork_in_which_nothing_runs_warns_of_changed_input(scene: Scene) -> None:
    scene.stage.drain()
    data(scene.api, "executeForUserInput", **scene.agent("b"), userInput="yes")
    scene.stage.drain()
    assert scene.status() == "completed"
    fork = document(
        "forkSession", ("coordinationUuid", "sessionUuid", "taskQuery"), "{ session { status } }"
    )
    answer = scene.api.send(fork, **scene.key, taskQuery="otherwise")
    assert answer["data"] == {"forkSession": {"session": {"status": "completed"}}}
    assert answer["extensions"]["warnings"] == [
        "No agent runs in the fork, so taskQuery has no effect. Name the first agent to run in"
        " fromSessionAgentUuid."
    ]
    unchanged = document(
        "forkSession", ("coordinationUuid", "sessionUuid"), "{ session { status } }"
    )
    assert "extensions" not in scene.api.send(unchanged, **scene.key)


@pytest.mark.parametrize("size", [0, 2_500_000])
def test_a_fork_takes_texts_of_any_size(scene: Scene, size: int) -> None:
    scene.stage.drain()
    text = "ß" * size
    inputs = {
        "taskQuery": text,
        "subtaskQuery": text,
        "userId": "",
        "fromSessionAgentUuid": agent_of(scene, "b"),
    }
    forked = scene.control("forkSession", **scene.key, **inputs, newSessionUuid=f"fork-{size}")
    key = {**scene.key, "sessionUuid": forked["sessionUuid"]}
    assert data(scene.api, "session", "{ taskQuery }", **key) == {"taskQuery": text}


@pytest.mark.parametrize("name", ["fromSessionAgentUuid", "newSessionUuid", "updatedBy", "userId"])
def test_a_fork_is_refused_for_what_no_key_can_hold(scene: Scene, name: str) -> None:
    refused = error(scene.api, "forkSession", **scene.key, **{name: "x" * 5_000})
    assert (refused["code"], len(refused["message"]) < 200) == ("BAD_USER_INPUT", True)
    if name != "userId":
        assert code(scene.api, "forkSession", **scene.key, **{name: ""}) == "BAD_USER_INPUT"


def agent_of(scene: Scene, name: str) -> str:
    return scene.agent(name)["sessionAgentUuid"]


def test_reconciling_is_harmless_at_any_time(scene: Scene) -> None:
    for _ in range(3):
        assert scene.control("reconcileSession", **scene.key, idempotencyKey="k", updatedBy="ann")[
            "sessionUuid"
        ]
    scene.stage.drain()
    assert scene.stage.runtime.ran() == ["a"]


@pytest.mark.parametrize("field", CONTROLS)
def test_what_is_unknown_or_another_tenants_is_not_found(scene: Scene, field: str) -> None:
    def missing(sessionUuid: str, coordinationUuid: str) -> dict[str, str]:
        said = (
            f'There is no such session: "{sessionUuid}" in the coordination "{coordinationUuid}".'
        )
        return {"code": "NOT_FOUND", "message": said}

    for wrong in ({"sessionUuid": "none"}, {"coordinationUuid": "none"}):
        asked = {**scene.key, **wrong}
        assert error(scene.api, field, **asked) == missing(**asked)
    assert error(scene.api.as_tenant("other"), field, **scene.key) == missing(**scene.key)
    assert error(scene.api.as_tenant("other"), "forkSession", **scene.key) == missing(**scene.key)


def test_an_agent_that_is_unknown_or_another_tenants_is_not_found(scene: Scene) -> None:
    agent = scene.agent("a")
    for api, asked in (
        (scene.api, {**agent, "sessionAgentUuid": "none"}),
        (scene.api.as_tenant("other"), agent),
    ):
        said = (
            f'There is no such session agent: "{asked["sessionAgentUuid"]}" in the session'
            f' "{agent["sessionUuid"]}".'
        )
        assert error(api, "rerunSessionAgent", **asked) == {"code": "NOT_FOUND", "message": said}


def test_a_session_that_has_ended_is_not_controlled(scene: Scene) -> None:
    scene.control("cancelSession", **scene.key)
    for field in ("pauseSession", "resumeSession"):
        refused = error(scene.api, field, **scene.key)
        assert refused == {
            "code": "CONFLICT",
            "message": "The session has ended: its status is cancelled.",
            "status": "cancelled",
        }
    assert scene.control("cancelSession", **scene.key)["status"] == "cancelled"


@pytest.mark.parametrize("field", [*CONTROLS, "forkSession"])
@pytest.mark.parametrize("key", ["", "x" * 257, "a\x00", "\n"])
def test_an_idempotency_key_is_printable_and_short(scene: Scene, field: str, key: str) -> None:
    refused = error(scene.api, field, **scene.key, idempotencyKey=key)
    assert refused == {
        "code": "BAD_USER_INPUT",
        "message": "idempotencyKey must have 1 to 256 printable characters.",
    }


def test_an_idempotency_key_for_an_answer_is_checked_too(scene: Scene) -> None:
    scene.stage.drain()
    answer = {**scene.agent("b"), "userInput": "yes"}
    assert code(scene.api, "executeForUserInput", **answer, idempotencyKey="") == "BAD_USER_INPUT"
    for _ in range(2):
        assert data(scene.api, "executeForUserInput", **answer, idempotencyKey="😀 a") == {
            "ok": True
        }


def test_every_control_is_a_mutation_that_a_get_request_cannot_send(scene: Scene) -> None:
    source = document("cancelSession", tuple(scene.key), "{ session { status } }")
    context = Context(scene.stage.app, TENANT, method="GET")
    with pytest.raises(Exception, match="a mutation must be sent with POST"):
        asyncio.run(run(Parameters(source, None, scene.key), DOCUMENTS, context, read_only=True))
    assert scene.status() == "dispatched"
