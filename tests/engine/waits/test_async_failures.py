"""Long jobs that fail, fall silent, come late, or whose engine dies: every attempt ends once, and
no job is polled.
"""

import os
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.control.controls import (
    cancel_session,
    pause_session,
    resume_session,
)
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import heartbeat
from ai_coordination_engine.errors import Conflict, CoordinationError, NotFound
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.guards import delete
from tests.kit.controls import retry
from tests.kit.crashes import Tripwire, tripping
from tests.kit.fakes import Behaviour
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

EVERY = 1 if os.environ.get("CI") else 3  # crash points: every one in CI, every third elsewhere
TWICE = {"b": {"policy": {"attempts": 2, "backoff_seconds": 0}}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, behaviours={"b": pending()})


# Failing


def test_an_error_fails_the_attempt_with_what_the_job_said(stage: Stage) -> None:
    session = waiting_for_a_job(stage, agents={"b": {"policy": {"attempts": 1}}})
    complete(stage, result=None, error="no disk")
    complete(stage, result=None, error="no disk")
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "b").notes == "no disk"
    assert attempts(stage, session) == [(1, "pending", "job-1")]
    failed = {"status": "failed", "error": "no disk", "error_class": "error"}
    assert state(stage) == {**failed, "ended_at": "2026-11-02T09:00:00+00:00"}
    check_redelivery_changes_nothing(stage, session)


def test_an_error_is_retried_as_the_policy_says(stage: Stage) -> None:
    session = waiting_for_a_job(stage, agents=TWICE)
    complete(stage, result=None, error="no disk")
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").async_task_uuid == "job-2"
    complete(stage, uuid="job-2")
    work_now(stage)
    check_promises(stage, session)
    assert attempts(stage, session) == [(1, "pending", "job-1"), (2, "pending", "job-2")]


@pytest.mark.parametrize(("retry_on", "attempts_made"), [(["error"], 2), (["timeout"], 1)])
def test_an_error_is_of_the_class_error_to_a_policy(
    stage: Stage, retry_on: list[str], attempts_made: int
) -> None:
    policy = {**TWICE["b"]["policy"], "retry_on": retry_on}
    session = waiting_for_a_job(stage, agents={"b": {"policy": policy}})
    complete(stage, result=None, error="no disk")
    work_now(stage)
    assert len(attempts(stage, session)) == attempts_made


def test_a_result_that_a_condition_cannot_read_fails_the_attempt_and_the_next_begins_a_job(
    stage: Stage,
) -> None:
    session = waiting_for_a_job(
        stage, agents=TWICE, actions={"c": {"conditions": {"b": "score > `5`"}}}
    )
    complete(stage, result="no JSON")
    work_now(stage)
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.state, agent.async_task_uuid, agent.failures) == ("pending", "job-2", 1)
    complete(stage, uuid="job-2", result={"score": 6})
    work_now(stage)
    check_promises(stage, session)
    assert attempts(stage, session) == [(1, "pending", "job-1"), (2, "pending", "job-2")]


# Heartbeats


def test_a_job_that_is_not_heard_of_fails_its_attempt_and_the_next_begins_a_new_one(
    stage: Stage,
) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    session = waiting_for_a_job(stage, agents=TWICE)
    assert stage.queue.next_visible_in() == 60
    stage.clock.advance(60)
    work_now(stage)
    gone = "The long job sent no heartbeat for 60 seconds."
    expired = {"status": "expired", "error": gone, "error_class": "timeout"}
    assert state(stage) == {**expired, "ended_at": "2026-11-02T09:01:00+00:00"}
    assert stage.agent(session.session_uuid, "b").async_task_uuid == "job-2"
    for late in (lambda: complete(stage), lambda: heartbeat(stage.app, TENANT, "job-1")):
        with pytest.raises(Conflict, match="has expired") as caught:
            late()
        assert caught.value.extensions == {"status": "expired"}
    complete(stage, uuid="job-2")
    stage.drain()
    check_promises(stage, session)
    assert attempts(stage, session) == [(1, "pending", "job-1"), (2, "pending", "job-2")]


def test_a_job_that_is_never_heard_of_fails_the_agent_when_its_attempts_are_used_up(
    stage: Stage,
) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    session = waiting_for_a_job(stage, agents=TWICE)
    stage.drain()
    check_promises(stage, session, status="failed")
    assert (
        stage.agent(session.session_uuid, "b").notes
        == "The long job sent no heartbeat for 60 seconds."
    )
    assert stage.runtime.ran() == ["a", "b", "b"]
    check_redelivery_changes_nothing(stage, session)


def test_heartbeats_keep_a_job_alive(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    session = waiting_for_a_job(stage)
    for _ in range(5):
        stage.clock.advance(50)
        heartbeat(stage.app, TENANT, "job-1")
        work_now(stage)
    assert state(stage) == {"status": "pending", "heartbeat_until": "2026-11-02T09:05:10+00:00"}
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    assert attempts(stage, session) == [(1, "pending", "job-1")]


def test_a_heartbeat_after_the_deadline_is_too_late(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    waiting_for_a_job(stage)
    stage.clock.advance(60)
    with pytest.raises(Conflict, match="has expired"):
        heartbeat(stage.app, TENANT, "job-1")


def test_a_result_after_the_deadline_counts_until_somebody_has_looked(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    session = waiting_for_a_job(stage)
    stage.clock.advance(61)
    complete(stage)
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize(
    ("answered", "policy", "expected"),
    [(30, {"heartbeat_seconds": 90}, 30), (None, {"heartbeat_seconds": 90}, 90)],
)
def test_the_answers_own_heartbeat_goes_before_the_policys(
    stage: Stage, answered: float | None, policy: dict[str, Any], expected: float
) -> None:
    stage.runtime.behaviours["b"] = pending(answered)
    session = waiting_for_a_job(stage, agents={"b": {"policy": policy}})
    assert stage.agent(session.session_uuid, "b").due_at == stage.clock.now().timestamp() + expected


def test_a_long_deadline_is_watched_by_the_sweep(stage: Stage) -> None:
    session = waiting_for_a_job(stage, agents={"b": {"policy": {"attempts": 1}}})
    watch_at: Any = stage.session(session).watch_at
    assert watch_at <= stage.clock.now().timestamp() + 3600
    stage.clock.advance(3600)
    run_step(stage.app, wake(stage.agent(session.session_uuid, "b")))
    stage.drain()
    check_promises(stage, session, status="failed")


def test_a_result_that_comes_while_the_deadline_is_noticed_counts_or_is_refused(app: App) -> None:
    stage = stage_of(app)
    names = stage.define(CHAIN, agents={"b": {"policy": {"attempts": 1}}})
    point, seen = 1, set()
    while True:
        uuid, refused = f"job-{point}", list[Conflict]()
        stage.renew(behaviours={"b": lambda request, uuid=uuid: AgentResult("", {}, uuid, 60)})  # type: ignore[misc]
        session = stage.start(names)
        work_now(stage)
        stage.clock.advance(60)

        def end(uuid: str = uuid, refused: list[Conflict] = refused) -> None:
            try:
                complete(stage, uuid)
            except Conflict as conflict:
                refused.append(conflict)

        reached = at_point(stage, point, end)
        stage.drain()
        if not reached():
            break
        status = "failed" if refused else "completed"
        check_promises(stage, session, status=status)
        check_redelivery_changes_nothing(stage, session)
        seen.add(status)
        point += 1
    assert seen == {"failed", "completed"}


# Late


@pytest.mark.only_on("dynamodb")  # the answer of a file is not lost
def test_a_write_that_is_made_again_does_not_undo_what_was_heard_of_the_job_since(
    stage: Stage,
) -> None:
    database = stage.database
    assert database is not None

    def repeats(operation: str) -> bool:
        if operation != "PutItem" or stage.app.jobs.get(TENANT, "job-1") is None:
            return False
        database.repeats = lambda operation: False
        stage.clock.advance(40)
        heartbeat(stage.app, TENANT, "job-1")
        return True

    database.repeats = repeats
    stage.runtime.behaviours["b"] = pending(60)
    waiting_for_a_job(stage)
    assert state(stage)["heartbeat_until"] == "2026-11-02T09:01:40+00:00"


def but_jobs(stage: Stage, session: Session) -> list[dict[str, Any]]:
    return [each for each in stage.everything(session) if "deadline" not in each]


@pytest.mark.parametrize("late", [False, True])
def test_a_retry_after_a_cancel_begins_a_job_of_its_own_whenever_the_result_of_the_old_one_comes(
    late: bool, stage: Stage
) -> None:
    session = waiting_for_a_job(stage)
    cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    stage.drain()
    if not late:
        complete(stage, result="of the cancelled attempt")
        stage.drain()
    retry(stage, session)
    work_now(stage)
    if late:
        complete(stage, result="of the cancelled attempt")
        work_now(stage)
    assert stage.agent(session.session_uuid, "b").async_task_uuid == "job-2"
    complete(stage, uuid="job-2", result="of the retry")
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "b", "c"]
    assert stage.agent(session.session_uuid, "b").agent_output == "of the retry"
    assert attempts(stage, session) == [(1, "pending", "job-1"), (2, "pending", "job-2")]
    assert state(stage)["status"] == "completed"


def test_a_result_for_an_agent_that_waits_no_longer_is_kept_and_changes_nothing_else(
    stage: Stage,
) -> None:
    session = waiting_for_a_job(stage)
    cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    stage.drain()
    before = but_jobs(stage, session)
    for _ in range(2):
        complete(stage)
        stage.drain()
    assert state(stage)["status"] == "completed"
    assert but_jobs(stage, session) == before
    assert stage.session(session).status == "cancelled"
    assert stage.agent(session.session_uuid, "b").state == "cancelled"
    assert stage.runtime.ran() == ["a", "b"]


def test_a_job_of_a_paused_session_may_end_and_its_agent_goes_on_later(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    key = session.key
    pause_session(stage.app, TENANT, *key)
    complete(stage)
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").state == "pending"
    resume_session(stage.app, TENANT, *key)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "c"]


def test_a_job_that_is_not_heard_of_while_its_session_is_paused_fails_its_attempt_afterwards(
    stage: Stage,
) -> None:
    stage.runtime.behaviours["b"] = pending(60)
    session = waiting_for_a_job(stage, agents={"b": {"policy": {"attempts": 1}}})
    key = session.key
    pause_session(stage.app, TENANT, *key)
    stage.clock.advance(61)
    work_now(stage)
    assert state(stage)["status"] == "pending"
    resume_session(stage.app, TENANT, *key)
    stage.drain()
    check_promises(stage, session, status="failed")


def test_what_a_late_job_left_goes_with_its_agent(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    complete(stage, result="x" * 100_000)
    assert len(stage.blobs.kept) == 1
    agent = stage.agent(session.session_uuid, "b")
    delete(stage.app.records, SESSION_AGENT, TENANT, (agent.session_uuid, agent.session_agent_uuid))
    assert stage.blobs.kept == {}


def test_the_job_of_a_deleted_agent_is_not_found(stage: Stage) -> None:
    session = waiting_for_a_job(stage)
    cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    agent = stage.agent(session.session_uuid, "b")
    delete(stage.app.records, SESSION_AGENT, TENANT, (agent.session_uuid, agent.session_agent_uuid))
    with pytest.raises(NotFound, match="its session agent was deleted"):
        complete(stage)
    assert state(stage)["status"] == "pending"


def test_a_job_whose_attempt_was_lost_ends_without_effect_on_the_next(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = dying_before_its_run_is_recorded(stage, "job-1", "job-2")
    session = stage.start(stage.define(CHAIN))
    assert stage.drain() == 1
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.attempt, agent.async_task_uuid) == (2, "job-2")
    complete(stage)
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").async_task_uuid == "job-2"
    complete(stage, uuid="job-2", result="second")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "second"
    assert [each[:2] for each in attempts(stage, session)] == [(1, "lost"), (2, "pending")]


def test_a_job_that_outlives_its_attempt_is_what_the_next_one_waits_for(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = dying_before_its_run_is_recorded(stage, "the-job", "the-job")
    session = stage.start(stage.define(CHAIN))
    assert stage.drain() == 1
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.attempt, agent.async_task_uuid) == (2, "the-job")
    complete(stage, uuid="the-job")
    stage.drain()
    check_promises(stage, session)


def dying_before_its_run_is_recorded(stage: Stage, first: str, second: str) -> Behaviour:
    """An agent whose worker dies when the first attempt's job is known and its run is not recorded
    yet.
    """

    def begin(request: AgentRequest) -> AgentResult:
        if request.attempt > 1:
            return AgentResult("", async_task_uuid=second)
        # from here: the end of the call, one write, and the second begins
        stage.boundary.reach = Tripwire(4)
        return AgentResult("", async_task_uuid=first)

    return begin


# Crashes


@pytest.mark.parametrize("error", [None, "no disk"], ids=["result", "error"])
def test_whoever_dies_at_any_point_the_agent_is_resumed_once(app: App, error: str | None) -> None:
    stage = stage_of(app)
    names = stage.define(CHAIN, agents=TWICE)
    point = 1
    while True:
        stage.renew(
            behaviours={"b": lambda request: AgentResult("", async_task_uuid=request.run_uuid)}
        )
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            stage.drain()
            end_the_job(stage, session, error=error)
            stage.drain()
            end_the_job(stage, session)
            stage.drain()
        check_promises(stage, session)
        assert stage.agent(session.session_uuid, "b").agent_output == "done"
        assert stage.runtime.ran().count("c") <= 1 + tripwire.trips
        check_redelivery_changes_nothing(stage, session)
        if not tripwire.trips:
            break
        point += EVERY
    assert point > 30


def end_the_job(stage: Stage, session: Session, *, error: str | None = None) -> None:
    """A job that repeats its message until the server has taken it."""
    agent = stage.agent(session.session_uuid, "b")
    if agent.async_task_uuid is None:
        return
    end = {"result": None, "error": error} if error else {"result": "done"}
    try:
        stage.until_it_succeeds(lambda: complete(stage, agent.async_task_uuid, **end))
    except CoordinationError as refused:
        assert refused.code == "CONFLICT"
