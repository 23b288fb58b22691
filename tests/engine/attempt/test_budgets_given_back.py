"""What attempts have reserved of budgets is settled when their agents are deleted or reset."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from ai_coordination_engine.domain.lifecycle import agents_by_hand
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import agent_deletes, cancel_session
from ai_coordination_engine.engine.control.restart import retry_session
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.budgets import Period
from tests.kit.budgets import define, need, of_session, tokens, using
from tests.kit.crashes import Crash, tripping
from tests.kit.homes import CI
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

EVERY = 1 if CI else 4  # points at which somebody dies
USAGE = {"input_tokens": 1, "output_tokens": 1}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def job(uuid: str) -> Callable[[AgentRequest], AgentResult]:
    """The behaviour of an agent that begins a long job."""
    return lambda request: AgentResult("", async_task_uuid=uuid)


def delete(stage: Stage, session_uuid: str, *, as_client: bool = True) -> None:
    """Delete the agent a, as the API does; else as if it had been ended since the API looked."""
    keys = [each.key for each in stage.agents(session_uuid) if each.agent_uuid == "a"]
    if not keys:  # a repetition
        return
    (key,) = keys
    if as_client:
        assert not agent_deletes(stage.app, TENANT, *key)
    with suppress(NotFound):  # a repetition
        guards.delete(
            stage.app.records,
            SESSION_AGENT,
            TENANT,
            key,
            condition=agents_by_hand.DELETE_BY_HAND.condition,
        )


def cancelled_and_deleted(stage: Stage, session: Session, *, as_client: bool) -> None:
    stage.until_it_succeeds(lambda: cancel_session(stage.app, TENANT, *session.key))
    stage.until_it_succeeds(lambda: delete(stage, session.session_uuid, as_client=as_client))


@pytest.mark.parametrize("as_client", [True, False])
def test_a_deleted_agent_leaves_nothing_reserved_wherever_its_worker_dies(
    stage: Stage, as_client: bool
) -> None:
    most, at = need(stage), 1 - EVERY
    while True:
        at += EVERY

        def dies(request: AgentRequest) -> str:
            cancelled_and_deleted(stage, session, as_client=as_client)  # noqa: B023
            raise Crash(request.run_uuid)

        stage.renew(behaviours={"a": dies})
        session = stage.start(define(stage, {"tokens": most, "per": "total"}))
        total = Period("task", session.task_uuid, "total")
        with tripping(stage, at) as tripwire:
            stage.drain()
        spent, reserved = tokens(stage, total)
        assert reserved == 0, at
        assert spent in ({0, most} if tripwire.trips else {most}), at
        if not tripwire.trips:
            return


def test_the_late_result_of_a_deleted_agent_corrects_what_it_may_have_spent(stage: Stage) -> None:
    most = need(stage)

    def late(request: AgentRequest) -> AgentResult:
        cancelled_and_deleted(stage, session, as_client=True)
        assert tokens(stage, of_session(session)) == (most, 0)
        return using(4)(request)

    stage.runtime.behaviours["a"] = late
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain()
    assert stage.agents(session.session_uuid) == []
    assert tokens(stage, of_session(session)) == (4, 0)


def test_a_job_whose_agent_runs_again_is_settled_once_wherever_somebody_dies(
    stage: Stage,
) -> None:
    most, at = need(stage), 1 - EVERY
    while True:
        at += EVERY
        stage.renew(behaviours={"a": job(f"job-{at}")})
        session = stage.start(define(stage, {"tokens": 3 * most}))
        stage.drain(until=stage.clock.now().timestamp() + 1)
        assert tokens(stage, of_session(session)) == (0, most)
        stage.app.records.write(  # as one who dies before the agents are ended
            SESSION, TENANT, session.key, lambda *_: {"status": "failed"}, parent_key=None
        )
        stage.runtime.behaviours["a"] = using(3)
        with tripping(stage, at) as tripwire:
            stage.until_it_succeeds(
                lambda: retry_session(stage.app, TENANT, *session.key, idempotency_key="again")  # noqa: B023
            )
            stage.drain()
        assert stage.status(session) == "completed"
        check_promises(stage, session)
        spent, reserved = tokens(stage, of_session(session))
        assert reserved == 0, at
        assert spent in {most + 3, *({2 * most + 3} if tripwire.trips else ())}, at
        if not tripwire.trips:
            return


@pytest.mark.parametrize("is_late", [True, False])
def test_the_job_of_a_cancelled_agent_tells_what_it_has_spent(stage: Stage, is_late: bool) -> None:
    """After the agent was cancelled, or before that, and no worker reads it before that."""
    most = need(stage)
    stage.runtime.behaviours["a"] = job("job-1")
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain(until=stage.clock.now().timestamp() + 1)
    if is_late:
        cancel_session(stage.app, TENANT, *session.key)
        assert tokens(stage, of_session(session)) == (most, 0)
    for _ in range(2):
        complete_async_task(stage.app, TENANT, "job-1", result="done", usage=USAGE)
        assert tokens(stage, of_session(session)) == (2, 0)
    if not is_late:
        cancel_session(stage.app, TENANT, *session.key)
    stage.drain()
    assert stage.agent(session.session_uuid, "a").state == "cancelled"
    assert tokens(stage, of_session(session)) == (2, 0)


def test_a_job_whose_end_the_engine_saw_tells_so_if_its_worker_dies_and_its_agent_is_cancelled(
    stage: Stage,
) -> None:
    most = need(stage)
    stage.runtime.behaviours["a"] = job("job-1")
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain(until=stage.clock.now().timestamp() + 1)
    seen = stage.app.jobs.get(TENANT, "job-1")
    assert seen is not None
    stage.app.jobs.end(seen, "completed", {"usage": USAGE}, "as who looks and dies")
    cancel_session(stage.app, TENANT, *session.key)
    assert tokens(stage, of_session(session)) == (2, 0)


@pytest.mark.only_on("dynamodb")  # run and settlement are one transaction on SQLite
def test_a_lost_attempt_that_left_its_run_is_settled_with_the_usage_of_the_run(
    stage: Stage,
) -> None:
    most, crossed = need(stage), [0]

    def dies_before_it_settles(name: str) -> None:
        crossed[0] += name == "TransactWriteItems"
        if crossed[0] == 3:  # before and after it reserved, and before it settles
            crossed[0] += 1
            raise Crash(name)

    stage.runtime.behaviours["a"] = using(4)
    session = stage.start(define(stage, {"tokens": most}))
    stage.boundary.reach = dies_before_it_settles
    with pytest.raises(Crash):
        process_message(stage.app, stage.queue.waiting[0].wake)
    stage.boundary.reach = lambda name: None
    assert tokens(stage, of_session(session)) == (0, most)
    cancel_session(stage.app, TENANT, *session.key)
    stage.drain()
    assert tokens(stage, of_session(session)) == (4, 0)
