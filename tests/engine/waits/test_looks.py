"""Long jobs that the engine looks at, in case their report is lost, and that it cancels."""

import os
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.control.restart import retry_session
from ai_coordination_engine.engine.waits.async_tasks import notice
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult, Question, Resumed
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import deaths, tripping
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import attempts, complete, pending, state, waiting_for_a_job, work_now

EVERY = 1 if os.environ.get("CI") else 4  # points at which somebody dies
REMOTE = {"b": {"runtime": {"kind": "a2a", "agent": "desk", "instructions": "Be brief."}}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, behaviours={"b": pending(look_seconds=10)})


def begun(stage: Stage) -> Session:
    return waiting_for_a_job(stage, agents=REMOTE)


def pass_time(stage: Stage, seconds: float) -> None:
    stage.drain(until=stage.clock.now().timestamp() + seconds)


def ends(stage: Stage, result: AgentResult | AgentFailure, after: int) -> None:
    """Let the look of this number find the result."""
    stage.runtime.looks = lambda uuid: result if len(stage.runtime.looked) >= after else None


def notify(stage: Stage, session: Session) -> None:
    agent = stage.agent(session.session_uuid, "b")
    notice(stage.app, TENANT, session.session_uuid, agent.session_agent_uuid)


def test_looks_come_at_growing_intervals_and_one_of_them_ends_the_job(stage: Stage) -> None:
    times: list[float] = []
    began = stage.clock.now().timestamp()

    def look(uuid: str) -> AgentResult | None:
        times.append(stage.clock.now().timestamp() - began)
        return AgentResult("found", {"outputTokens": 7}) if len(times) == 5 else None

    stage.runtime.looks = look
    session = begun(stage)
    stage.drain()
    check_promises(stage, session)
    assert [round(each) for each in times] == [10, 20, 40, 80, 160]
    assert stage.agent(session.session_uuid, "b").agent_output == "found"
    assert stage.runtime.ran() == ["a", "b", "c"]
    assert attempts(stage, session) == [(1, "pending", "job-1")]
    assert state(stage)["usage"] == {"output_tokens": 7}
    check_redelivery_changes_nothing(stage, session)
    assert len(times) == 5


def test_a_look_is_a_heartbeat(stage: Stage) -> None:
    stage.runtime.behaviours = {"b": pending(heartbeat_seconds=60, look_seconds=50)}
    ends(stage, AgentResult("found"), after=2)
    session = begun(stage)
    pass_time(stage, 105)
    assert stage.runtime.looked == ["job-1", "job-1"]
    stage.drain()
    check_promises(stage, session)


def test_a_job_that_cannot_be_looked_at_expires(stage: Stage) -> None:
    def unreachable(uuid: str) -> None:
        raise AgentFailure("down", retryable=True, error_class="unavailable")

    stage.runtime.behaviours = {
        "b": pending(heartbeat_seconds=30, look_seconds=10)
        if len(stage.runtime.ran()) < 2
        else lambda request: "again"
    }
    stage.runtime.looks = unreachable
    session = begun(stage)
    pass_time(stage, 29)
    assert (len(stage.runtime.looked), state(stage)["status"]) == (2, "pending")
    stage.runtime.behaviours = {}
    stage.drain()
    check_promises(stage, session)
    assert state(stage)["status"] == "expired"
    assert stage.runtime.cancelled == ["job-1"]


@pytest.mark.parametrize(("retryable", "ran"), [(True, ["a", "b", "b", "c"]), (False, ["a", "b"])])
def test_a_failure_that_a_look_finds_keeps_its_class(
    stage: Stage, retryable: bool, ran: list[str]
) -> None:
    found = AgentFailure("no ink", retryable=retryable, error_class="invalid_request")
    ends(stage, found, after=1)
    session = begun(stage)
    stage.runtime.behaviours = {}
    stage.drain()
    check_promises(stage, session, status="completed" if retryable else "failed")
    assert stage.runtime.ran() == ran
    assert (state(stage)["status"], state(stage)["error"]) == ("failed", "no ink")


def test_a_final_failure_of_the_look_itself_ends_the_job(stage: Stage) -> None:
    def forbidden(uuid: str) -> None:
        raise AgentFailure("not among the agents of the settings", error_class="not_allowed")

    stage.runtime.looks = forbidden
    session = begun(stage)
    stage.drain()
    check_promises(stage, session, status="failed")


def test_a_notice_is_followed_by_a_look_at_once(stage: Stage) -> None:
    session = begun(stage)
    ends(stage, AgentResult("found"), after=1)
    notify(stage, session)
    notify(stage, session)
    work_now(stage)
    assert stage.runtime.looked == ["job-1"]
    assert stage.agent(session.session_uuid, "b").agent_output == "found"
    stage.drain()
    check_promises(stage, session)


def test_a_notice_that_nobody_needs_changes_nothing(stage: Stage) -> None:
    session = begun(stage)
    complete(stage)
    stage.drain()
    before = stage.everything(session)
    notify(stage, session)
    stage.drain()
    assert (stage.everything(session), stage.runtime.looked) == (before, [])
    with pytest.raises(NotFound):
        notice(stage.app, TENANT, session.session_uuid, "other")
    with pytest.raises(NotFound):
        notice(
            stage.app,
            "other",
            session.session_uuid,
            stage.agents(session.session_uuid)[1].session_agent_uuid,
        )


def test_a_report_that_is_faster_than_the_look_counts(stage: Stage) -> None:
    session = begun(stage)

    def slow(uuid: str) -> AgentResult:
        complete(stage, result="reported")
        return AgentResult("looked")

    stage.runtime.looks = slow
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "reported"


def test_cancelling_the_session_cancels_the_job(stage: Stage) -> None:
    session = begun(stage)
    cancel_session(stage.app, TENANT, *session.key)
    stage.drain()
    assert stage.runtime.cancelled == ["job-1"]
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "cancelled",
        "c": "cancelled",
    }


def test_a_failure_elsewhere_cancels_the_job(stage: Stage) -> None:
    def fail(request: Any) -> str:
        raise AgentFailure("no")

    stage.runtime.behaviours["c"] = fail
    session = stage.start(stage.define({"b": "", "c": ""}, agents=REMOTE))
    stage.drain()
    assert (stage.status(session), stage.runtime.cancelled) == ("failed", ["job-1"])
    retry_session(stage.app, TENANT, *session.key)
    stage.runtime.behaviours = {}
    stage.drain()
    assert stage.status(session) == "completed"


def test_jobs_that_cannot_be_cancelled_send_no_message(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    cancel_session(stage.app, TENANT, *session.key)
    assert stage.queue.fires == []


def test_a_cancel_that_fails_is_tried_again_some_times(stage: Stage) -> None:
    seen: list[Any] = []

    def down(request: Any) -> None:
        seen.append(request)
        raise AgentFailure("down", retryable=len(seen) < 12)

    stage.runtime.cancels = down
    session = begun(stage)
    cancel_session(stage.app, TENANT, *session.key)
    stage.drain()
    assert len(seen) == 8
    assert {each.runtime["agent"] for each in seen} == {"desk"}
    assert stage.queue.waiting == []


def test_a_task_that_begins_while_its_session_is_cancelled_is_cancelled(stage: Stage) -> None:
    sessions: list[Session] = []

    def late(request: Any) -> AgentResult:
        cancel_session(stage.app, TENANT, *sessions[0].key)
        return AgentResult("", async_task_uuid="job-9", look_seconds=5)

    stage.runtime.behaviours = {"b": late}
    sessions.append(stage.start(stage.define({"b": ""}, agents=REMOTE)))
    stage.drain()
    assert stage.runtime.cancelled == ["job-9"]


COLOUR = Question("Which colour?", {"enum": ["red"]}, {"async_task_uuid": "job-1"})


def asks(stage: Stage) -> Session:
    """A session whose long job asks, and goes on with the answer under the same uuid."""
    ends(stage, AgentResult("", question=COLOUR), after=1)

    def go_on(request: Any) -> AgentResult:
        assert request.resumed == Resumed(COLOUR.state, "red") or request.resumed is None
        return AgentResult("", async_task_uuid="job-1", look_seconds=10)

    stage.runtime.behaviours = {"b": go_on}
    return begun(stage)


def answer(stage: Stage, session: Session) -> None:
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.state, agent.asks["text"]) == ("wait_for_user_input", "Which colour?")
    names = (session.session_uuid, agent.session_agent_uuid)
    stage.until_it_succeeds(lambda: execute_for_user_input(stage.app, TENANT, *names, "red"))


def test_a_job_that_asks_goes_on_with_the_answer(stage: Stage) -> None:
    session = asks(stage)
    stage.drain()
    assert (stage.runtime.looked, state(stage)["status"]) == (["job-1"], "asked")
    answer(stage, session)
    ends(stage, AgentResult("red it is"), after=3)
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "red it is"
    assert stage.runtime.looked == ["job-1"] * 3
    assert state(stage)["status"] == "completed"


def test_a_job_that_asks_is_cancelled_with_its_session(stage: Stage) -> None:
    session = asks(stage)
    stage.drain()
    cancel_session(stage.app, TENANT, *session.key)
    stage.drain()
    assert stage.runtime.cancelled == ["job-1"]


@pytest.mark.parametrize("point", range(1, 40, 2 * EVERY))
def test_a_worker_may_die_at_any_point_of_a_question(stage: Stage, point: int) -> None:
    session = asks(stage)
    with tripping(stage, point):
        stage.drain()
        answer(stage, session)
        stage.runtime.looks = lambda uuid: AgentResult("red it is")
        stage.drain()
    if stage.status(session) != "completed":
        stage.clock.advance(stage.session(session).watch_at - stage.clock.now().timestamp() + 1)
        sweep(stage.app)
        stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "red it is"


@pytest.mark.parametrize("point", range(1, 28, EVERY))
def test_a_worker_may_die_at_any_point_of_a_look(stage: Stage, point: int) -> None:
    ends(stage, AgentResult("found"), after=2)
    session = begun(stage)
    before = deaths[0]
    with tripping(stage, point) as tripwire:
        stage.drain()
    if stage.status(session) != "completed":  # it died before it sent the next delayed message
        stage.clock.advance(stage.session(session).watch_at - stage.clock.now().timestamp() + 1)
        sweep(stage.app)
        stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert deaths[0] - before == bool(tripwire.trips)
    assert stage.agent(session.session_uuid, "b").agent_output == "found"


@pytest.mark.parametrize("point", range(1, 24, EVERY))
def test_whoever_cancels_may_die_at_any_point(stage: Stage, point: int) -> None:
    session = begun(stage)
    with tripping(stage, point):
        stage.until_it_succeeds(lambda: cancel_session(stage.app, TENANT, *session.key))
        stage.drain()
    assert stage.runtime.cancelled != []
    assert set(stage.runtime.cancelled) == {"job-1"}
    assert stage.status(session) == "cancelled"
