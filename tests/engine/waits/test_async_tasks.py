"""Long jobs: an agent that answered "pending" waits as a state, and goes on exactly once when its
job ends.
"""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task, heartbeat, states
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.runtime_ports import AgentResult
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import (
    CHAIN,
    at_point,
    attempts,
    complete,
    pending,
    state,
    waiting_for_a_job,
    work_now,
)


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, behaviours={"b": pending()})


# Waiting


def test_a_waiting_agent_holds_no_message_and_makes_no_call(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    assert stage.queue.waiting == []
    assert attempts(stage, session) == [(1, "pending", "job-1")]
    (run,) = [each for each in stage.runs(session.session_uuid) if each.agent_uuid == "b"]
    assert run.async_task["usage"] == {"calls": 1}
    assert "ended_at" not in run.async_task
    assert state(stage) == {"status": "pending", "heartbeat_until": "2026-11-02T10:00:00+00:00"}
    before = stage.requests.copy()
    stage.clock.advance(3599)
    stage.drain()
    assert stage.requests == before


def test_other_branches_go_on(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "a", "d": "bc"}))
    work_now(stage)
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "pending",
        "c": "completed",
        "d": "initial",
    }
    complete(stage)
    stage.drain()
    check_promises(stage, session)


# Completing


def test_the_result_resumes_the_agent_once_and_reaches_its_successor(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    complete(stage, usage={"outputTokens": 7, "nested": {}})
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "c"]
    assert stage.agent(session.session_uuid, "b").agent_output == "done"
    assert stage.runtime.requests[2].predecessors[0].output == "done"
    assert attempts(stage, session) == [(1, "pending", "job-1")]
    assert state(stage) == {
        "status": "completed",
        "ended_at": stage.clock.now().isoformat(),
        "usage": {"output_tokens": 7},
    }
    check_redelivery_changes_nothing(stage, session)


def test_a_result_that_is_no_text_is_kept_as_json(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    complete(stage, result={"Key": [1, None]})
    stage.drain()
    assert stage.agent(session.session_uuid, "b").agent_output == '{"Key":[1,null]}'


def test_the_same_result_again_is_a_success_without_effect(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    complete(stage)
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    before = stage.everything(session)
    complete(stage)
    stage.drain()
    assert stage.everything(session) == before
    assert stage.runtime.ran() == ["a", "b", "c"]


def test_another_end_is_a_conflict(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    complete(stage)
    for again in ({"result": "else"}, {"result": None, "error": "done"}, {"usage": {"calls": 2}}):
        with pytest.raises(Conflict, match="has completed already") as caught:
            complete(stage, **again)
        assert (caught.value.code, caught.value.extensions) == ("CONFLICT", {"status": "completed"})
    with pytest.raises(Conflict, match="has completed already"):
        heartbeat(stage.app, TENANT, "job-1")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "done"


def test_the_same_end_without_its_usage_is_a_repetition(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    complete(stage, usage={"calls": 2})
    complete(stage, usage=None)
    stage.drain()
    check_promises(stage, session)
    task = stage.app.jobs.get(TENANT, "job-1")
    assert task is not None
    assert task.usage == {"calls": 2}


def test_the_same_end_with_another_usage_is_a_conflict_that_says_so(stage: Stage) -> None:
    waiting_for_a_job(stage)
    big = "x" * 100_000
    complete(stage, result=big, usage={"calls": 2, "cost": 0.1})
    with pytest.raises(Conflict) as caught:
        complete(stage, result=big, usage={"calls": 3})
    assert (
        caught.value.message
        == "The async task has completed already, with this end but another usage."
    )
    assert caught.value.extensions == {"status": "completed"}
    with pytest.raises(Conflict) as caught:
        complete(stage, result="else")
    assert caught.value.message == "The async task has completed already."


def test_a_completion_at_any_moment_of_the_step_resumes_the_agent(app: App) -> None:
    stage = stage_of(app)
    names = stage.define(CHAIN)
    early, point = 0, 1
    while True:
        uuid = f"job-{point}"
        stage.renew(
            behaviours={"b": lambda request, uuid=uuid: AgentResult("", async_task_uuid=uuid)}
        )  # type: ignore[misc]
        session, done = stage.start(names), []

        def end(uuid: str = uuid, done: list[bool] = done) -> None:
            try:
                complete(stage, uuid)
            except NotFound:  # the engine has not been told of the job
                done.append(False)
            else:
                done.append(True)

        reached = at_point(stage, point, end)
        work_now(stage)
        if not reached():
            break
        if done == [False]:
            early += 1
            complete(stage, uuid)
        stage.drain()
        check_promises(stage, session)
        assert stage.runtime.ran() == ["a", "b", "c"]
        check_redelivery_changes_nothing(stage, session)
        point += 1
    assert early < point - 5  # before and after: the run, the agent that is parked, the second look


def test_five_megabytes_are_a_result_and_more_than_eight_are_refused(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    with pytest.raises(BadUserInput, match="The result has 8000001 characters; it takes 8000000"):
        complete(stage, result="x" * 8_000_001)
    assert state(stage)["status"] == "pending"
    complete(stage, result="x" * 5_000_000)
    stage.drain()
    check_promises(stage, session)
    agent = stage.agent(session.session_uuid, "b")
    assert agent.agent_output == "x" * 5_000_000
    assert agent.has_blobs
    # the job's is the agent's
    assert len([key for key in stage.blobs.kept if "agent_output" in key]) == 1


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"result": None}, "either a result or an error"),
        ({"error": "broken"}, "either a result or an error"),
        ({"result": None, "error": " "}, "error is empty"),
        ({"result": float("nan")}, "not valid JSON"),
        ({"result": "\ud800"}, "not valid JSON"),
    ],
)
def test_a_bad_end_is_refused_and_the_job_goes_on(
    stage: Stage, arguments: dict[str, Any], words: str
) -> None:
    session = waiting_for_a_job(stage)
    before = stage.everything(session)
    with pytest.raises(BadUserInput, match=words):
        complete(stage, **arguments)
    assert state(stage)["status"] == "pending"
    assert stage.everything(session) == before
    assert stage.queue.waiting == []


@pytest.mark.parametrize("uuid", ["job-9", "", "x" * 257, "job\n1", "job-1\x1f"])
def test_an_unknown_job_is_not_found(stage: Stage, uuid: str) -> None:
    waiting_for_a_job(stage)
    for call in (lambda: complete(stage, uuid), lambda: heartbeat(stage.app, TENANT, uuid)):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.code == "NOT_FOUND"
    assert states(stage.app, TENANT, [uuid]) == {}


def test_a_job_of_another_tenant_is_not_found(stage: Stage) -> None:
    waiting_for_a_job(stage)
    with pytest.raises(NotFound):
        complete_async_task(stage.app, "other", "job-1", result="done")
    with pytest.raises(NotFound):
        heartbeat(stage.app, "other", "job-1")
    assert states(stage.app, "other", ["job-1"]) == {}
    assert state(stage)["status"] == "pending"


@pytest.mark.parametrize("uuid", ["x" * 257, "a\nb", " a"])
def test_a_uuid_that_is_no_uuid_fails_the_attempt(stage: Stage, uuid: str) -> None:
    stage.runtime.behaviours["b"] = lambda request: AgentResult("", async_task_uuid=uuid)
    session = stage.start(stage.define(CHAIN))
    stage.drain()
    check_promises(stage, session, status="failed")
    words = "An async task uuid has 1 to 256 printable bytes, and no space at its ends."
    assert stage.agent(session.session_uuid, "b").notes == words


def test_the_job_of_one_agent_is_no_other_agents(stage: Stage) -> None:
    stage.runtime.behaviours["c"] = pending()
    session = stage.start(stage.define({"b": "", "c": ""}))
    stage.drain()
    assert sorted(stage.states(session.session_uuid).values()) == ["failed", "skipped"]
    (failed,) = [each for each in stage.agents(session.session_uuid) if each.state == "failed"]
    assert failed.notes == "The async task uuid is in use by another session agent."
