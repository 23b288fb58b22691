"""Many attempts begin at once against a budget that has room for some of them."""

from collections.abc import Callable
from random import Random

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.budgets import Period, Used
from tests.kit.crashes import Turns
from tests.kit.stage import TENANT, Stage, stage_of

MODEL = {"kind": "openai", "model": "m", "max_tokens": 100}
NAMES = [f"a{number:02d}" for number in range(50)]
FITTING = 10


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def used(stage: Stage, session: Session) -> Used:
    period = Period("task", session.task_uuid, f"session {session.session_uuid}")
    return stage.app.budgets.used(TENANT, [period])[period]


def start(stage: Stage, on_exceeded: str, limit: int, names: list[str]) -> Session:
    return stage.start(
        stage.define(
            dict.fromkeys(names, ""),
            agents={each: {"runtime": MODEL} for each in names},
            subtasks=[{"agent_uuid": each} for each in names],
            on_failure="continue",
            budget={"tokens": limit, "on_exceeded": on_exceeded},
        )
    )


def one(stage: Stage) -> int:
    """What each attempt reserves."""
    found: list[int] = []

    def look(request: AgentRequest) -> str:
        found.append(used(stage, session).reserved.tokens)
        return "ok"

    stage.runtime.behaviours[NAMES[0]] = look
    session = start(stage, "fail", 10_000, NAMES[:1])
    stage.drain()
    return found[0]


@pytest.mark.parametrize(
    ("on_exceeded", "state"), [("pause", "pending"), ("fail", "failed"), ("fallback", "failed")]
)
def test_of_fifty_attempts_at_once_exactly_those_that_fit_are_dispatched(
    stage: Stage, on_exceeded: str, state: str
) -> None:
    limit = FITTING * one(stage)
    begun: list[str] = []
    most: list[int] = []

    def nested(left: list[Callable[[], None]]) -> Callable[[AgentRequest], AgentResult]:
        def run(request: AgentRequest) -> AgentResult:
            begun.append(request.agent_uuid)
            if left:  # all others begin while this one runs
                left.pop()()
            most.append(used(stage, session).all.tokens)
            tokens = {"input_tokens": 0, "output_tokens": limit // FITTING}
            return AgentResult("ok", tokens)

        return run

    def next_one() -> None:
        while (delivery := stage.queue.receive()) is not None:
            process_message(stage.app, delivery.wake)
            stage.queue.delete(delivery)

    stage.runtime.behaviours = {each: nested([next_one]) for each in NAMES}
    session = start(stage, on_exceeded, limit, NAMES)
    stage.drain()
    states = [*stage.states(session.session_uuid).values()]
    assert len(begun) == FITTING
    assert (states.count("completed"), states.count(state)) == (FITTING, len(NAMES) - FITTING)
    assert max(most) <= limit
    assert (used(stage, session).spent.tokens, used(stage, session).reserved.tokens) == (limit, 0)


@pytest.mark.only_on("dynamodb")  # one writer at a time on SQLite
def test_in_no_order_of_their_calls_do_attempts_exceed_a_budget(stage: Stage) -> None:
    need, names = one(stage), NAMES[:5]
    for seed in range(20):
        stage.renew(behaviours={each: lambda request: "ok" for each in names})
        session = start(stage, "fail", 2 * need, names)
        turns = Turns(Random(seed))
        wakes = [each.wake for each in stage.queue.waiting]
        stage.queue.waiting.clear()
        stage.boundary.reach = lambda name, turns=turns: turns.pause()  # type: ignore[misc]
        turns.run([lambda wake=each: process_message(stage.app, wake) for each in wakes])  # type: ignore[misc]
        stage.boundary.reach = lambda name: None
        total = used(stage, session)
        assert total.all.tokens == len(stage.runtime.requests) * need <= 2 * need
        assert total.reserved.tokens == 0
