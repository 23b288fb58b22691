"""Cancelling, pausing and resuming a session, at any moment, with crashes at every point."""

import os
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import Conflict, NotFound
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.outcome import Rejected
from ai_coordination_engine.store.transitions.session_controls import KEPT_KEYS, ControlRequest
from tests.kit.controls import (
    DIAMOND,
    cancel,
    every_death,
    once,
    pause,
    put_right,
    resume,
    retry,
    sweep_after,
)
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import at_point

EVERY = 3 if os.environ.get("CI") else 9
PERSON = {"b": {"user_in_the_loop": "ann"}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def answer(stage: Stage, session: Session, agent: str = "b") -> None:
    uuid = stage.agent(session.session_uuid, agent).session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "yes")


def outcomes(stage: Stage, session: Session) -> list[tuple[str, int, str]]:
    runs: list[Any] = stage.runs(session.session_uuid)
    return sorted(
        (each.agent_uuid, each.async_task["attempt"], each.async_task["status"]) for each in runs
    )


# Cancel


def test_cancelling_ends_what_waits_and_keeps_what_is_done(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND, actions=PERSON))
    stage.drain()
    ended: Any = cancel(stage, session)
    assert (ended.status, ended.watch, ended.watch_at) == ("cancelled", None, None)
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "cancelled",
        "c": "completed",
        "d": "cancelled",
    }
    waiting: Any = stage.agent(session.session_uuid, "b")
    assert (waiting.inbox, waiting.waits_since, waiting.due_at) == (None, None, None)
    check_promises(stage, session, status="cancelled")
    check_redelivery_changes_nothing(stage, session)


def test_cancelling_again_changes_nothing_and_cancelling_what_ended_otherwise_is_refused(
    stage: Stage,
) -> None:
    session = stage.start(stage.define({"a": ""}))
    cancel(stage, session)
    before = stage.everything(session)
    cancel(stage, session)
    assert stage.everything(session) == before
    other = stage.start(stage.define({"a": ""}))
    stage.drain()
    with pytest.raises(Conflict, match="its status is completed"):
        cancel(stage, other)
    with pytest.raises(NotFound):
        cancel(stage, Session("nobody", "nothing"))


def test_a_late_result_of_a_cancelled_attempt_is_a_run_and_nothing_else(stage: Stage) -> None:
    def late(request: AgentRequest) -> str:
        cancel(stage, session)
        return "late"

    stage.runtime.behaviours["a"] = late
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    agent: Any = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.agent_output, agent.lease_until) == ("cancelled", None, None)
    assert outcomes(stage, session) == [("a", 1, "completed")]
    check_promises(stage, session, status="cancelled")
    assert stage.session(session).watch_at is not None  # the attempt was out when it was cancelled
    assert sweep_after(stage, 100) == 1
    check_redelivery_changes_nothing(stage, session)
    assert stage.session(session).watch_at is None


@pytest.mark.parametrize(
    "by_message", [True, False], ids=["its message comes again", "its message is lost"]
)
def test_an_attempt_whose_worker_died_is_recorded_as_lost_after_the_cancellation(
    stage: Stage, by_message: bool
) -> None:
    def die(request: AgentRequest) -> str:
        raise Crash

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": "", "b": "a"}))
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[0])
    cancel(stage, session)
    assert outcomes(stage, session) == []
    if by_message:
        stage.drain()
    else:
        stage.queue.waiting.clear()
        assert sweep_after(stage, stage.app.settings.lease_seconds + 2) == 1
    assert outcomes(stage, session) == [("a", 1, "lost")]
    check_promises(stage, session, status="cancelled")
    sweep_after(stage, 1000)
    assert stage.session(session).watch_at is None


def test_cancelling_may_die_anywhere_and_be_repeated(stage: Stage) -> None:
    task = stage.define(DIAMOND, actions=PERSON)

    def prepare() -> Session:
        session = stage.start(task)
        stage.drain()
        return session

    def history(session: Session) -> None:
        stage.until_it_succeeds(lambda: cancel(stage, session, "once"))
        stage.drain()

    for session in every_death(stage, prepare, history):
        check_promises(stage, session, status="cancelled")
        check_redelivery_changes_nothing(stage, session)


def test_the_sweep_finishes_a_cancellation_that_nobody_repeats(stage: Stage) -> None:
    task = stage.define(DIAMOND, actions=PERSON)
    finished = 0
    for session in every_death(
        stage,
        lambda: stage.start(task),
        lambda session: once(stage, lambda: cancel(stage, session)),
    ):
        sweep_after(stage, 61)
        if stage.session(session).status == "cancelled":
            finished += 1
        else:
            cancel(stage, session)  # it died before its write
        assert set(stage.states(session.session_uuid).values()) == {"cancelled"}
        assert stage.session(session).watch_at is None
        stage.drain()
        check_promises(stage, session, status="cancelled")
    assert finished > 10


# Pause and resume


def test_a_paused_session_begins_nothing_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    paused: Any = pause(stage, session)
    assert (paused.status, paused.paused_from, paused.watch_at) == ("paused", "dispatched", None)
    stage.drain()
    assert stage.runtime.ran() == []
    resume(stage, session)
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert [each.paused for each in stage.agents(session.session_uuid)] == [None] * 4


def test_an_attempt_that_runs_ends_while_its_session_is_paused_and_nothing_follows(
    stage: Stage,
) -> None:
    def slow(request: AgentRequest) -> str:
        pause(stage, session)
        return "done"

    stage.runtime.behaviours["a"] = slow
    session = stage.start(stage.define(DIAMOND))
    stage.drain()
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "initial",
        "c": "initial",
        "d": "initial",
    }
    assert stage.runtime.ran() == ["a"]
    resume(stage, session)
    stage.drain()
    check_promises(stage, session)


def test_an_answer_is_taken_while_the_session_is_paused_and_used_after_it(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND, actions=PERSON))
    stage.drain()
    pause(stage, session)
    answer(stage, session)
    stage.drain()
    assert stage.runtime.ran() == ["a", "c"]
    resume(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "c", "b", "d"]


def test_pausing_a_paused_and_resuming_an_open_session_change_nothing(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    pause(stage, session)
    before = stage.everything(session)
    pause(stage, session)
    assert stage.everything(session) == before
    resume(stage, session, "once")
    token = stage.session(session).control_keys
    pause(stage, session)
    resume(stage, session, "once")  # a repetition that came late: the later pause stays
    assert (stage.session(session).status, stage.session(session).control_keys) == ("paused", token)
    assert len(token or ()) == 1


def test_an_order_that_had_nothing_to_do_has_no_effect_later_either(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    resume(stage, session, "resume")
    pause(stage, session)
    resume(stage, session, "resume")
    assert stage.session(session).status == "paused"
    pause(stage, session, "pause")
    resume(stage, session)
    pause(stage, session, "pause")
    assert stage.session(session).status == "dispatched"
    cancel(stage, session)
    cancel(stage, session, "cancel")
    retry(stage, session)
    cancel(stage, session, "cancel")
    stage.drain()
    check_promises(stage, session)


def test_a_session_remembers_the_latest_orders_only(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    for number in range(2 * KEPT_KEYS + 1):
        (resume if number % 2 else pause)(stage, session, f"{number}")
    seen: Any = stage.session(session)
    assert (len(seen.control_keys), len(seen.older_control_keys)) == (1, KEPT_KEYS)
    assert seen.status == "paused"
    resume(stage, session, f"{KEPT_KEYS + 1}")
    assert stage.session(session).status == "paused"
    resume(stage, session, "1")  # too long ago: it counts as a new one
    assert stage.session(session).status == "dispatched"


def test_two_requests_at_once_forget_none_of_the_latest(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    for number in range(KEPT_KEYS):
        (resume if number % 2 else pause)(stage, session, f"{number}")
    seen = stage.session(session)
    pause(stage, session, "one")
    resumed = stage.app.sessions.resume(seen, ControlRequest.of(None, "two", "resume"), 0)
    assert isinstance(resumed, Rejected)
    resume(stage, session, "two")
    found: Any = stage.session(session)
    assert (len(found.control_keys), len(found.older_control_keys)) == (2, KEPT_KEYS)


@pytest.mark.parametrize("act", [pause, resume])
def test_what_has_ended_is_neither_paused_nor_resumed(stage: Stage, act: Any) -> None:
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    with pytest.raises(Conflict, match="its status is completed"):
        act(stage, session)


def test_a_paused_session_can_be_cancelled(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    pause(stage, session)
    cancel(stage, session)
    stage.drain()
    check_promises(stage, session, status="cancelled")
    assert stage.runtime.ran() == []


def test_pausing_and_resuming_may_die_anywhere_and_be_repeated(stage: Stage) -> None:
    task = stage.define(DIAMOND)

    def history(session: Session) -> None:
        stage.until_it_succeeds(lambda: pause(stage, session, "p"))
        stage.drain()
        assert stage.runtime.ran() == []
        stage.until_it_succeeds(lambda: resume(stage, session, "r"))
        stage.drain()

    for session in every_death(stage, lambda: stage.start(task), history, every=EVERY):
        check_promises(stage, session)
        check_redelivery_changes_nothing(stage, session)
        stage.runtime.requests.clear()


def test_an_agent_that_a_dead_pause_left_paused_is_unpaused(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    stage.app.agents.pause(stage.agent(session.session_uuid, "d"), "a pause that is over")
    stage.drain()
    assert stage.states(session.session_uuid)["d"] == "initial"
    put_right(stage, session)
    stage.drain()
    check_promises(stage, session)


def test_a_session_that_is_paused_while_its_first_agent_begins_goes_on_as_in_progress(
    stage: Stage,
) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    reached = at_point(stage, 2, lambda: pause(stage, session))
    stage.drain()
    assert reached()
    resume(stage, session)
    assert stage.status(session) == "in_progress"
    stage.drain()
    check_promises(stage, session)


def test_pausing_does_not_hide_a_failure(stage: Stage) -> None:
    def fail(request: AgentRequest) -> str:
        pause(stage, session)
        return failing("no")(request)  # type: ignore[return-value]

    stage.runtime.behaviours["a"] = fail
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    check_promises(stage, session, status="failed")
    with pytest.raises(Conflict):
        resume(stage, session)
