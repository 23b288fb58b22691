"""What begins to wait in a session that has ended at that moment does not wait for ever."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from tests.fakes import failing
from tests.sessions import Crash, Stage, stage_of
from tests.waits import work_now

HOUR = 3600


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def started(stage: Stage, graph: Any, **task: Any) -> Session:
    return stage.start(stage.define(graph, **task))


def test_a_long_job_that_begins_while_its_session_fails_is_not_waited_for(stage: Stage) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)  # meanwhile the other agent fails the session
        return AgentResult("", {}, "job-1", HOUR)

    stage.runtime.behaviours.update({"b": begin, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    work_now(stage)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}
    assert (stage.session(session).status, stage.queue.waiting) == ("failed", [])


def test_a_long_job_that_begins_while_another_answer_is_enough_is_not_waited_for(stage: Stage) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)
        return AgentResult("", {}, "job-1")

    stage.runtime.behaviours["b"] = begin
    session = started(stage, {"b": "", "a": "", "c": "ab"}, actions={"c": {"join": "any"}})
    work_now(stage)
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "skipped", "c": "completed"}


def test_a_worker_that_dies_before_it_sees_that_leaves_it_to_the_next(stage: Stage) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)
        stage.boundary.reach = die_when_parked
        return AgentResult("", {}, "job-1", HOUR)

    def die_when_parked(name: str) -> None:
        if stage.agent(session.session_uuid, "b").async_task_uuid:
            stage.boundary.reach = lambda name: None
            raise Crash

    stage.runtime.behaviours.update({"b": begin, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    delivery = stage.queue.receive()
    assert delivery is not None
    with pytest.raises(Crash):
        run_step(stage.app, delivery.wake)
    assert stage.states(session.session_uuid) == {"b": "pending", "c": "failed"}
    run_step(stage.app, delivery.wake)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}


def test_a_long_backoff_that_begins_while_its_session_fails_ends_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(request: AgentRequest) -> str:
        raise AgentFailure("later", retryable=True, error_class="rate_limit", retry_after=HOUR)

    stage.runtime.behaviours.update({"b": busy, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    retry_later = stage.app.transitions.retry_later

    def after_the_failure(*given: Any) -> Any:
        work_now(stage)
        return retry_later(*given)

    monkeypatch.setattr(stage.app.transitions, "retry_later", after_the_failure)
    work_now(stage)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}
