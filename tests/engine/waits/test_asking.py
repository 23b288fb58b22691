"""A runtime asks a person: its attempt ends, and another one goes on with the answer."""

from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.engine.advance.asking import MAX_QUESTION
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import (
    cancel_session,
    pause_session,
    resume_session,
)
from ai_coordination_engine.engine.control.restart import rerun_session_agent, retry_session
from ai_coordination_engine.engine.planning.fork import fork_session
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.runtime_ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Question,
    Resumed,
)
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import Behaviour, asking, failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

GRAPH = {"a": "", "b": "a", "c": "b"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def begin(stage: Stage, behaviour: Behaviour, **task: Any) -> Session:
    """Start a session whose agent `b` behaves so, and work until it waits."""
    stage.runtime.behaviours["b"] = behaviour
    session = stage.start(stage.define(GRAPH, **task))
    stage.drain()
    return session


def answer(stage: Stage, session: Session, text: str, question_id: str | None = None) -> None:
    uuid = stage.agent(session.session_uuid, "b").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, text, question_id)


def runs_of_b(stage: Stage, session: Session) -> list[Any]:
    """The details of the runs of `b`, by attempt."""
    runs = [each for each in stage.runs(session.session_uuid) if each.agent_uuid == "b"]
    return sorted((each.async_task for each in runs), key=lambda task: task["attempt"])


def test_an_attempt_ends_with_a_question_and_another_one_goes_on_with_the_answer(
    stage: Stage,
) -> None:
    session = begin(stage, asking("May I?"))
    waiting = stage.agent(session.session_uuid, "b")
    assert (waiting.state, waiting.attempt, waiting.run_uuid) == ("wait_for_user_input", 1, None)
    assert waiting.asks == {
        "id": stage.runtime.requests[1].run_uuid,
        "number": 1,
        "text": "May I?",
        "state": [],
    }
    assert (waiting.inbox, waiting.due_at) == (TENANT, None)
    assert stage.queue.waiting == []
    answer(stage, session, "yes")
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    first, second = stage.runtime.requests[1:3]
    assert first.resumed is None
    assert second.resumed == Resumed([], "yes")
    assert first.run_uuid != second.run_uuid
    assert first.idempotency_key != second.idempotency_key
    assert second.input == first.input == "Output of a:\nA\n\nbegin"
    assert (second.user_input, second.attempt) == (None, 2)
    after = stage.agent(session.session_uuid, "b")
    assert (after.agent_output, after.asks, after.reply) == ("yes", None, "yes")


def test_each_part_has_a_run_with_its_usage(stage: Stage) -> None:
    session = begin(stage, asking("May I?"))
    answer(stage, session, "yes")
    stage.drain()
    assert [
        (run["status"], run["attempt"], run.get("usage")) for run in runs_of_b(stage, session)
    ] == [
        ("asked", 1, {"input_tokens": 1}),
        ("completed", 2, None),
    ]


def test_several_questions_are_asked_one_after_the_other(stage: Stage) -> None:
    session = begin(stage, asking("One?", "Two?"))
    answer(stage, session, "1")
    stage.drain()
    waiting = stage.agent(session.session_uuid, "b")
    assert (waiting.asks["text"], waiting.asks["number"], waiting.reply) == ("Two?", 2, None)
    answer(stage, session, "2")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "1 2"


def test_an_agent_that_asks_for_ever_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_coordination_engine.engine.advance.asking.MAX_QUESTIONS", 2)
    session = begin(stage, lambda request: AgentResult("", question=Question("And?")))
    for _ in range(2):
        answer(stage, session, "go on")
        stage.drain()
    check_promises(stage, session, status="failed")
    failed = stage.agent(session.session_uuid, "b")
    assert failed.notes == "The agent has asked 2 questions; it may ask no more."


@pytest.mark.parametrize(
    ("question", "note"),
    [
        (Question("  "), "The question of the agent is empty."),
        (
            Question("x" * (MAX_QUESTION + 1)),
            "The question of the agent has 20001 characters; it may have 20000.",
        ),
        (
            Question("?", state=float("nan")),
            "The question of the agent cannot be asked: A value is not valid JSON: it holds a NaN,"
            " an invalid character or too many levels.",
        ),
        (
            Question("?", {"type": "nothing"}),
            "The question of the agent cannot be asked: it is not a JSON Schema: at $.type,",
        ),
    ],
)
def test_a_question_that_nobody_can_answer_fails_the_attempt(
    stage: Stage, question: Question, note: str
) -> None:
    session = begin(stage, lambda request: AgentResult("", question=question))
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "b").notes.startswith(note)
    assert stage.attempts(session)[-1] == (1, "failed", "invalid_output")


def test_an_answer_must_conform_to_the_schema_of_the_question(stage: Stage) -> None:
    schema = {"type": "object", "required": ["approved"]}
    session = begin(stage, asking("May I?", answer_schema=schema))
    before = stage.everything(session)
    with pytest.raises(BadUserInput, match="does not conform to the answerSchema"):
        answer(stage, session, "yes")
    assert stage.everything(session) == before
    answer(stage, session, '{"approved": true}')
    stage.drain()
    check_promises(stage, session)


def test_the_same_answer_again_has_no_effect_and_another_one_is_a_conflict(stage: Stage) -> None:
    session = begin(stage, asking("May I?"))
    answer(stage, session, "yes")
    answer(stage, session, "yes")
    with pytest.raises(Conflict):
        answer(stage, session, "no")
    stage.drain()
    answer(stage, session, "yes")
    with pytest.raises(Conflict):
        answer(stage, session, "no")
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "b", "c"]


def test_an_answer_that_names_its_question_is_not_taken_for_the_next_one(stage: Stage) -> None:
    session = begin(stage, asking("One?", "Two?"))
    first = stage.agent(session.session_uuid, "b").asks["id"]
    answer(stage, session, "yes", first)
    answer(stage, session, "yes", first)
    stage.drain()
    with pytest.raises(Conflict, match="asks another question by now"):
        answer(stage, session, "yes", first)
    assert stage.agent(session.session_uuid, "b").state == "wait_for_user_input"


def test_two_answers_that_were_read_together_answer_one_question(stage: Stage) -> None:
    """The second one was checked against the first question."""
    session = begin(stage, asking("One?", "Two?"))
    seen = stage.agent(session.session_uuid, "b")
    answer(stage, session, "1")
    stage.clock.advance(1)
    stage.drain()
    rejected = stage.app.agents.answer(seen, {"reply": "2"})
    assert rejected.record is not None
    assert (rejected.record.state, rejected.record.reply) == ("wait_for_user_input", None)


def test_an_agent_with_a_person_is_asked_first_and_asks_later(stage: Stage) -> None:
    actions = {"b": {"user_in_the_loop": "ann", "default_answer": "blue"}}
    session = begin(stage, asking("May I?"), actions=actions)
    answer(stage, session, "green")
    stage.drain()
    waiting = stage.agent(session.session_uuid, "b")
    assert (waiting.state, waiting.user_input) == ("wait_for_user_input", "green")
    answer(stage, session, "yes")
    stage.drain()
    check_promises(stage, session)
    after = stage.agent(session.session_uuid, "b")
    assert (after.user_input, after.reply, after.agent_output) == ("green", "yes", "yes")
    assert stage.runtime.requests[2].user_input == "green"


def test_without_an_answer_in_time_the_agent_fails_and_takes_no_default(stage: Stage) -> None:
    action = {"answer_within_seconds": 60, "default_answer": "yes"}
    session = begin(stage, asking("May I?"), actions={"b": action})
    check_promises(stage, session, status="failed")  # the clock went on to the end of the wait
    failed = stage.agent(session.session_uuid, "b")
    assert failed.notes == "No answer to its question came within 60 seconds."
    assert stage.attempts(session) == [(1, "asked", None), (1, "completed", None)]


def test_a_failure_after_the_answer_is_tried_again_with_the_same_answer(stage: Stage) -> None:
    failures = [AgentFailure("busy", retryable=True, error_class="rate_limit")]
    ask = asking("May I?")

    def behaviour(request: AgentRequest) -> Any:
        if request.resumed is not None and failures:
            raise failures.pop()
        return ask(request)

    session = begin(stage, behaviour)
    answer(stage, session, "yes")
    stage.drain()
    check_promises(stage, session)
    assert stage.attempts(session)[1:] == [
        (1, "completed", None),
        (1, "completed", None),
        (2, "failed", "rate_limit"),
        (3, "completed", None),
    ]
    second, third = stage.runtime.requests[2:4]
    assert second.resumed == third.resumed == Resumed([], "yes")
    assert second.idempotency_key == third.idempotency_key


def test_the_fallback_of_an_agent_is_not_told_the_answer(stage: Stage) -> None:
    def behaviour(request: AgentRequest) -> AgentResult:
        if request.resumed is not None:
            raise AgentFailure("no")
        return AgentResult("", question=Question("May I?"))

    stage.runtime.behaviours["spare"] = asking()
    session = begin(stage, behaviour, agents={"spare": {}}, actions={"b": {"fallback": "spare"}})
    answer(stage, session, "yes")
    stage.drain()
    assert [each.resumed for each in stage.runtime.requests if each.agent_uuid == "spare"] == [None]
    check_promises(stage, session)


def test_a_session_is_cancelled_while_its_runtime_asks(stage: Stage) -> None:
    session = begin(stage, asking("May I?"))
    cancel_session(stage.app, TENANT, *session.key, updated_by="me")
    stage.drain()
    assert stage.states(session.session_uuid)["b"] == "cancelled"
    with pytest.raises(Conflict):
        answer(stage, session, "yes")
    check_redelivery_changes_nothing(stage, session)


def test_an_answer_in_a_paused_session_counts_when_it_is_resumed(stage: Stage) -> None:
    session = begin(stage, asking("May I?"))
    pause_session(stage.app, TENANT, *session.key, updated_by="me")
    answer(stage, session, "yes")
    stage.drain()
    assert stage.states(session.session_uuid)["b"] == "pending"
    resume_session(stage.app, TENANT, *session.key, updated_by="me")
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize("answered", [False, True])
def test_an_agent_that_is_run_again_asks_again(stage: Stage, answered: bool) -> None:
    session = begin(stage, asking("May I?"))
    if answered:
        answer(stage, session, "no")
        stage.drain()
    else:
        cancel_session(stage.app, TENANT, *session.key, updated_by="me")
    uuid = stage.agent(session.session_uuid, "b").session_agent_uuid
    rerun_session_agent(stage.app, TENANT, session.session_uuid, uuid, updated_by="me")
    stage.drain()
    waiting = stage.agent(session.session_uuid, "b")
    assert (waiting.state, waiting.reply, waiting.asks["number"]) == (
        "wait_for_user_input",
        None,
        1,
    )
    answer(stage, session, "yes")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").agent_output == "yes"


def test_a_failed_session_that_is_retried_asks_again(stage: Stage) -> None:
    failures = [AgentFailure("no")]
    ask = asking("May I?")

    def behaviour(request: AgentRequest) -> Any:
        if request.resumed is not None and failures:
            raise failures.pop()
        return ask(request)

    session = begin(stage, behaviour)
    answer(stage, session, "yes")
    stage.drain()
    assert stage.status(session) == "failed"
    retry_session(stage.app, TENANT, *session.key, updated_by="me")
    stage.drain()
    assert stage.agent(session.session_uuid, "b").asks["number"] == 1
    answer(stage, session, "again")
    stage.drain()
    check_promises(stage, session)


def test_a_fork_of_a_session_that_waits_asks_for_itself(stage: Stage) -> None:
    session = begin(stage, asking("May I?"))
    fork = fork_session(stage.app, TENANT, *session.key, updated_by="me")
    stage.drain()
    answer(stage, fork, "yes")
    stage.drain()
    check_promises(stage, fork)
    assert stage.states(session.session_uuid)["b"] == "wait_for_user_input"


@pytest.mark.parametrize("died", [False, True])
def test_in_a_session_that_has_failed_meanwhile_nobody_is_asked(stage: Stage, died: bool) -> None:
    """The session fails while the attempt runs, or between its last look and its wait."""
    stage.runtime.behaviours["a"] = failing("no idea")
    session = stage.start(stage.define({"a": "", "b": ""}))
    wakes = {each.session_agent_uuid: each for each in stage.queue.sent}
    a, b = (stage.agent(session.session_uuid, each).session_agent_uuid for each in "ab")

    def behaviour(request: AgentRequest) -> AgentResult:
        if not died:
            run_step(stage.app, wakes[a])
        return AgentResult("", question=Question("May I?"))

    stage.runtime.behaviours["b"] = behaviour
    run_step(stage.app, wakes[b])
    stage.drain()
    assert stage.status(session) == "failed"
    assert stage.states(session.session_uuid)["b"] == ("skipped" if died else "failed")
    assert stage.attempts(session) == [(1, "asked", None), (1, "failed", "error")]


def test_each_element_of_a_map_asks_for_itself(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lambda request: '["x", "y"]'
    session = begin(stage, asking("May I?"), actions={"b": {"map": {"over": "a"}}})
    waiting = [
        each for each in stage.agents(session.session_uuid) if each.state == "wait_for_user_input"
    ]
    assert [each.map_ordinal for each in waiting] == [1, 1]
    for each, text in zip(waiting, ("1", "2"), strict=True):
        own = (session.session_uuid, each.session_agent_uuid)
        execute_for_user_input(stage.app, TENANT, *own, text)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.requests[-1].input == "Output of b:\n[1, 2]\n\nbegin"


def test_a_state_of_any_size_comes_back(app: App) -> None:
    stage = stage_of(app, inline_limit=200)
    state = {"messages": ["x" * 5_000]}
    seen: list[Resumed | None] = []

    def behaviour(request: AgentRequest) -> AgentResult:
        seen.append(request.resumed)
        return (
            AgentResult("done")
            if seen[1:]
            else AgentResult("", question=Question("?", None, state))
        )

    session = begin(stage, behaviour)
    answer(stage, session, "y" * 300)
    stage.drain()
    check_promises(stage, session)
    assert seen == [None, Resumed(state, "y" * 300)]


def test_tool_calls_are_kept_with_the_run_of_each_part_and_of_a_failure(stage: Stage) -> None:
    call = {"name": "search", "outcome": "completed", "duration_ms": 1.5, "arguments": {"q": "x"}}
    ask = asking("May I?")

    def behaviour(request: AgentRequest) -> AgentResult:
        if request.resumed is not None:
            raise AgentFailure("no", tool_calls=[{**call, "outcome": "failed"}])
        result = ask(request)
        assert isinstance(result, AgentResult)
        return replace(result, tool_calls=[call])

    session = begin(stage, behaviour)
    answer(stage, session, "yes")
    stage.drain()
    calls = [each["tool_calls"] for each in runs_of_b(stage, session)]
    assert calls == [[call], [{**call, "outcome": "failed"}]]


def test_without_content_only_the_names_of_tool_calls_are_kept(app: App) -> None:
    stage = stage_of(
        replace(app, settings=app.settings.model_copy(update={"record_content": False}))
    )
    call = {"name": "search", "outcome": "completed", "arguments": {"q": "x"}, "result": "y"}
    session = begin(stage, lambda request: AgentResult("b", tool_calls=[call]))
    (run,) = runs_of_b(stage, session)
    assert run["tool_calls"] == [{"name": "search", "outcome": "completed"}]
