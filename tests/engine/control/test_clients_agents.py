"""Session agents that a client made have no ordinal, and no agent waits for them: every operation
takes them beside questions.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from tests.kit.api import data
from tests.kit.records import COORDINATION
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def stage(shared_app: App) -> Stage:
    return stage_of(shared_app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


@pytest.fixture
def session(client: Api) -> Mapping[str, str]:
    """A session of which a client has made three agents, two of which wait for a person."""
    above = COORDINATION.put(client, {}, agents=[{"agentUuid": "a"}, {"agentUuid": "b"}])
    parent = {"coordinationUuid": above["coordinationUuid"]}
    made = data(
        client, "insertUpdateSession", "{ session { sessionUuid } }", **parent, updatedBy="me"
    )
    session = {**parent, "sessionUuid": made["session"]["sessionUuid"]}
    for state in ("wait_for_user_input", "wait_for_user_input", "completed"):
        given = {"agentUuid": "a", "inDegree": 0, "state": state, "updatedBy": "me"}
        data(client, "insertUpdateSessionAgent", "{ sessionAgent { state } }", **session, **given)
    return session


def states(client: Api, session: Mapping[str, str]) -> list[str]:
    agents: list[dict[str, Any]] = data(
        client, "session", "{ sessionAgents { state } }", **session
    )["sessionAgents"]
    return sorted(each["state"] for each in agents)


@pytest.mark.parametrize("when_busy", ["enqueue", "reject", "interrupt"])
def test_questions_are_answered_beside_them(
    stage: Stage, client: Api, session: Mapping[str, str], when_busy: str
) -> None:
    for query in ("What?", "And?"):
        data(
            client,
            "askOperationHub",
            "{ sessionUuid }",
            **session,
            agentUuid="b",
            userQuery=query,
            threadUuid="t",
            whenBusy=when_busy,
        )
        stage.drain()
    waiting = ["wait_for_user_input"] * 2
    assert states(client, session) == ["completed"] * 3 + waiting


def test_each_is_answered_once(stage: Stage, client: Api, session: Mapping[str, str]) -> None:
    agents = data(client, "session", "{ sessionAgents { sessionAgentUuid state } }", **session)
    for each in agents["sessionAgents"]:
        if each["state"] == "wait_for_user_input":
            key = {
                "sessionUuid": session["sessionUuid"],
                "sessionAgentUuid": each["sessionAgentUuid"],
            }
            data(client, "executeForUserInput", "{ ok }", **key, userInput="yes")
    stage.drain()
    assert states(client, session) == ["completed"] * 3


def test_their_session_is_reconciled_explained_and_cancelled(
    stage: Stage, client: Api, session: Mapping[str, str]
) -> None:
    data(client, "reconcileSession", "{ session { status } }", **session, updatedBy="me")
    why = data(client, "session", "{ sessionAgents { whyNotRunning { code } } }", **session)
    codes = [each["whyNotRunning"] for each in why["sessionAgents"]]
    assert sorted(each["code"] for each in codes) == ["COMPLETED", "NOT_PLANNED", "NOT_PLANNED"]
    data(client, "cancelSession", "{ session { status } }", **session, updatedBy="me")
    data(client, "reconcileSession", "{ session { status } }", **session, updatedBy="me")
    done = data(client, "session", "{ status }", **session)
    assert done["status"] == "cancelled"
