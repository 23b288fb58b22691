"""A person's answer has a form and a time: a schema, a default, an expiry. Waiting costs
nothing.
"""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.control.controls import pause_session, resume_session
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import tripping
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import at_point, work_now

EVERY = 1 if os.environ.get("CI") else 3  # crash points: every one in CI, every third elsewhere
GRAPH = {"a": "", "b": "a", "c": "a", "d": "bc"}
COLOURS = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def waiting(stage: Stage, graph: Mapping[str, str] = GRAPH, **action: Any) -> Session:
    """A session whose agent `b` waits for Ann, by an action with these rules."""
    session = stage.start(stage.define(graph, actions={"b": {"user_in_the_loop": "ann", **action}}))
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").state == "wait_for_user_input"
    return session


def answer(stage: Stage, session: Session, text: str) -> None:
    uuid = stage.agent(session.session_uuid, "b").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, text)


def test_a_waiting_agent_is_in_the_inbox_of_its_tenant_until_it_is_answered(stage: Stage) -> None:
    session = waiting(stage)
    agent = stage.agent(session.session_uuid, "b")
    assert agent.inbox == TENANT
    assert agent.waits_since == f"2026-11-02T09:00:00.000000+00:00#{agent.session_agent_uuid}"
    answer(stage, session, "blue")
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.inbox, agent.waits_since, agent.due_at, agent.awaits_user) == (
        None,
        None,
        None,
        None,
    )


def test_waiting_makes_no_call_and_holds_no_message(stage: Stage) -> None:
    waiting(stage)
    assert stage.queue.waiting == []
    before = stage.requests.copy()
    stage.clock.advance(86_400)
    stage.drain()
    assert stage.requests == before


# A schema


def test_an_answer_that_breaks_the_schema_is_refused_and_the_agent_waits_on(stage: Stage) -> None:
    session = waiting(stage, answer_schema=COLOURS)
    before = stage.everything(session)
    for text in ("blue", "{}", '{"colour": "green"}'):
        with pytest.raises(BadUserInput):
            answer(stage, session, text)
    assert stage.everything(session) == before
    assert stage.queue.waiting == []


def test_an_answer_that_keeps_the_schema_resumes_the_agent_and_may_be_repeated(
    stage: Stage,
) -> None:
    session = waiting(stage, answer_schema=COLOURS)
    answer(stage, session, '{"colour": "blue"}')
    stage.drain()
    answer(stage, session, '{"colour": "blue"}')
    check_promises(stage, session)
    assert stage.runtime.requests[2].user_input == '{"colour": "blue"}'
    with pytest.raises(Conflict):
        answer(stage, session, "no colour at all")


# An expiry


def test_a_short_wait_ends_by_a_delayed_message_with_the_default_answer(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=600, default_answer="grey")
    assert stage.agent(session.session_uuid, "b").due_at == stage.clock.now().timestamp() + 600
    assert stage.queue.next_visible_in() == 600
    stage.clock.advance(599)
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").state == "wait_for_user_input"
    stage.clock.advance(1)
    work_now(stage)
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").user_input == "grey"
    assert stage.runtime.requests[2].user_input == "grey"
    check_redelivery_changes_nothing(stage, session)


def test_a_long_wait_holds_no_message_and_the_sweep_looks_when_it_ends(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=7200, default_answer="grey")
    assert stage.queue.waiting == []
    due_at = stage.agent(session.session_uuid, "b").due_at
    watch_at: Any = stage.session(session).watch_at
    assert watch_at <= due_at == stage.clock.now().timestamp() + 7200
    stage.clock.advance(7200)
    run_step(stage.app, wake(stage.agent(session.session_uuid, "b")))
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.requests[2].user_input == "grey"


def test_without_a_default_the_agent_fails_and_its_session_with_it(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=60)
    stage.drain()
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "failed",
        "c": "completed",
        "d": "skipped",
    }
    agent = stage.agent(session.session_uuid, "b")
    assert agent.notes == "No answer came within 60 seconds."
    assert (agent.inbox, agent.waits_since, agent.due_at) == (None, None, None)
    assert stage.session(session).logs == "Agent b failed: No answer came within 60 seconds."
    check_promises(stage, session, status="failed")
    check_redelivery_changes_nothing(stage, session)
    with pytest.raises(Conflict, match="its state is failed"):
        answer(stage, session, "blue")


def test_a_join_that_tolerates_failures_goes_on_after_the_wait_is_over(stage: Stage) -> None:
    actions = {
        "b": {"user_in_the_loop": "ann", "answer_within_seconds": 60},
        "d": {"join": "all_terminal"},
    }
    session = stage.start(stage.define(GRAPH, actions=actions))
    stage.drain()
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "failed",
        "c": "completed",
        "d": "completed",
    }
    assert stage.session(session).status == "completed"


def test_an_answer_in_time_is_not_overwritten_by_the_default(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=60, default_answer="grey")
    answer(stage, session, "blue")
    stage.drain()
    check_promises(stage, session)
    assert [each.user_input for each in stage.runtime.requests].count("blue") == 1
    assert stage.agent(session.session_uuid, "b").user_input == "blue"


def test_an_answer_after_the_time_counts_until_somebody_has_looked(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=60, default_answer="grey")
    stage.clock.advance(61)
    answer(stage, session, "blue")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").user_input == "blue"


def test_an_answer_whose_sender_died_is_carried_on_when_the_time_is_over(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=60, default_answer="grey")
    with tripping(stage, 7), pytest.raises(BaseException, match="send"):
        answer(stage, session, "blue")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").user_input == "blue"


@pytest.mark.parametrize(
    ("rules", "status"),
    [({"default_answer": "grey"}, "completed"), ({}, "failed")],
    ids=["default", "failure"],
)
def test_the_end_of_a_wait_may_die_at_any_point(
    app: App, rules: Mapping[str, Any], status: str
) -> None:
    stage = stage_of(app)
    graph = {"a": "", "b": "a", "c": "b"}
    action = {"user_in_the_loop": "ann", "answer_within_seconds": 60, **rules}
    names = stage.define(graph, actions={"b": action})
    point = 1
    while True:
        stage.renew()
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            stage.drain()
        check_promises(stage, session, status=status)
        check_redelivery_changes_nothing(stage, session)
        assert stage.runtime.ran().count("b") <= 1 + tripwire.trips
        if not tripwire.trips:
            break
        point += EVERY
    assert point > 20


def test_a_paused_session_takes_the_answer_and_goes_on_later(stage: Stage) -> None:
    session = waiting(stage)
    key = session.key
    pause_session(stage.app, TENANT, *key)
    answer(stage, session, "blue")
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").state == "pending"
    assert stage.runtime.ran() == ["a", "c"]
    resume_session(stage.app, TENANT, *key)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.requests[2].user_input == "blue"


def test_a_wait_that_runs_out_in_a_paused_session_ends_when_it_is_resumed(stage: Stage) -> None:
    session = waiting(stage, answer_within_seconds=60, default_answer="grey")
    key = session.key
    pause_session(stage.app, TENANT, *key)
    stage.clock.advance(61)
    work_now(stage)
    assert stage.agent(session.session_uuid, "b").state == "wait_for_user_input"
    resume_session(stage.app, TENANT, *key)
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").user_input == "grey"


@pytest.mark.parametrize("seconds", [60, 7200], ids=["short", "long"])
def test_the_sweep_ends_a_wait_whose_message_was_lost(stage: Stage, seconds: float) -> None:
    session = waiting(stage, answer_within_seconds=seconds, default_answer="grey")
    stage.queue.waiting.clear()
    for _ in range(20):
        stage.clock.advance(900)
        sweep(stage.app)
        work_now(stage)
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").user_input == "grey"


def test_an_answer_that_comes_while_the_wait_runs_out_counts_or_is_refused(app: App) -> None:
    stage = stage_of(app)
    action = {"user_in_the_loop": "ann", "answer_within_seconds": 60, "default_answer": "grey"}
    names = stage.define({"b": ""}, actions={"b": action})
    point, seen = 1, set()
    while True:
        stage.renew()
        session, refused = stage.start(names), list[Conflict]()
        work_now(stage)
        stage.clock.advance(60)

        def come(session: Session = session, refused: list[Conflict] = refused) -> None:
            try:
                answer(stage, session, "blue")
            except Conflict as conflict:
                refused.append(conflict)

        reached = at_point(stage, point, come)
        stage.drain()
        if not reached():
            break
        check_promises(stage, session)
        given = stage.agent(session.session_uuid, "b").user_input
        assert given == ("grey" if refused else "blue")
        assert [each.user_input for each in stage.runtime.requests] == [given]
        seen.add(given)
        point += 1
    assert seen == {"grey", "blue"}
