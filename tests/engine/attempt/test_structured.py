"""Agents that must answer JSON by a schema: asked once more with the exact error, then failed."""

import json
from typing import Any

import pytest

from ai_coordination_engine.domain.routing import Route
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.ask import Asked, Question, ask
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from tests.kit.crashes import tripping
from tests.kit.promises import check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

ROUTE = {
    "own": "boss",
    "agents": [{"agent_uuid": "desk"}],
    "declined": {},
    "hops": 3,
    "asks": 3,
    "again": False,
}
FIT = json.dumps({"agent": "none", "reason": "easy", "query": "Noon."})
UNFIT = "At noon, I think."
WRONG = f'The answer cannot be used: it is not valid JSON; it begins: "{UNFIT}".'


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def put(stage: Stage, **rules: Any) -> Asked:
    """A question whose agent must answer by the schema of a route."""
    asked = ask(stage.app, TENANT, Question(stage.define({"desk": ""})[0], "When?"))
    key = (asked.session_uuid, asked.session_agent_uuid)
    given = [SessionAgent.rules.set({"route": ROUTE, **rules})]
    stage.looking.table(SESSION_AGENT).update(TENANT, key, given, SessionAgent.state.exists())
    return asked


def answers(stage: Stage, *texts: str | AgentFailure | AgentResult) -> None:
    left = iter(texts)

    def answer(request: AgentRequest) -> Any:
        given = next(left)
        if isinstance(given, AgentFailure):
            raise given
        return given

    stage.runtime.behaviours["desk"] = answer


def attempts(stage: Stage, asked: Asked) -> list[tuple[str, str | None]]:
    return [(each["status"], each.get("error")) for each in tasks(stage, asked)]


def tasks(stage: Stage, asked: Asked) -> list[dict[str, Any]]:
    found = [run.async_task for run in stage.runs(asked.session_uuid)]
    return sorted(found, key=lambda each: each["attempt"])


def the_agent(stage: Stage, asked: Asked) -> Any:
    return stage.agent(asked.session_uuid, "desk")


def session_of(stage: Stage, asked: Asked) -> Session:
    key = (asked.coordination_uuid, asked.session_uuid)
    found = stage.looking.get(SESSION, TENANT, key)
    assert isinstance(found, Session)
    return found


def test_it_is_given_the_schema_beside_its_input(stage: Stage) -> None:
    put(stage)
    answers(stage, FIT)
    stage.drain()
    (request,) = stage.runtime.requests
    assert request.output_schema == Route.of(ROUTE).structured().schema
    assert request.instructions == Route.of(ROUTE).structured().instructions()
    assert (request.input, request.correction) == ("When?", None)


def test_an_unfit_answer_is_asked_for_once_more_at_once_with_the_exact_error(stage: Stage) -> None:
    asked = put(stage, policy={"attempts": 1, "backoff_seconds": 900})
    answers(stage, AgentResult(UNFIT, {"output_tokens": 7}), FIT)
    before = stage.clock.now()
    stage.drain()
    first, second = stage.runtime.requests
    assert second.correction == WRONG
    assert second.input.startswith(f"When?\n\nThis was asked before. {WRONG}\n")
    assert second.idempotency_key != first.idempotency_key
    assert attempts(stage, asked) == [("failed", WRONG), ("completed", None)]
    first_task = tasks(stage, asked)[0]
    assert (first_task["error_class"], first_task["usage"]) == (
        "invalid_output",
        {"output_tokens": 7},
    )
    assert (the_agent(stage, asked).state, the_agent(stage, asked).notes) == ("completed", None)
    assert (stage.clock.now() - before).total_seconds() < 1


def test_a_second_unfit_answer_fails_it_with_the_note(stage: Stage) -> None:
    asked = put(stage, policy={"attempts": 5})
    answers(stage, UNFIT, "{}", FIT)
    stage.drain()
    agent = the_agent(stage, asked)
    assert (agent.state, agent.attempt) == ("failed", 2)
    assert agent.notes == (
        "The answer cannot be used: at /, 'agent' is a required property; at /, 'reason' is a"
        " required property; at /, 'query' is a required property."
    )


def test_other_failures_are_the_policys_and_keep_the_correction(stage: Stage) -> None:
    asked = put(stage, policy={"attempts": 3})
    busy = AgentFailure("busy", retryable=True, error_class="unavailable")
    answers(stage, busy, UNFIT, busy, FIT)
    stage.drain()
    assert [each.correction for each in stage.runtime.requests] == [None, None, WRONG, WRONG]
    agent = the_agent(stage, asked)
    assert (agent.state, agent.failures, agent.corrections) == ("completed", 2, 1)


def test_a_refusal_is_final(stage: Stage) -> None:
    asked = put(stage)
    answers(stage, AgentFailure("the model refused: no", error_class="invalid_output"), FIT)
    stage.drain()
    assert attempts(stage, asked) == [("failed", "the model refused: no")]


def test_the_answer_of_a_long_job_is_judged_too(stage: Stage) -> None:
    asked = put(stage)
    answers(stage, AgentResult("", async_task_uuid="job-1"), FIT)
    stage.drain(until=stage.clock.now().timestamp() + 1)
    complete_async_task(stage.app, TENANT, "job-1", result=UNFIT)
    stage.drain()
    assert stage.runtime.requests[1].correction == WRONG
    assert the_agent(stage, asked).state == "completed"


def test_wherever_a_worker_dies_the_error_reaches_the_agent_once(stage: Stage) -> None:
    point = 1
    while True:
        asked = put(stage)
        stage.runtime.requests.clear()
        stage.runtime.behaviours["desk"] = lambda request: FIT if request.correction else UNFIT
        with tripping(stage, point) as tripwire:
            stage.drain()
        agent = the_agent(stage, asked)
        assert (agent.state, agent.corrections) == ("completed", 1)
        numbers = [run.async_task["attempt"] for run in stage.runs(asked.session_uuid)]
        assert sorted(numbers) == list(range(1, agent.attempt + 1))
        assert stage.runtime.repeated == []
        if not tripwire.trips:
            check_redelivery_changes_nothing(stage, session_of(stage, asked))
            return
        point += 1
