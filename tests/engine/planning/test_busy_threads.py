"""A question that comes while the last one on its thread is still being answered."""

import json
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.api import resources
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.ask import Asked, Question, ask
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.records.entities import SESSION
from tests.kit.by_hand import written
from tests.kit.controls import pause, resume
from tests.kit.crashes import Turns
from tests.kit.fakes import failing
from tests.kit.stage import TENANT, Stage, stage_of

KINDS = {"desk": {"agent_type": "triage"}, "bills": {}, "tech": {}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, wants_thread=True)


@pytest.fixture
def coordination(stage: Stage) -> str:
    return stage.define(dict.fromkeys(KINDS, ""), agents=KINDS)[0]


def choose(agent: str, query: str = "") -> str:
    return json.dumps({"agent": agent, "reason": "because", "query": query})


def put(stage: Stage, coordination: str, query: str, on: Asked | None = None, **more: Any) -> Asked:
    given = {"session_uuid": on.session_uuid, "thread_uuid": on.thread_uuid} if on else {}
    return ask(stage.app, TENANT, Question(coordination, query, **{**given, **more}))


def said(stage: Stage, asked: Asked) -> list[tuple[str, str]]:
    return [(each.agent_uuid, each.state) for each in stage.agents(asked.session_uuid)]


def heard(request: AgentRequest) -> list[str]:
    return [each.content for each in request.thread]


def test_by_default_it_waits_and_hears_the_answer(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    second = put(stage, coordination, "two", first, agent_uuid="tech")
    third = put(stage, coordination, "three", first, agent_uuid="tech", when_busy="enqueue")
    assert {each.session_agent_uuid for each in stage.queue.sent} == {first.session_agent_uuid}
    assert [each.in_degree for each in stage.agents(first.session_uuid)] == [0, 1, 1]
    stage.drain()
    assert [heard(each) for each in stage.runtime.requests] == [
        [],
        ["one", "BILLS"],
        ["one", "BILLS", "two", "TECH"],
    ]
    runs = {run.session_agent_uuid: run.run_uuid for run in stage.runs(first.session_uuid)}
    assert runs == {each.session_agent_uuid: each.run_uuid for each in (first, second, third)}


def test_it_waits_for_whoever_goes_on_and_goes_on_with_them(
    stage: Stage, coordination: str
) -> None:
    """It was asked before anybody knew who that would be."""
    late: list[Asked] = []

    def desk(request: AgentRequest) -> str:
        late.append(put(stage, coordination, "two", first))
        return choose("bills", "q1")

    def bills(request: AgentRequest) -> str:
        if len(late) < 2:
            late.append(put(stage, coordination, "three", first))
        return request.query.upper()

    stage.runtime.behaviours |= {"desk": desk, "bills": bills}
    first = put(stage, coordination, "one")
    stage.drain()
    assert said(stage, first) == [
        ("desk", "completed"),
        ("bills", "completed"),
        ("desk", "completed"),
        ("bills", "completed"),
        ("desk", "completed"),
        ("bills", "completed"),
    ]
    assert [(each.agent_uuid, heard(each), each.input) for each in stage.runtime.requests] == [
        ("desk", [], "one"),
        ("bills", [], "q1"),
        ("bills", ["one", "Q1"], "two"),
        ("bills", ["one", "Q1", "two", "TWO"], "three"),
    ]
    choices = [
        run.async_task["choice"]["reason"]
        for run in sorted(stage.runs(first.session_uuid), key=lambda run: run.run_uuid)
        if run.agent_uuid == "desk"
    ]
    assert sorted(choices) == ["It answered last on this thread."] * 2 + ["because"]


def test_a_long_question_waits_like_a_short_one(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = lambda request: choose("bills")
    long = "e" * 3_000_000
    first = put(stage, coordination, "1")
    put(stage, coordination, long, first)
    stage.drain()
    asked = [(each.agent_uuid, each.query) for each in stage.runtime.requests]
    assert asked == [("desk", "1"), ("bills", "1"), ("bills", long)]


def test_after_a_failure_it_begins_and_the_router_chooses(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours |= {
        "desk": lambda request: choose("bills" if request.query == "one" else "tech"),
        "bills": failing("no"),
    }
    first = put(stage, coordination, "one")
    put(stage, coordination, "two", first)
    stage.drain()
    assert said(stage, first) == [
        ("desk", "completed"),
        ("bills", "failed"),
        ("desk", "completed"),
        ("tech", "completed"),
    ]
    assert heard(stage.runtime.requests[-1]) == []


def test_it_waits_for_a_question_in_the_inbox(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = lambda request: choose(
        "none" if request.user_input else "ask_user", "Which?"
    )
    first = put(stage, coordination, "one")
    stage.drain()
    put(stage, coordination, "two", first, agent_uuid="bills")
    stage.drain()
    assert [each[1] for each in said(stage, first)][-1] == "initial"
    waiting = stage.agents(first.session_uuid)[1]
    execute_for_user_input(stage.app, TENANT, first.session_uuid, waiting.session_agent_uuid, "x")
    stage.drain()
    assert [each[1] for each in said(stage, first)] == ["completed"] * 3


def test_other_threads_do_not_wait(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    put(stage, coordination, "two", session_uuid=first.session_uuid, agent_uuid="bills")
    put(stage, coordination, "x", first, thread_uuid="other", when_busy="reject")
    assert [each.in_degree for each in stage.agents(first.session_uuid)] == [0, 0, 0]


def test_reject_refuses_and_writes_nothing(stage: Stage, coordination: str) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    for state in ("initial", "executing"):
        if state == "executing":
            stage.runtime.behaviours["bills"] = lambda request: refused() or "ok"

        def refused() -> None:
            with pytest.raises(Conflict, match="still being answered"):
                put(stage, coordination, "two", first, when_busy="reject")

        if state == "initial":
            refused()
    stage.drain()
    assert said(stage, first) == [("bills", "completed")]
    put(stage, coordination, "two", first, when_busy="reject")
    assert len(said(stage, first)) == 2


@pytest.mark.parametrize("when_busy", ["", "wait", "ENQUEUE"])
def test_another_word_is_refused(stage: Stage, coordination: str, when_busy: str) -> None:
    with pytest.raises(BadUserInput, match="whenBusy must be one of enqueue, reject, interrupt"):
        put(stage, coordination, "one", when_busy=when_busy)


def test_interrupt_cancels_what_is_open_and_late_answers_change_nothing(
    stage: Stage, coordination: str
) -> None:
    late: list[Asked] = []

    def bills(request: AgentRequest) -> str:
        if not late:
            put(stage, coordination, "two", first)
            late.append(put(stage, coordination, "three", first, when_busy="interrupt"))
        return request.query.upper()

    stage.runtime.behaviours |= {"desk": lambda request: choose("bills", "q"), "bills": bills}
    first = put(stage, coordination, "one")
    stage.drain()
    assert said(stage, first) == [
        ("desk", "completed"),
        ("bills", "cancelled"),
        ("desk", "cancelled"),
        ("desk", "completed"),
        ("bills", "completed"),
    ]
    cancelled = stage.agents(first.session_uuid)[1]
    assert cancelled.notes == "A later question on its thread interrupted it."
    assert (cancelled.agent_output, cancelled.lease_until) == (None, None)
    attempts = [run.async_task["status"] for run in stage.runs(first.session_uuid)]
    assert attempts == ["completed"] * 4
    assert heard(stage.runtime.requests[-1]) == []


def test_interrupt_leaves_other_threads_and_finished_questions_alone(
    stage: Stage, coordination: str
) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    stage.drain()
    other = put(stage, coordination, "x", session_uuid=first.session_uuid, agent_uuid="bills")
    put(stage, coordination, "two", first, agent_uuid="tech", when_busy="interrupt")
    stage.drain()
    assert said(stage, other) == [
        ("bills", "completed"),
        ("bills", "completed"),
        ("tech", "completed"),
    ]


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_interrupting_a_router_that_has_just_chosen_leaves_nobody_behind(
    stage: Stage, coordination: str
) -> None:
    """Between its end and the writing of who goes on."""
    stage.runtime.behaviours["desk"] = lambda request: choose("bills", "q")
    first = put(stage, coordination, "one")
    done = []

    def reach(name: str) -> None:
        agents = stage.agents(first.session_uuid)
        if not done and agents[0].state == "completed" and len(agents) == 1:
            done.append(name)
            put(stage, coordination, "two", first, agent_uuid="tech", when_busy="interrupt")

    stage.boundary.reach = reach
    stage.drain()
    stage.boundary.reach = lambda name: None
    stage.drain()
    assert said(stage, first) == [
        ("desk", "completed"),
        ("bills", "cancelled"),
        ("tech", "completed"),
    ]


def test_a_question_that_is_ended_by_hand_lets_the_next_begin(
    stage: Stage, coordination: str
) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    put(stage, coordination, "two", first, agent_uuid="tech")
    stage.queue.waiting.clear()
    key = {"session_uuid": first.session_uuid, "session_agent_uuid": first.session_agent_uuid}
    written(stage, resources.SESSION_AGENT, **key, state="cancelled", updated_by="me")
    stage.drain()
    assert said(stage, first) == [("bills", "cancelled"), ("tech", "completed")]


def test_a_waiting_question_is_paused_with_its_session(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = lambda request: choose("bills", "q")
    first = put(stage, coordination, "one")
    put(stage, coordination, "two", first, agent_uuid="tech")
    session = stage.looking.get(SESSION, TENANT, (coordination, first.session_uuid))
    assert session is not None
    pause(stage, session)
    stage.drain()
    assert [each[1] for each in said(stage, first)] == ["initial", "initial"]
    resume(stage, session)
    stage.drain()
    assert [each[1] for each in said(stage, first)] == ["completed"] * 3


@pytest.mark.parametrize("seed", range(6))
def test_questions_that_come_at_once_are_answered_one_after_the_other(
    stage: Stage, coordination: str, seed: int
) -> None:
    first = put(stage, coordination, "one", agent_uuid="bills")
    running: list[str] = []
    most = [0]

    def bills(request: AgentRequest) -> str:
        running.append(request.query)
        most[0] = max(most[0], len(running))
        turns.pause()
        running.remove(request.query)
        return "ok"

    stage.runtime.behaviours["bills"] = bills
    turns = Turns(Random(seed))
    stage.boundary.reach = lambda name: turns.pause()

    def work() -> None:
        while delivery := stage.queue.receive():
            run_step(stage.app, delivery.wake)
            stage.queue.delete(delivery)

    questions = [
        lambda number=number: put(stage, coordination, f"q{number}", first, agent_uuid="bills")
        for number in range(3)
    ]
    turns.run([*questions, work, work])
    stage.boundary.reach = lambda name: None
    stage.drain()
    assert {each[1] for each in said(stage, first)} == {"completed"}
    assert (most, len(said(stage, first))) == ([1], 4)
