"""Action functions: run after the agent has answered; they rewrite its output or choose who goes
on.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentFailure,
    AgentResult,
)
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import Crash, Tripwire, tripping
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import work_now

ACT = {"action_function": {"module_name": "shop", "function_name": "act"}}
FORK = {"a": "", "b": "a", "c": "a", "d": "bc"}
Act = Callable[[ActionRequest], ActionResult]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def acting(stage: Stage, act: Act, graph: Any = FORK, **actions: Any) -> Session:
    """A session that has run, in which `act` runs after `a`."""
    stage.actions.functions["shop.act"] = act
    session = stage.start(stage.define(graph, actions={"a": ACT, **actions}))
    stage.drain()
    return session


def failing(message: str, **failure: Any) -> Act:
    def act(request: ActionRequest) -> ActionResult:
        raise AgentFailure(message, **failure)

    return act


def test_it_is_given_the_answer_and_who_waits_for_it(stage: Stage) -> None:
    session = acting(stage, lambda request: ActionResult())
    agent = stage.agent(session.session_uuid, "a")
    assert stage.actions.requests == [
        ActionRequest(
            tenant=TENANT,
            session_uuid=session.session_uuid,
            session_agent_uuid=agent.session_agent_uuid,
            agent_uuid="a",
            agent_name="a",
            output="A",
            task_query="begin",
            successors=["b", "c"],
        )
    ]
    check_promises(stage, session)
    assert agent.agent_output == "A"
    assert agent.acting is None
    check_redelivery_changes_nothing(stage, session)


def test_it_rewrites_the_output(stage: Stage) -> None:
    session = acting(stage, lambda request: ActionResult(output=request.output * 3))
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").agent_output == "AAA"
    assert stage.runtime.requests[1].predecessors[0].output == "AAA"


def test_what_it_does_not_choose_is_skipped(stage: Stage) -> None:
    session = acting(stage, lambda request: ActionResult(successors=["c"]), d={"join": "any"})
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "skipped",
        "c": "completed",
        "d": "completed",
    }
    assert stage.session(session).status == "completed"
    assert stage.runtime.ran() == ["a", "c", "d"]
    check_redelivery_changes_nothing(stage, session)


def test_it_may_choose_nobody(stage: Stage) -> None:
    session = acting(stage, lambda request: ActionResult(successors=[]))
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "skipped",
        "c": "skipped",
        "d": "skipped",
    }
    assert stage.session(session).status == "completed"


def test_it_chooses_an_agent_with_all_its_tasks(stage: Stage) -> None:
    stage.actions.functions["shop.act"] = lambda request: ActionResult(successors=["b"])
    subtasks = [{"agent_uuid": "b", "subtask_query": text} for text in ("one", "two")]
    names = stage.define({"a": "", "b": "a", "c": "a"}, actions={"a": ACT}, subtasks=subtasks)
    session = stage.start(names)
    stage.drain()
    assert stage.actions.requests[0].successors == ["b", "c"]
    assert sorted(stage.runtime.ran()) == ["a", "b", "b"]
    assert stage.session(session).status == "completed"


@pytest.mark.parametrize("chosen", ["d", "a", "nobody"])
def test_it_may_choose_only_who_waits_for_the_agent(stage: Stage, chosen: str) -> None:
    session = acting(stage, lambda request: ActionResult(successors=["b", chosen]))
    check_promises(stage, session, status="failed")
    note = f"The action function chose {chosen}, which do not wait for this agent."
    assert stage.agent(session.session_uuid, "a").notes == note
    assert stage.runtime.ran() == ["a"]


def test_an_output_that_is_too_long_fails_the_agent(stage: Stage) -> None:
    session = acting(stage, lambda request: ActionResult(output="x" * 8_000_001))
    check_promises(stage, session, status="failed")
    note = "The action function's output has 8000001 characters; it may have 8000000."
    assert stage.agent(session.session_uuid, "a").notes == note


def test_a_function_that_is_not_allowed_fails_the_agent(stage: Stage) -> None:
    stage.app = replace(stage.app, actions=AllowedActionFunctions({}))
    session = stage.start(stage.define(FORK, actions={"a": ACT}))
    stage.drain()
    check_promises(stage, session, status="failed")
    assert "not" in str(stage.agent(session.session_uuid, "a").notes)
    assert stage.runtime.ran() == ["a"]


def test_a_function_that_fails_fails_the_agent_with_its_reason(stage: Stage) -> None:
    session = acting(stage, failing("no stock"))
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "a").notes == "no stock"
    (run,) = stage.runs(session.session_uuid)
    assert run.async_task["status"] == "completed"  # the attempt itself went well
    check_redelivery_changes_nothing(stage, session)


def test_it_runs_after_a_long_job(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", async_task_uuid="job")
    session = acting(stage, lambda request: ActionResult(output=request.output + "!"))
    assert stage.actions.requests == []
    complete_async_task(stage.app, TENANT, "job", result="done")
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").agent_output == "done!"


def test_while_it_runs_the_agent_is_pending_and_its_answer_is_kept(stage: Stage) -> None:
    seen: list[tuple[Any, ...]] = []

    def act(request: ActionRequest) -> ActionResult:
        agent = stage.agent(request.session_uuid, "a")
        seen.append((agent.state, agent.acting, agent.agent_output, agent.lease_until is not None))
        return ActionResult()

    acting(stage, act)
    assert seen == [("pending", True, "A", True)]


@pytest.mark.parametrize("point", [1, 2], ids=["before", "after"])
def test_a_worker_that_dies_at_the_function_does_not_run_the_agent_again(
    stage: Stage, point: int
) -> None:
    stage.actions.functions["shop.act"] = lambda request: ActionResult(output="acted")
    session = stage.start(stage.define(FORK, actions={"a": ACT}))
    tripwire = Tripwire(point)

    def reach(name: str) -> None:
        if name == "act" or tripwire.points:
            tripwire(name)

    stage.boundary.reach = reach
    (message,) = stage.queue.waiting
    with pytest.raises(Crash):
        run_step(stage.app, message.wake)
    stage.boundary.reach = lambda name: None
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran().count("a") == 1
    assert stage.agent(session.session_uuid, "a").agent_output == "acted"
    assert len(stage.actions.requests) == point


def test_a_function_that_kills_its_worker_each_time_fails_its_agent(stage: Stage) -> None:
    def kill(request: ActionRequest) -> ActionResult:
        raise Crash

    stage.actions.functions["shop.act"] = kill
    session = stage.start(stage.define(FORK, actions={"a": ACT}))
    (message,) = stage.queue.waiting
    for _ in range(5):
        with pytest.raises(Crash):
            run_step(stage.app, message.wake)
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, message.wake)
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.runtime.ran() == ["a"]
    assert stage.queue.dead_letters == [message.wake]
    note = "Its action function began 5 times without a result; the log says why."
    assert stage.agent(session.session_uuid, "a").notes == note


def test_whoever_dies_at_any_point_the_choice_is_made_once(app: App) -> None:
    stage = stage_of(app)
    stage.actions.functions["shop.act"] = lambda request: ActionResult(
        output="acted", successors=["c"]
    )
    names = stage.define({"a": "", "b": "a", "c": "a"}, actions={"a": ACT})
    point = 1
    while True:
        stage.renew()
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            stage.drain()
        work_now(stage)
        assert stage.states(session.session_uuid) == {
            "a": "completed",
            "b": "skipped",
            "c": "completed",
        }
        assert stage.session(session).status == "completed"
        assert stage.agent(session.session_uuid, "a").agent_output == "acted"
        assert "b" not in stage.runtime.ran()
        runs = [
            run.async_task["attempt"]
            for run in stage.runs(session.session_uuid)
            if run.agent_uuid == "a"
        ]
        assert sorted(runs) == list(range(1, len(runs) + 1))
        check_redelivery_changes_nothing(stage, session)
        if not tripwire.trips:
            break
        point += 1
    assert point > 15
