"""What a long job has used is counted once, also if nobody waits for the job any more."""

import os
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.domain.accounts import Counts, loaded, total
from ai_coordination_engine.engine.advance.accounts import accounts_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import reconcile_session, sweep
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from tests.kit.controls import cancel
from tests.kit.crashes import Crash, tripping
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.telemetry import FakeTelemetry
from tests.kit.waits import complete, work_now

EVERY = 1 if os.environ.get("CI") else 3  # points at which somebody dies
USED = {"input_tokens": 10, "output_tokens": 5, "model": "gpt-4o-mini", "provider": "openai"}
TOKENS: Any = {"runs": 1, "input_tokens": 10, "output_tokens": 5, "tokens_squared": 15**2}
ONCE = Counts(**TOKENS, micro_usd=5, micro_usd_squared=25)  # 4.5, rounded up
FAILED = replace(ONCE, failed_runs=1)


@pytest.fixture
def telemetry() -> FakeTelemetry:
    return FakeTelemetry()


@pytest.fixture
def stage(app: App, telemetry: FakeTelemetry) -> Stage:
    stage = stage_of(app, behaviours={"a": begins})
    return replace(stage, app=replace(stage.app, telemetry=telemetry))


def begins(request: AgentRequest) -> AgentResult:
    """The first attempt goes on in a long job; the others answer."""
    if request.attempt > 1:
        return AgentResult("by itself")
    return AgentResult("", {}, f"job of {request.session_uuid}", heartbeat_seconds=60)


def reports(stage: Stage, session: Session, used: Any = USED) -> None:
    complete(stage, f"job of {session.session_uuid}", usage=used)


def is_refused(stage: Stage, session: Session, used: Any = USED) -> None:
    with pytest.raises(Conflict, match="has expired"):
        reports(stage, session, used)


def check(stage: Stage, *sessions: Session) -> Counts:
    """The runs, the sessions and the counters of the day say the same."""
    now = [stage.session(each) for each in sessions]
    found = total(counts for each in now for counts in accounts_of(stage.app, each).values())
    of_sessions = total(counts for each in now for counts in loaded(each.counted).values())
    uuids = {each.coordination_uuid for each in now}
    of_coordination = stage.app.usage_counters.of_coordination
    counters = total(each.counts for uuid in uuids for each in of_coordination(TENANT, uuid, None))
    assert (of_sessions, counters) == (found, found)
    return found


def expired(stage: Stage, graph: Any) -> Session:
    """A session whose job has expired, and whose agent was tried again without it."""
    agents = {"a": {"policy": {"attempts": 2, "backoff": 0}}}
    session = stage.start(stage.define(graph, agents=agents))
    stage.drain()
    return session


def swept(stage: Stage) -> None:
    """The sweep looks at what it is asked to look at, until that is nothing."""
    for _ in range(3):
        stage.clock.advance(stage.app.settings.watch_seconds + 1)
        sweep(stage.app)
        stage.drain()


def test_the_usage_of_a_job_that_had_expired_is_counted_once(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    session = expired(stage, {"a": ""})
    assert (stage.status(session), check(stage, session)) == ("completed", Counts())
    is_refused(stage, session)
    assert check(stage, session) == FAILED
    is_refused(stage, session)
    is_refused(stage, session, {**USED, "input_tokens": 99})  # the first report counts
    assert check(stage, session) == FAILED
    swept(stage)
    check_promises(stage, session)
    assert check(stage, session) == FAILED
    assert stage.session(session).watch_at is None
    assert [each.usage for each in telemetry.learned] == [USED]
    assert [(each.status, each.error_class) for each in telemetry.measured] == [
        ("failed", "timeout"),
        ("completed", None),
    ]


def test_a_job_that_was_refused_before_its_session_ends_is_counted(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = lambda _: AgentResult("", {}, "job of b")
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain(until=stage.clock.now().timestamp() + 600)
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "pending"}
    is_refused(stage, session)
    complete(stage, "job of b")
    stage.drain()
    assert (stage.status(session), check(stage, session)) == ("completed", FAILED)


def test_what_uses_no_model_is_not_kept(stage: Stage, telemetry: FakeTelemetry) -> None:
    session = expired(stage, {"a": ""})
    is_refused(stage, session, {"calls": 3})
    assert (check(stage, session), telemetry.learned) == (Counts(), [])
    assert stage.session(session).metered is None


def test_the_job_of_a_cancelled_agent_is_counted_and_measured(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    session = stage.start(stage.define({"a": ""}))
    work_now(stage)
    cancel(stage, session)
    stage.drain()
    assert check(stage, session) == Counts()
    reports(stage, session)
    reports(stage, session)
    stage.drain()
    assert check(stage, session) == ONCE
    assert [(each.status, each.usage) for each in telemetry.measured] == [("completed", USED)]


def slow(stage: Stage) -> Any:
    """The first attempt begins a job when the second one has completed."""

    def behave(request: AgentRequest) -> AgentResult:
        if request.attempt == 1:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            run_step(stage.app, stage.queue.sent[0])
        return begins(request)

    return behave


def test_a_job_that_a_lost_attempt_has_begun_is_counted(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    names = stage.define({"a": ""})
    stage.runtime.behaviours["a"] = slow(stage)
    session = stage.start(names)
    stage.drain()
    assert (stage.status(session), check(stage, session)) == ("completed", Counts())
    reports(stage, session)
    reports(stage, session)
    assert check(stage, session) == FAILED
    lost = next(each for each in stage.runs(session.session_uuid) if each.late)
    assert lost.async_task["status"] == "lost"
    assert {(each.status, len(each.usage)) for each in telemetry.measured} == {
        ("lost", 0),
        ("completed", 0),
    }
    assert [each.usage for each in telemetry.learned] == [USED]


def test_a_job_whose_worker_died_before_it_said_so_is_counted(stage: Stage) -> None:
    def dies(agent: Any, *given: Any) -> Any:
        opened = opens(agent, *given)
        del stage.app.jobs.open  # the next one lives
        assert opened.record is not None
        raise Crash("it dies")

    opens = stage.app.jobs.open
    stage.app.jobs.open = dies  # type: ignore[method-assign]
    session = stage.start(stage.define({"a": ""}))
    assert stage.drain() == 1
    assert stage.status(session) == "completed"
    reports(stage, session)
    assert check(stage, session) == FAILED


def test_a_job_in_which_two_attempts_went_on_is_counted_once(stage: Stage) -> None:
    def same(request: AgentRequest) -> AgentResult:
        return AgentResult("", {}, f"job of {request.session_uuid}", heartbeat_seconds=60)

    stage.runtime.behaviours["a"] = same
    agents = {"a": {"policy": {"attempts": 2, "backoff": 0}}}
    session = stage.start(stage.define({"a": ""}, agents=agents))
    stage.drain(until=stage.clock.now().timestamp() + 90)
    assert [each.async_task["status"] for each in stage.runs(session.session_uuid)] == [
        "pending",
        "pending",
    ]
    reports(stage, session)
    stage.drain()
    assert (stage.status(session), check(stage, session)) == ("completed", ONCE)


def lapsed(stage: Stage, names: Any) -> Session:
    session = stage.start(names)
    stage.drain()
    return session


def cancelled(stage: Stage, names: Any) -> Session:
    session = stage.start(names)
    work_now(stage)
    cancel(stage, session)
    stage.drain()
    return session


@pytest.mark.parametrize("began", [lapsed, cancelled])
def test_late_usage_is_counted_though_who_reports_it_dies_and_never_comes_again(
    stage: Stage, began: Any
) -> None:
    agents = {"a": {"policy": {"attempts": 2, "backoff": 0}}}
    names, at, trips, sessions = stage.define({"a": ""}, agents=agents), 1, 1, list[Session]()
    while trips:
        sessions.append(began(stage, names))
        with tripping(stage, at) as tripwire, suppress(Crash, Conflict):
            reports(stage, sessions[-1])
        trips, at = tripwire.trips, at + EVERY
        swept(stage)
        check(stage, *sessions)
    assert at > 5


def test_the_sweep_finds_nothing_to_do_where_all_was_counted(stage: Stage) -> None:
    session = expired(stage, {"a": ""})
    is_refused(stage, session)
    reconcile_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    assert check(stage, session) == FAILED
