"""The cost of seeing whether a session is confirmed: none if its agents or runs are read anyway."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from benchmarks.harness.api import Api
from tests.kit.api import data
from tests.kit.crashes import Crash, tripping
from tests.kit.records import SESSION as SESSIONS
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import pending

LOOK = {"GetItem": 1, "BatchGetItem": 1}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


@pytest.fixture
def session(stage: Stage) -> Session:
    """A session whose first agent has completed and whose second waits for a long job."""
    stage.runtime.behaviours["b"] = pending()
    started = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    assert row(stage, started).unconfirmed is not None
    stage.requests.clear()
    return started


def row(stage: Stage, session: Session) -> Session:
    found: Session = stage.looking.table(SESSION).get(TENANT, key(session), consistent=True)
    return found


def key(session: Session) -> tuple[str, str]:
    return session.coordination_uuid, session.session_uuid


def named(session: Session) -> dict[str, str]:
    return {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}


@pytest.mark.parametrize(
    ("selection", "cost"),
    [
        ("{ userId }", LOOK),
        ("{ userId status }", LOOK),
        ("{ userId sessionAgents { state } }", {"GetItem": 1, "Query": 1}),
        ("{ status sessionAgents { state } }", {"GetItem": 1, "Query": 1}),
        ("{ definition }", {"GetItem": 1, "Query": 1}),
        ("{ sessionRuns { runUuid } }", {"GetItem": 1, "Query": 1}),
        ("{ ... on SessionType { sessionRuns { runUuid } } }", {"GetItem": 1, "Query": 1}),
        ("{ sessionAgents { state } sessionRuns { runUuid } }", {"GetItem": 1, "Query": 2}),
        (
            "{ sessionAgents { state session { userId } } }",
            {"GetItem": 1, "Query": 1, "BatchGetItem": 1},
        ),
    ],
)
def test_what_is_read_below_a_session_tells_that_it_is_confirmed(
    stage: Stage, client: Api, session: Session, selection: str, cost: dict[str, int]
) -> None:
    assert data(client, "session", selection, **named(session)) is not None
    assert stage.requests == cost


@pytest.mark.parametrize("agent", ["a", "b"])
def test_the_session_of_an_agent_that_has_begun_is_confirmed(
    stage: Stage, client: Api, session: Session, agent: str
) -> None:
    uuid = stage.agent(session.session_uuid, agent).session_agent_uuid
    stage.requests.clear()
    found = data(
        client,
        "sessionAgent",
        "{ session { taskUuid } }",
        sessionUuid=session.session_uuid,
        sessionAgentUuid=uuid,
    )
    assert found == {"session": {"taskUuid": session.task_uuid}}
    assert stage.requests == LOOK


def test_the_session_of_a_start_is_read_once(stage: Stage, client: Api) -> None:
    coordination, task = stage.define({"a": ""})
    stage.requests.clear()
    found = data(
        client,
        "executeProcedureTaskSession",
        "{ procedureTaskSession { session { status userId } } }",
        coordinationUuid=coordination,
        taskUuid=task,
        userId="u",
    )
    assert found == {"procedureTaskSession": {"session": {"status": "dispatched", "userId": "u"}}}
    assert stage.requests["BatchGetItem"] == 1


def test_a_change_by_hand_writes_that_the_session_is_confirmed(
    stage: Stage, client: Api, session: Session
) -> None:
    def change(**values: Any) -> dict[str, int]:
        stage.requests.clear()
        SESSIONS.put(
            client,
            {"coordinationUuid": session.coordination_uuid},
            sessionUuid=session.session_uuid,
            **values,
        )
        return dict(stage.requests)

    assert change(userId="u") == {"UpdateItem": 2, "BatchGetItem": 1}  # that tells its status, too
    assert row(stage, session).unconfirmed is None
    assert change(userId="v") == {"UpdateItem": 1, "BatchGetItem": 1}  # its status


def test_a_large_change_by_hand_is_written_once(
    stage: Stage, client: Api, session: Session
) -> None:
    above = {"coordinationUuid": session.coordination_uuid}
    SESSIONS.put(client, above, sessionUuid=session.session_uuid, logs="x" * 300_000)
    assert stage.requests == {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1}
    found = data(client, "session", "{ logs }", **named(session))
    assert found == {"logs": "x" * 300_000}


def test_the_sweep_writes_that_a_session_is_confirmed(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    calls = []
    for _ in range(2):
        stage.clock.advance(stage.app.settings.watch_seconds + 1)
        stage.requests.clear()
        assert sweep(stage.app) == 1
        calls.append(stage.requests["BatchGetItem"])
    assert row(stage, session).unconfirmed is None
    assert calls == [1, 0]


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_the_agents_of_another_session_of_its_uuid_tell_nothing_of_a_start(
    stage: Stage, client: Api
) -> None:
    """One request reads both: a session that ran, and one whose start died before it was
    confirmed.
    """
    ran, dead = (stage.define({"a": "", "b": "a"}) for _ in range(2))
    stage.start(ran, session_uuid="mine")
    stage.drain()
    with tripping(stage, 8), pytest.raises(Crash):
        stage.start(dead, session_uuid="mine")
    reserved = stage.looking.table(SESSION).get(TENANT, (dead[0], "mine"), consistent=True)
    assert reserved.unconfirmed is not None
    selection = "{ sessionAgents { state } sessionRuns { runUuid } }"
    query = (
        f'{{ ran: session(coordinationUuid: "{ran[0]}", sessionUuid: "mine") {selection}'
        f' dead: session(coordinationUuid: "{dead[0]}", sessionUuid: "mine") {selection} }}'
    )
    found = client.data(query)
    assert (len(found["ran"]["sessionAgents"]), found["dead"]) == (2, None)
