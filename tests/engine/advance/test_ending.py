"""How sessions end, what late results change (nothing), and what a person's writes mean."""

from threading import Event, Thread
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session, SessionAgent
from benchmarks.harness.api import Api
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}
END = """mutation($c: String!, $s: String!, $status: String!) {
  insertUpdateSession(coordinationUuid: $c, sessionUuid: $s, status: $status, updatedBy: "ann") {
    session { status } } }"""
END_AGENT = """mutation($s: String!, $a: String!, $state: String!) {
  insertUpdateSessionAgent(sessionUuid: $s, sessionAgentUuid: $a, state: $state, updatedBy: "ann") {
    sessionAgent { state } } }"""


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def details(stage: Stage, session: Session) -> list[tuple[str, int, str]]:
    """Agent, attempt and outcome of every run."""
    return sorted(
        (run.agent_uuid, run.async_task["attempt"], run.async_task["status"])
        for run in stage.runs(session.session_uuid)
    )


# Ends


def test_a_session_ends_when_its_last_sink_does(stage: Stage) -> None:
    session = stage.start(
        stage.define(
            {"a": "", "b": "a", "c": "a", "e": "c"}, actions={"b": {"user_in_the_loop": "x"}}
        )
    )
    stage.drain()
    assert (stage.status(session), stage.session(session).open_sink_count) == ("in_progress", 1)
    assert stage.session(session).open_sinks == {1}


def test_a_failure_skips_what_nobody_claimed_and_keeps_what_is_done(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = failing("the source is closed")
    session = stage.start(stage.define(DIAMOND, agents={"b": {"agent_name": "Reader"}}))
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.session(session).logs == "Agent Reader failed: the source is closed"
    assert stage.agent(session.session_uuid, "b").notes == "the source is closed"
    assert stage.states(session.session_uuid)["d"] == "skipped"
    assert details(stage, session)[:2] == [("a", 1, "completed"), ("b", 1, "failed")]


def test_a_failed_session_stays_failed_when_another_branch_completes_later(stage: Stage) -> None:
    def wait(request: AgentRequest) -> str:
        stage.drain()  # the other branch fails meanwhile
        return "done"

    stage.runtime.behaviours.update({"a": wait, "b": failing("no")})
    session = stage.start(
        stage.define({"a": "", "b": ""}, subtasks=[{"agent_uuid": "a"}, {"agent_uuid": "b"}])
    )
    stage.drain()
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "failed"}
    check_promises(stage, session, status="failed")


# Late results


def lose_the_lease(stage: Stage, *, answer: str = "late") -> Any:
    """A behaviour whose first attempt is slower than its lease, so that its message's next delivery
    takes over.
    """

    def slow(request: AgentRequest) -> str:
        if request.attempt > 1:
            return "in time"
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        run_step(stage.app, stage.queue.sent[0])
        return answer

    return slow


def test_a_late_result_of_an_attempt_that_was_taken_over_changes_nothing(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lose_the_lease(stage)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    check_promises(stage, session)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.attempt, agent.agent_output) == (2, "in time")
    assert stage.runtime.ran() == ["a", "a", "b"]
    assert details(stage, session) == [
        ("a", 1, "lost"),
        ("a", 2, "completed"),
        ("b", 1, "completed"),
    ]


def test_a_late_result_is_recorded_while_the_attempt_that_took_over_still_runs(
    stage: Stage,
) -> None:
    second_begun, first_ended = Event(), Event()
    others: list[Thread] = []

    def slow(request: AgentRequest) -> str:
        if request.attempt > 1:
            second_begun.set()
            assert first_ended.wait(10)
            return "in time"
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        others.append(Thread(target=run_step, args=(stage.app, stage.queue.sent[0])))
        others[0].start()
        assert second_begun.wait(10)
        return "late"

    stage.runtime.behaviours["a"] = slow
    session = stage.start(stage.define({"a": ""}))
    run_step(stage.app, stage.queue.sent[0])
    first_ended.set()
    others[0].join()
    stage.drain()
    check_promises(stage, session)
    assert details(stage, session) == [("a", 1, "completed"), ("a", 2, "completed")]
    assert stage.agent(session.session_uuid, "a").agent_output == "in time"


def test_a_late_failure_of_an_attempt_that_was_taken_over_does_not_fail_the_session(
    stage: Stage,
) -> None:
    def late(request: AgentRequest) -> str:
        output: str = lose_the_lease(stage)(request)
        return output if request.attempt > 1 else failing("too slow")(request)

    stage.runtime.behaviours["a"] = late
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    check_promises(stage, session)
    assert details(stage, session) == [
        ("a", 1, "lost"),
        ("a", 2, "completed"),
        ("b", 1, "completed"),
    ]


def test_a_late_result_that_nobody_has_taken_over_counts(stage: Stage) -> None:
    def slow(request: AgentRequest) -> str:
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        return "late"

    stage.runtime.behaviours["a"] = slow
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").agent_output == "late"


def test_a_run_of_every_attempt_is_kept_when_one_worker_after_the_other_dies(stage: Stage) -> None:
    def die(request: AgentRequest) -> str:
        if request.attempt < 4:
            raise Crash
        return "at last"

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    check_promises(stage, session)
    lost = [("a", attempt, "lost") for attempt in (1, 2, 3)]
    assert details(stage, session) == [*lost, ("a", 4, "completed")]


# A person ends it


def test_a_session_that_is_cancelled_by_hand_cancels_what_waits(stage: Stage, api: Api) -> None:
    session = stage.start(stage.define(DIAMOND, actions={"b": {"user_in_the_loop": "ann"}}))
    stage.drain()
    api.data(END, c=session.coordination_uuid, s=session.session_uuid, status="cancelled")
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "cancelled",
        "c": "completed",
        "d": "cancelled",
    }
    check_promises(stage, session, status="cancelled")


def test_results_after_the_cancellation_change_nothing_else(stage: Stage) -> None:
    def cancel(request: AgentRequest) -> str:
        control.cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
        return "late"

    stage.runtime.behaviours["a"] = cancel
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    stage.drain()
    check_promises(stage, session, status="cancelled")
    assert stage.runtime.ran() == ["a"]
    states = stage.states(session.session_uuid)
    assert states == {"a": "cancelled", "b": "cancelled", "c": "cancelled"}
    assert details(stage, session) == [("a", 1, "completed")]
    check_redelivery_changes_nothing(stage, session)


def test_a_session_that_was_cancelled_before_it_began_runs_nothing(stage: Stage, api: Api) -> None:
    session = stage.start(stage.define(DIAMOND))
    api.data(END, c=session.coordination_uuid, s=session.session_uuid, status="cancelled")
    stage.drain()
    assert stage.runtime.requests == []
    check_promises(stage, session, status="cancelled")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout"])
def test_a_terminal_status_never_changes(stage: Stage, api: Api, status: str) -> None:
    session = stage.start(stage.define({"a": ""}))
    names = {"c": session.coordination_uuid, "s": session.session_uuid}
    api.data(END, **names, status=status)
    for other in {"completed", "failed", "cancelled", "in_progress"} - {status}:
        assert api.code(END, **names, status=other) == "CONFLICT"
    stage.drain()
    assert stage.session(session).status == status


def test_an_agent_that_a_person_completed_hands_on(stage: Stage, api: Api) -> None:
    session = stage.start(stage.define(DIAMOND, actions={"b": {"user_in_the_loop": "ann"}}))
    stage.drain()
    waiting: SessionAgent = stage.agent(session.session_uuid, "b")
    api.data(END_AGENT, s=session.session_uuid, a=waiting.session_agent_uuid, state="completed")
    # the API's own message is on SQS
    control.agent_ended(stage.app, stage.agent(session.session_uuid, "b"))
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "c", "d"]


@pytest.mark.parametrize("state", ["initial", "pending", "executing", "wait_for_user_input"])
def test_a_person_cannot_move_an_agent_of_the_engine(stage: Stage, api: Api, state: str) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    before = stage.everything(session)
    for each in stage.agents(session.session_uuid):
        assert (
            api.code(END_AGENT, s=session.session_uuid, a=each.session_agent_uuid, state=state)
            == "CONFLICT"
        )
    assert stage.everything(session) == before


# A crash of what a person's write sets off


def test_ending_a_session_may_be_repeated_when_it_died_on_the_way(app: App) -> None:
    stage = stage_of(app)
    for point in range(1, 8):
        session = stage.start(stage.define(DIAMOND, actions={"b": {"user_in_the_loop": "ann"}}))
        stage.drain()
        with tripping(stage, point):
            stage.until_it_succeeds(
                lambda: control.session_ended(stage.app, stage.session(session))  # noqa: B023
            )  # noqa: B023, RUF100
        assert (
            stage.states(session.session_uuid)["b"]
            == stage.states(session.session_uuid)["d"]
            == "skipped"
        )


def test_a_message_of_another_tenant_or_of_nobody_changes_nothing(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    (wake,) = stage.queue.sent
    before = stage.everything(session)
    run_step(stage.app, type(wake)("other", wake.session_uuid, wake.session_agent_uuid))
    run_step(stage.app, type(wake)(TENANT, wake.session_uuid, "nobody"))
    assert stage.everything(session) == before
    assert stage.runtime.requests == []
