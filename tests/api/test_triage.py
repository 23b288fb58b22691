"""`askOperationHub` shows who answers: with the built-in functions, which know of no schema."""

import json
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes.builtin import FUNCTIONS
from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from tests.kit.api import code, data
from tests.kit.records import COORDINATION
from tests.kit.stage import TENANT, Stage, stage_of

ECHO = {"kind": "function", "name": "echo"}
AGENTS = [
    {"agentUuid": "desk", "agentType": "triage", "runtime": ECHO},
    {"agentUuid": "bills", "runtime": ECHO},
]
ASKED = """{
    runUuid threadUuid agentUuid sessionUuid
    session { sessionAgents { agentUuid state agentOutput notes sessionRuns { status asyncTask } } }
}"""


@pytest.fixture
def stage(shared_app: App) -> Stage:
    stage = stage_of(shared_app)
    stage.runtime.behaviours = dict.fromkeys(("desk", "bills"), lambda request: request.input)
    return stage


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def choose(agent: str, query: str) -> str:
    return json.dumps({"agent": agent, "reason": "because", "query": query})


def agents_of(client: Api, asked: Any, above: Any) -> Any:
    key = {"coordinationUuid": above["coordinationUuid"], "sessionUuid": asked["sessionUuid"]}
    selection = (
        "{ sessionAgents { agentUuid state agentOutput notes sessionRuns { status asyncTask } } }"
    )
    return data(client, "session", selection, **key)["sessionAgents"]


def test_the_session_shows_who_was_asked_who_answered_and_why(stage: Stage, client: Api) -> None:
    above = COORDINATION.put(client, {}, agents=AGENTS)
    query = choose("bills", "Explain.")
    asked = data(
        client,
        "askOperationHub",
        ASKED,
        coordinationUuid=above["coordinationUuid"],
        userQuery=query,
        whenBusy="enqueue",
    )
    (desk,) = asked["session"]["sessionAgents"]
    assert (asked["agentUuid"], desk["agentUuid"], desk["state"]) == ("desk", "desk", "initial")
    stage.drain()
    desk, bills = agents_of(client, asked, above)
    assert (desk["state"], json.loads(desk["agentOutput"])) == ("completed", json.loads(query))
    assert (bills["agentUuid"], bills["state"], bills["agentOutput"]) == (
        "bills",
        "completed",
        "Explain.",
    )
    assert desk["sessionRuns"][0]["asyncTask"]["choice"] == json.loads(query)


def test_prose_fails_with_a_note_after_two_attempts(stage: Stage, client: Api) -> None:
    above = COORDINATION.put(client, {}, agents=AGENTS)
    asked = data(
        client,
        "askOperationHub",
        ASKED,
        coordinationUuid=above["coordinationUuid"],
        userQuery="What now?",
    )
    stage.drain()
    (desk,) = agents_of(client, asked, above)
    assert (desk["state"], [each["status"] for each in desk["sessionRuns"]]) == (
        "failed",
        ["failed", "failed"],
    )
    assert desk["notes"].startswith("The answer cannot be used: it is not valid JSON; it begins:")


@pytest.mark.parametrize(
    ("when_busy", "expected"), [("reject", "CONFLICT"), ("later", "BAD_USER_INPUT")]
)
def test_a_busy_thread_is_told_by_its_code(
    stage: Stage, client: Api, when_busy: str, expected: str
) -> None:
    above = COORDINATION.put(client, {}, agents=AGENTS)
    given = {"coordinationUuid": above["coordinationUuid"], "userQuery": "x", "agentUuid": "bills"}
    asked = data(client, "askOperationHub", ASKED, **given)
    on = {"sessionUuid": asked["sessionUuid"], "threadUuid": asked["threadUuid"]}
    assert code(client, "askOperationHub", **given, **on, whenBusy=when_busy) == expected
    assert len(agents_of(client, asked, above)) == 1


@pytest.mark.parametrize(
    ("query", "output"),
    [("What now?", "What now?"), (choose("none", "Nothing."), "Nothing.")],
)
def test_echo_answers_itself_unless_the_question_is_json(
    stage: Stage, client: Api, query: str, output: str
) -> None:
    echo = FUNCTIONS["echo"]
    stage.runtime.behaviours = dict.fromkeys(("desk", "bills"), echo)
    above = COORDINATION.put(client, {}, agents=AGENTS)
    asked = data(
        client,
        "askOperationHub",
        ASKED,
        coordinationUuid=above["coordinationUuid"],
        userQuery=query,
    )
    stage.drain()
    (desk,) = agents_of(client, asked, above)
    assert (desk["state"], desk["agentOutput"]) == ("completed", output)
