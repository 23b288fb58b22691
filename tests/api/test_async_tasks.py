"""Long jobs over the API: completion, heartbeats, and the run that shows the job's state."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from benchmarks.harness.api import Api
from tests.kit.api import data, error
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def pending(request: AgentRequest) -> AgentResult:
    return AgentResult(
        "", async_task_uuid=f"job-{request.session_agent_uuid}", heartbeat_seconds=3600
    )


def start(stage: Stage) -> tuple[Any, str]:
    """Return a session whose agent `a` waits for a long job, and the job."""
    stage.runtime.behaviours["a"] = pending
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    job = stage.agent(session.session_uuid, "a").async_task_uuid
    assert job is not None
    return session, job


def runs(client: Api, session: Any) -> Any:
    key = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    return data(client, "session", "{ sessionRuns { agentUuid asyncTaskUuid asyncTask } }", **key)[
        "sessionRuns"
    ]


def test_a_job_that_is_completed_resumes_its_agent(stage: Stage, client: Api) -> None:
    session, job = start(stage)
    (run,) = runs(client, session)
    assert (run["asyncTaskUuid"], run["asyncTask"]["status"]) == (job, "pending")
    done = data(
        client,
        "completeAsyncTask",
        "{ ok sessionAgent { agentUuid state } }",
        asyncTaskUuid=job,
        result="found it",
        usage={"inputTokens": 3},
    )
    assert done == {"ok": True, "sessionAgent": {"agentUuid": "a", "state": "pending"}}
    stage.drain()
    key = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    found = data(
        client, "session", "{ status sessionAgents { agentUuid agentOutput agentInput } }", **key
    )
    assert found["status"] == "completed"
    assert found["sessionAgents"] == [
        {"agentUuid": "a", "agentOutput": "found it", "agentInput": "begin"},
        {"agentUuid": "b", "agentOutput": "B", "agentInput": "Output of a:\nfound it\n\nbegin"},
    ]
    first = next(run for run in runs(client, session) if run["agentUuid"] == "a")
    assert first["asyncTask"]["status"] == "completed"
    assert first["asyncTask"]["usage"] == {"inputTokens": 3}


def test_a_job_that_fails_says_why(stage: Stage, client: Api) -> None:
    session, job = start(stage)
    assert data(
        client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, error="the disk is full"
    ) == {"ok": True}
    (run,) = [each for each in runs(client, session) if each["asyncTaskUuid"] == job]
    said = {name: run["asyncTask"][name] for name in ("status", "error", "errorClass")}
    assert said == {"status": "failed", "error": "the disk is full", "errorClass": "error"}


def test_a_heartbeat_moves_the_deadline(stage: Stage, client: Api) -> None:
    session, job = start(stage)
    before = runs(client, session)[0]["asyncTask"]["heartbeatUntil"]
    stage.clock.advance(60)
    assert data(client, "heartbeatAsyncTask", asyncTaskUuid=job) == {"ok": True}
    assert runs(client, session)[0]["asyncTask"]["heartbeatUntil"] > before


def test_the_states_of_many_jobs_cost_one_read(stage: Stage, client: Api) -> None:
    for name in "abc":
        stage.runtime.behaviours[name] = pending
    session = stage.start(stage.define({"a": "", "b": "", "c": ""}))
    stage.drain()
    stage.requests.clear()
    assert [run["asyncTask"]["status"] for run in runs(client, session)] == ["pending"] * 3
    assert stage.requests == {"GetItem": 1, "Query": 1, "BatchGetItem": 1}


def test_a_text_of_five_megabytes_is_kept(stage: Stage, client: Api) -> None:
    session, job = start(stage)
    output = "ß" * 2_500_000
    assert data(client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, result=output) == {
        "ok": True
    }
    stage.drain()
    key = {"sessionUuid": session.session_uuid}
    key["sessionAgentUuid"] = stage.agent(session.session_uuid, "a").session_agent_uuid
    assert data(client, "sessionAgent", "{ agentOutput }", **key) == {"agentOutput": output}
    _, failing = start(stage)
    assert data(client, "completeAsyncTask", "{ ok }", asyncTaskUuid=failing, error=output) == {
        "ok": True
    }


def test_an_empty_result_is_one_and_an_empty_error_is_none(stage: Stage, client: Api) -> None:
    _, job = start(stage)
    refused = error(client, "completeAsyncTask", asyncTaskUuid=job, error=" ")
    assert refused == {
        "code": "BAD_USER_INPUT",
        "message": "error is empty; it says why the job failed.",
    }
    too_long = error(client, "completeAsyncTask", asyncTaskUuid=job, result="x" * 8_000_001)
    assert (too_long["code"], len(too_long["message"]) < 100) == ("BAD_USER_INPUT", True)
    assert data(client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, result="") == {"ok": True}


@pytest.mark.parametrize("uuid", ["", "x" * 257, "a\x00", "ß" * 129])
def test_an_async_task_uuid_that_no_key_can_hold_is_refused(client: Api, uuid: str) -> None:
    assert error(client, "heartbeatAsyncTask", asyncTaskUuid=uuid)["code"] == "BAD_USER_INPUT"
    assert (
        error(client, "completeAsyncTask", asyncTaskUuid=uuid, result="x")["code"]
        == "BAD_USER_INPUT"
    )


def test_what_cannot_be_completed_is_a_coded_error(stage: Stage, client: Api) -> None:
    _, job = start(stage)
    for field in ("completeAsyncTask", "heartbeatAsyncTask"):
        more = {"result": "x"} if field == "completeAsyncTask" else {}
        for uuid, who in (("unknown", client), (job, client.as_tenant("other"))):
            missing = {"code": "NOT_FOUND", "message": f'There is no such async task: "{uuid}".'}
            assert error(who, field, asyncTaskUuid=uuid, **more) == missing
        assert error(client, field, asyncTaskUuid="a\x00", **more)["code"] == "BAD_USER_INPUT"
    neither = {
        "code": "BAD_USER_INPUT",
        "message": "completeAsyncTask takes either a result or an error.",
    }
    assert error(client, "completeAsyncTask", asyncTaskUuid=job) == neither
    assert error(client, "completeAsyncTask", asyncTaskUuid=job, result="x", error="y") == neither
    no_usage = error(client, "completeAsyncTask", asyncTaskUuid=job, result="x", usage=[1])
    assert no_usage == {"code": "BAD_USER_INPUT", "message": "usage must be an object or null."}
    assert data(client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, result="x") == {
        "ok": True
    }
    assert data(client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, result="x") == {
        "ok": True
    }
    ended = {
        "code": "CONFLICT",
        "message": "The async task has completed already.",
        "status": "completed",
    }
    assert error(client, "completeAsyncTask", asyncTaskUuid=job, result="y") == ended
    assert error(client, "heartbeatAsyncTask", asyncTaskUuid=job) == ended
