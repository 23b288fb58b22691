"""askOperationHub: one agent is asked, outside a task."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION
from ai_coordination_engine.engine.planning.ask import Asked, Question, ask
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from tests.kit.controls import cancel, pause, put_right, resume
from tests.kit.crashes import Crash, Turns, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

AGENTS = {"desk": "", "task": "", "other": ""}
KINDS = {"desk": {"agent_name": "Desk"}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, wants_thread=True)


@pytest.fixture
def coordination(stage: Stage) -> str:
    return stage.define(AGENTS, agents=KINDS)[0]


def put(stage: Stage, coordination: str, query: str, **more: Any) -> Asked:
    return ask(stage.app, TENANT, Question(coordination, query, **more))


def heard(stage: Stage) -> list[list[str]]:
    return [[message.content for message in request.thread] for request in stage.runtime.requests]


def test_a_triage_agent_alone_answers_and_its_run_has_the_promised_uuid(stage: Stage) -> None:
    desk = {"agent_type": "triage", "agent_name": "Desk"}
    coordination = stage.define({"desk": ""}, agents={"desk": desk})[0]
    asked = put(stage, coordination, "What time is it?", user_id="ann")
    assert asked.agent_uuid == "desk"
    stage.drain()
    (run,) = stage.runs(asked.session_uuid)
    assert (run.run_uuid, run.thread_uuid, run.agent_uuid) == (
        asked.run_uuid,
        asked.thread_uuid,
        "desk",
    )
    assert run.session_agent_uuid == asked.session_agent_uuid
    (agent,) = stage.agents(asked.session_uuid)
    assert (agent.state, agent.query, agent.agent_output) == (
        "completed",
        "What time is it?",
        "DESK",
    )
    session = stage.looking.get(SESSION, TENANT, (coordination, asked.session_uuid))
    assert (session.status, session.user_id, session.task_query) == (
        "active",
        "ann",
        "What time is it?",
    )
    check_redelivery_changes_nothing(stage, session)


def test_the_agent_that_is_named_is_asked(stage: Stage, coordination: str) -> None:
    assert put(stage, coordination, "you", agent_uuid="other").agent_uuid == "other"


def test_without_a_triage_agent_the_first_is_asked(stage: Stage) -> None:
    assert put(stage, stage.define({"x": "", "y": ""})[0], "who?").agent_uuid == "x"


def test_what_does_not_exist_is_not_found_and_nothing_is_written(
    stage: Stage, coordination: str
) -> None:
    with pytest.raises(NotFound):
        put(stage, "nowhere", "?")
    with pytest.raises(NotFound):
        put(stage, coordination, "?", agent_uuid="nobody")
    with pytest.raises(NotFound):
        put(stage, coordination, "?", session_uuid="none")
    with pytest.raises(NotFound):
        ask(stage.app, "other", Question(coordination, "?"))
    with pytest.raises(BadUserInput):
        put(stage, coordination, " ")
    assert list(stage.looking.table(SESSION).query_all(TENANT, coordination)) == []
    assert stage.queue.sent == []


def test_a_thread_goes_on_from_question_to_question(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    second = put(
        stage, coordination, "two", session_uuid=first.session_uuid, thread_uuid=first.thread_uuid
    )
    stage.drain()
    third = put(
        stage, coordination, "three", session_uuid=first.session_uuid, thread_uuid=first.thread_uuid
    )
    stage.drain()
    assert first.thread_uuid == second.thread_uuid == third.thread_uuid
    assert heard(stage) == [[], ["one", "DESK"], ["one", "DESK", "two", "DESK"]]


def test_a_question_that_names_no_thread_opens_one(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    second = put(stage, coordination, "two", session_uuid=first.session_uuid)
    stage.drain()
    assert second.thread_uuid != first.thread_uuid
    assert heard(stage) == [[], []]


def test_a_thread_ends_when_its_life_is_over(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    place = {
        "session_uuid": first.session_uuid,
        "thread_uuid": first.thread_uuid,
        "thread_life_minutes": 10,
    }
    stage.clock.advance(599)
    second = put(stage, coordination, "two", **place)
    stage.drain()
    stage.clock.advance(601)
    third = put(stage, coordination, "three", **place)
    stage.drain()
    assert second.thread_uuid == first.thread_uuid
    assert third.thread_uuid != first.thread_uuid
    assert heard(stage) == [[], ["one", "DESK"], []]


def test_a_question_before_the_answer_to_the_last_stays_on_its_thread(
    stage: Stage, coordination: str
) -> None:
    first = put(stage, coordination, "one")
    second = put(
        stage, coordination, "two", session_uuid=first.session_uuid, thread_uuid=first.thread_uuid
    )
    stage.drain()
    third = put(
        stage, coordination, "three", session_uuid=first.session_uuid, thread_uuid=first.thread_uuid
    )
    stage.drain()
    assert first.thread_uuid == second.thread_uuid == third.thread_uuid
    assert heard(stage)[2] == ["one", "DESK", "two", "DESK"]


def test_a_question_that_failed_does_not_end_its_thread(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = failing("not now")
    first = put(stage, coordination, "one")
    stage.drain()
    stage.runtime.behaviours.clear()
    second = put(
        stage, coordination, "two", session_uuid=first.session_uuid, thread_uuid=first.thread_uuid
    )
    stage.drain()
    assert second.thread_uuid == first.thread_uuid
    assert heard(stage) == [[], []]
    assert [each.state for each in stage.agents(first.session_uuid)] == ["failed", "completed"]
    session = stage.looking.get(SESSION, TENANT, (coordination, first.session_uuid))
    assert session.status == "active"


@pytest.mark.parametrize("seed", range(5))
def test_concurrent_questions_get_different_ordinals(
    stage: Stage, coordination: str, seed: int
) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    turns = Turns(Random(seed))
    stage.boundary.reach = lambda name: turns.pause()
    asked: list[Asked] = []
    questions = [
        lambda number=number: asked.append(
            put(stage, coordination, f"q{number}", session_uuid=first.session_uuid)
        )
        for number in range(4)
    ]
    turns.run(questions)
    stage.boundary.reach = lambda name: None
    stage.drain()
    agents = stage.agents(first.session_uuid)
    assert [each.ordinal for each in agents] == [FIRST_QUESTION + each for each in range(5)]
    assert {each.state for each in agents} == {"completed"}
    assert sorted(run.run_uuid for run in stage.runs(first.session_uuid)) == sorted(
        [first.run_uuid, *(each.run_uuid for each in asked)]
    )


def test_a_worker_that_dies_leaves_the_promised_run_lost_and_the_next_attempt_one_of_its_own(
    stage: Stage, coordination: str
) -> None:
    point = 1
    while True:
        asked = put(stage, coordination, "one")
        with tripping(stage, point) as tripwire:
            stage.drain()
        (agent,) = stage.agents(asked.session_uuid)
        runs = stage.runs(asked.session_uuid)
        assert agent.state == "completed"
        assert sorted(run.async_task["attempt"] for run in runs) == list(
            range(1, agent.attempt + 1)
        )
        assert {run.async_task["attempt"]: run.run_uuid for run in runs}[1] == asked.run_uuid
        if not tripwire.trips:
            return
        point += 1


def test_the_promised_run_outlives_the_message_that_was_sent_with_it(
    stage: Stage, coordination: str
) -> None:
    """Paused before it began, and resumed, which sends another message; or found again after a
    disaster.
    """
    for act in (
        lambda session: (pause(stage, session), resume(stage, session)),
        partial(put_right, stage),
    ):
        asked = put(stage, coordination, "one")
        stage.queue.waiting.clear()
        act(stage.looking.get(SESSION, TENANT, (coordination, asked.session_uuid)))
        stage.drain()
        (run,) = stage.runs(asked.session_uuid)
        assert run.run_uuid == asked.run_uuid
        (agent,) = stage.agents(asked.session_uuid)
        assert (agent.state, agent.first_run) == ("completed", None)


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_a_question_that_is_tried_again_by_its_first_message_has_a_run_for_each_attempt(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = failing("no", times=1, retryable=True)
    asked = put(stage, coordination, "one")
    (wake,) = stage.queue.sent

    def die_at_the_next_message(name: str) -> None:
        if name == "send":
            raise Crash

    stage.boundary.reach = die_at_the_next_message
    with pytest.raises(Crash):
        run_step(stage.app, wake)
    stage.boundary.reach = lambda name: None
    stage.clock.advance(60)
    run_step(stage.app, wake)
    (agent,) = stage.agents(asked.session_uuid)
    assert (agent.state, agent.attempt) == ("completed", 2)
    runs = {run.async_task["attempt"]: run for run in stage.runs(asked.session_uuid)}
    assert {attempt: run.async_task["status"] for attempt, run in runs.items()} == {
        1: "failed",
        2: "completed",
    }
    assert runs[1].run_uuid == asked.run_uuid


def test_a_question_whose_worker_is_late_is_answered_once(stage: Stage, coordination: str) -> None:
    asked = put(stage, coordination, "one")

    def late(request: Any) -> str:
        if request.attempt == 1:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            # the message comes back while the first worker is still at it
            run_step(stage.app, stage.queue.sent[0])
        return f"answer {request.attempt}"

    stage.runtime.behaviours["desk"] = late
    stage.drain()
    (agent,) = stage.agents(asked.session_uuid)
    assert (agent.attempt, agent.agent_output) == (2, "answer 2")
    assert len(stage.runs(asked.session_uuid)) == 2
    assert len({run.run_uuid for run in stage.runs(asked.session_uuid)}) == 2


def test_a_question_in_a_session_of_a_task_does_not_change_how_it_ends(stage: Stage) -> None:
    names = stage.define({"a": "", "b": "a"})
    session = stage.start(names)
    asked = put(stage, names[0], "how is it going?", session_uuid=session.session_uuid)
    assert [each.ordinal for each in stage.agents(session.session_uuid)] == [0, 1, FIRST_QUESTION]
    assert (
        stage.looking.table(SESSION_AGENT).get(
            TENANT, (session.session_uuid, asked.session_agent_uuid)
        )
        is not None
    )
    stage.drain()
    assert stage.session(session).status == "completed"
    assert [each.state for each in stage.agents(session.session_uuid)] == ["completed"] * 3


def test_a_message_of_an_agent_at_work_is_kept(stage: Stage, coordination: str) -> None:
    put(stage, coordination, "one")
    (wake,) = stage.queue.sent

    def die(request: Any) -> str:
        raise Crash

    stage.runtime.behaviours["desk"] = die
    with pytest.raises(Crash):
        run_step(stage.app, wake)
    stage.clock.advance(1)
    with pytest.raises(Busy) as busy:
        run_step(stage.app, wake)
    assert busy.value.retry_after == stage.app.settings.lease_seconds - 1


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_cancelled_session_takes_no_question(
    stage: Stage, coordination: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    session = session_of(stage, first)
    on = {"session_uuid": first.session_uuid, "thread_uuid": first.thread_uuid}
    _controlled(stage, lambda: cancel(stage, session), when, monkeypatch)
    with pytest.raises(Conflict, match="is cancelled and takes no more questions"):
        put(stage, coordination, "two", **on)
    stage.drain()
    assert [each.query for each in stage.agents(first.session_uuid)] == ["one"]
    assert stage.runtime.ran() == ["desk"]


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_question_in_a_paused_session_waits_until_that_is_resumed(
    stage: Stage, coordination: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(stage, coordination, "one")
    stage.drain()
    session = session_of(stage, first)
    on = {"session_uuid": first.session_uuid, "thread_uuid": first.thread_uuid}
    _controlled(stage, lambda: pause(stage, session), when, monkeypatch)
    put(stage, coordination, "two", **on)
    stage.drain()
    assert stage.runtime.ran() == ["desk"]
    resume(stage, session)
    stage.drain()
    assert stage.runtime.ran() == ["desk", "desk"]
    assert [each.state for each in stage.agents(first.session_uuid)] == ["completed"] * 2


def session_of(stage: Stage, asked: Asked) -> Session:
    key = (asked.coordination_uuid, asked.session_uuid)
    found = stage.looking.get(SESSION, TENANT, key, consistent=True)
    assert isinstance(found, Session)
    return found


def _controlled(
    stage: Stage, act: Callable[[], Any], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody controls the session now, or just before the next question is written."""
    if when == "before":
        act()
        return
    reserve = stage.app.agents.reserve

    def controlled(agent: SessionAgent) -> bool:
        monkeypatch.undo()
        act()
        return reserve(agent)

    monkeypatch.setattr(type(stage.app.agents), "reserve", lambda agents, agent: controlled(agent))
