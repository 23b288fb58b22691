"""What is exported of a session: each attempt and each end once, when it is stored."""

from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.trace_context import attempt_span, trace_id, workflow_span
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import sinks
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.runtime_ports import Question as AgentQuestion
from ai_coordination_engine.store.models import Session
from tests.kit.controls import cancel, retry
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.telemetry import FakeTelemetry

FAN = {"a": "", "b": "a", "c": "a", "d": "bc"}


@pytest.fixture
def telemetry() -> FakeTelemetry:
    return FakeTelemetry()


@pytest.fixture
def stage(app: App, telemetry: FakeTelemetry) -> Stage:
    stage = stage_of(app)
    return replace(stage, app=replace(stage.app, telemetry=telemetry))


def seen(telemetry: FakeTelemetry) -> list[tuple[str, int, str, str | None]]:
    return sorted(
        (each.agent_uuid, each.attempt, each.status, each.error_class)
        for each in telemetry.attempts
    )


def spans(stage: Stage, session: Session, *names: str) -> list[str]:
    ids = {each.agent_uuid: each.session_agent_uuid for each in stage.agents(session.session_uuid)}
    uuid = session.session_uuid
    return [attempt_span(TENANT, uuid, ids[name], int(number)) for name, number in names]


def test_each_attempt_and_the_end_are_exported_once_however_often_messages_come(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    stage.runtime.behaviours["b"] = failing("no", times=1, retryable=True, error_class="timeout")
    session = stage.start(stage.define(FAN))
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert seen(telemetry) == [
        ("a", 1, "completed", None),
        ("b", 1, "failed", "timeout"),
        ("b", 2, "completed", None),
        ("c", 1, "completed", None),
        ("d", 1, "completed", None),
    ]
    by_name = {(each.agent_uuid, each.attempt): each for each in telemetry.attempts}
    uuid, own = session.session_uuid, by_name["b", 2]
    (first, second) = spans(stage, session, "b1", "b2")
    assert (own.trace_id, own.span_id, own.earlier_span_id, own.parent_id) == (
        trace_id(TENANT, uuid),
        second,
        first,
        workflow_span(TENANT, uuid),
    )
    assert (own.kind, own.agent_name, own.in_workflow) == ("function", "b", True)
    assert own.started <= own.ended
    assert sorted(telemetry.ran) == sorted(spans(stage, session, "a1", "b1", "b2", "c1", "d1"))
    (ended,) = telemetry.sessions
    assert (ended.status, ended.span_id, ended.parent_id, ended.epoch) == (
        "completed",
        workflow_span(TENANT, uuid),
        "",
        0,
    )
    assert ended.task_uuid == session.task_uuid
    assert ended.started == session.created_at.timestamp()
    assert len(telemetry.hand_offs) == 3  # b, c and d


def test_a_caller_is_the_parent_of_the_session_alone(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    caller = f"00-{'b' * 32}-{'c' * 16}-01"
    names = stage.define({"a": ""})
    session = execute_procedure(stage.app, TENANT, Start(*names), trace=caller)
    stage.drain()
    (attempt,), (ended,) = telemetry.attempts, telemetry.sessions
    assert (ended.trace_id, ended.parent_id) == ("b" * 32, "c" * 16)
    above = workflow_span(TENANT, session.session_uuid)
    assert (attempt.trace_id, attempt.parent_id) == ("b" * 32, above)


def test_a_failed_session_is_exported_once_and_again_after_a_retry(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    stage.runtime.behaviours["b"] = failing("no", times=1)
    session = stage.start(stage.define(FAN))
    stage.drain()
    retry(stage, session)
    stage.drain()
    check_redelivery_changes_nothing(stage, session)
    uuid = session.session_uuid
    assert [(each.status, each.epoch) for each in telemetry.sessions] == [
        ("failed", 0),
        ("completed", 1),
    ]
    assert [each.span_id for each in telemetry.sessions] == [
        workflow_span(TENANT, uuid, 0),
        workflow_span(TENANT, uuid, 1),
    ]
    parents = {(each.agent_uuid, each.attempt): each.parent_id for each in telemetry.attempts}
    assert parents["b", 1] == workflow_span(TENANT, uuid, 0)
    assert parents["b", 2] == parents["d", 1] == workflow_span(TENANT, uuid, 1)


def test_a_cancelled_session_is_exported_once(stage: Stage, telemetry: FakeTelemetry) -> None:
    session = stage.start(stage.define(FAN))
    cancel(stage, session)
    cancel(stage, session)
    stage.drain()
    assert [each.status for each in telemetry.sessions] == ["cancelled"]
    assert telemetry.attempts == []


def test_a_lost_attempt_is_exported_once_with_the_time_at_which_it_began(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    def die(request: Any) -> str:
        if request.attempt == 1:
            raise Crash("it dies")
        return "done"

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": ""}))
    begun = stage.clock.now().timestamp()
    assert stage.drain() == 1
    check_redelivery_changes_nothing(stage, session)
    assert seen(telemetry) == [("a", 1, "lost", "lost"), ("a", 2, "completed", None)]
    (lost,) = [each for each in telemetry.attempts if each.status == "lost"]
    assert lost.started == pytest.approx(begun, abs=1)


def test_a_death_at_any_call_exports_the_same_spans_again_at_most(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    tried, has_tripped = 0, True
    while has_tripped:
        tried += 1
        telemetry.attempts.clear()
        telemetry.sessions.clear()
        telemetry.measured.clear()
        telemetry.hand_offs.clear()
        session = stage.start(stage.define({"a": "", "b": "a"}))
        with tripping(stage, tried) as tripwire:
            stage.drain()
        has_tripped = bool(tripwire.trips)
        check_promises(stage, session)
        stored = {
            (each.run_uuid, each.async_task["attempt"], each.async_task["status"])
            for each in stage.runs(session.session_uuid)
        }
        exported = {(each.run_uuid, each.attempt, each.status) for each in telemetry.attempts}
        assert exported <= stored
        assert len({each.span_id for each in telemetry.attempts}) == len(exported)
        assert len(telemetry.sessions) <= 1
        assert len(telemetry.hand_offs) <= 1
        measured = [(each.run_uuid, each.attempt, each.status) for each in telemetry.measured]
        assert len({*measured}) == len(measured)
        assert {*measured} <= exported
    assert tried > 5
    assert (exported, len(telemetry.attempts), len(telemetry.sessions)) == (stored, 2, 1)
    assert ({*measured}, len(telemetry.hand_offs)) == (stored, 1)


@pytest.mark.parametrize("error", [None, "it broke"])
def test_an_attempt_that_goes_on_elsewhere_ends_with_its_long_job(
    stage: Stage, telemetry: FakeTelemetry, error: str | None
) -> None:
    stage.runtime.behaviours["a"] = lambda request: AgentResult(
        "", {"input_tokens": 3}, async_task_uuid="job-1"
    )
    coordination, task = stage.define({"a": ""}, agents={"a": {"policy": {"attempts": 1}}})
    session = stage.start((coordination, task))
    stage.drain(until=stage.clock.now().timestamp() + 1)
    assert telemetry.attempts == []
    stage.clock.advance(30)
    done = {"error": error} if error else {"result": "done", "usage": {"input_tokens": 5}}
    complete_async_task(stage.app, TENANT, "job-1", **done)
    stage.drain()
    check_redelivery_changes_nothing(stage, session)
    (attempt,) = telemetry.attempts
    expected = ("failed", "error", {}) if error else ("completed", None, {"input_tokens": 5})
    assert (attempt.status, attempt.error_class, attempt.usage) == expected
    assert attempt.ended - attempt.started == pytest.approx(30, abs=1)


def test_a_question_has_no_session_above_it(stage: Stage, telemetry: FakeTelemetry) -> None:
    coordination, _ = stage.define({"a": ""})
    caller = f"00-{'b' * 32}-{'c' * 16}-01"
    ask(stage.app, TENANT, Question(coordination, "Why?", trace=caller))
    ask(stage.app, TENANT, Question(coordination, "Why?"))
    stage.drain()
    assert [(each.parent_id, each.in_workflow) for each in telemetry.attempts] == [
        ("c" * 16, False),
        ("", False),
    ]
    assert telemetry.sessions == []


def test_who_waited_for_a_person_says_so_and_is_no_hand_off(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    names = stage.define({"a": "", "b": "a"}, actions={"b": {"user_in_the_loop": "ann"}})
    session = stage.start(names)
    stage.drain()
    agent = stage.agent(session.session_uuid, "b")
    stage.clock.advance(60)
    key = session.session_uuid, agent.session_agent_uuid
    execute_for_user_input(stage.app, TENANT, *key, "yes")
    stage.drain()
    assert [(each.agent_uuid, each.waited_for_person) for each in telemetry.attempts] == [
        ("a", False),
        ("b", True),
    ]
    assert telemetry.hand_offs == []


def test_the_fallback_is_who_ran(stage: Stage, telemetry: FakeTelemetry) -> None:
    stage.runtime.behaviours["a"] = failing("no")
    agents = {"a": {"agent_name": "First"}, "z": {"agent_name": "Second"}}
    stage.start(stage.define({"a": ""}, agents=agents, actions={"a": {"fallback": "z"}}))
    stage.drain()
    assert [(each.agent_uuid, each.agent_name, each.status) for each in telemetry.attempts] == [
        ("a", "First", "failed"),
        ("z", "Second", "completed"),
    ]


def test_what_a_client_writes_as_the_run_of_an_attempt_harms_nothing(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    (run,), agent = stage.runs(session.session_uuid), stage.agent(session.session_uuid, "a")
    strange = {"status": "failed", "attempt": "one", "started_at": 7, "usage": [], "tool_calls": 3}
    run.async_task = strange
    telemetry.attempts.clear()
    traces.recorded_attempt(stage.app, agent, run)
    run.async_task = "a text"
    traces.recorded_attempt(stage.app, agent, run)
    (found,) = telemetry.attempts
    assert (found.status, found.attempt, found.usage, found.tool_calls) == ("failed", 1, {}, ())


def test_what_is_stored_already_is_not_exported_again(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    agent = stage.agent(session.session_uuid, "a")
    telemetry.attempts.clear()
    telemetry.sessions.clear()
    sinks.finish_sink(stage.app, agent)  # as a worker does that takes over before it is sure
    runs.record_lost(stage.app, agent, 1, agent.run_uuid)
    runs.record_lost(stage.app, agent, 2, new_uuid(stage.clock.now()))
    assert seen(telemetry) == [("a", 2, "lost", "lost")]
    assert telemetry.sessions == []


def test_an_attempt_that_asks_a_person_is_exported_and_so_is_the_one_that_goes_on(
    stage: Stage, telemetry: FakeTelemetry
) -> None:
    call = {"name": "pay", "outcome": "asked"}

    def ask_first(request: AgentRequest) -> AgentResult:
        if request.resumed is None:
            question = AgentQuestion("May I pay?", None, {})
            return AgentResult("", {"input_tokens": 3}, question=question, tool_calls=[call])
        return AgentResult("paid")

    stage.runtime.behaviours["a"] = ask_first
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    key = session.session_uuid, stage.agent(session.session_uuid, "a").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, *key, "yes")
    stage.drain()
    check_redelivery_changes_nothing(stage, session)
    assert [(each.attempt, each.status, each.waited_for_person) for each in telemetry.attempts] == [
        (1, "asked", False),
        (2, "completed", True),
    ]
    assert telemetry.attempts[0].usage == {"input_tokens": 3}
    assert [each["name"] for each in telemetry.attempts[0].tool_calls] == ["pay"]
