"""A planned session whose worker dies before and after every call in turn: around the planning
agent's answer, its person, the pinning, and the start of the steps.
"""

import json
import os
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.store.models import Session
from tests.kit.controls import pause, put_right, resume, retry, sweep_after
from tests.kit.crashes import deaths, tripping
from tests.kit.planning import PLANNER, answering, define, plan, plan_of, step
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.shapes import work
from tests.kit.stage import TENANT, Stage, stage_of

EVERY = 1 if os.environ.get("CI") else 2
DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}
PLAN = plan_of(DIAMOND)
ROOTS = plan(step("a"), step("b"), step("c", "ab"))
CYCLE = plan(step("a", "b"), step("b", "a"))
OWN: dict[str, Any] = {"actions": {"b": {"predecessors": ["a"]}}, "plan_fallback": "static"}
KINDS: Mapping[str, tuple[list[Any], dict[str, Any], str, list[str]]] = {
    "plan": ([PLAN], {}, "completed", list("abcd")),
    "roots": ([ROOTS], {}, "completed", list("abc")),
    "unfit": ([CYCLE, PLAN], {}, "completed", list("abcd")),
    "none": ([CYCLE], {"plan_limits": {"attempts": 2}}, "failed", []),
    "own graph": ([CYCLE], {**OWN, "plan_limits": {"attempts": 2}}, "completed", list("ab")),
    "cannot do": ([plan(cannotDo="no", final=None)], {}, "failed", []),
    "person": ([PLAN], {"planner": {"user_in_the_loop": "ann"}}, "completed", list("abcd")),
}


def per_run(*answers: Any) -> Callable[..., Any]:
    """Answers by what was wrong before: an attempt that was lost is asked the same again."""

    def answer(request: Any) -> str:
        index = 0 if request.correction is None else 1
        return json.dumps(answers[min(index, len(answers) - 1)])

    return answer


def check(stage: Stage, session: Session, status: str, steps: list[str]) -> None:
    """The session ran exactly its steps, or nothing of them was written."""
    check_promises(stage, session, status=status)
    states = stage.states(session.session_uuid)
    assert set(states) == {PLANNER, *steps}
    ran = [each for each in stage.runtime.ran() if each != PLANNER]
    assert set(ran) == set(steps)
    check_redelivery_changes_nothing(stage, session)
    definition = snapshot(stage.agents(session.session_uuid)) or {}
    pinned = definition.get("plan")
    if pinned is not None:
        assert [each["id"] for each in pinned["steps"]] == steps


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_may_die_at_any_point_of_a_planned_session(app: App, kind: str) -> None:
    answers, task, status, steps = KINDS[kind]
    stage, before, point = stage_of(app), deaths[0], 1
    names = define(stage, "abcd", **task)
    while True:
        stage.renew(Random(point), {PLANNER: per_run(*answers)})
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            work(stage, session)
        check(stage, session, status, steps)
        if not tripwire.trips:
            break
        point += EVERY
    assert deaths[0] - before > 10 // EVERY


@pytest.mark.parametrize("apart", [1, 2, 5])
def test_the_worker_after_it_may_die_as_well(app: App, apart: int) -> None:
    stage, point = stage_of(app), 1
    names = define(stage, "abcd")
    while True:
        stage.renew(None, {PLANNER: per_run(PLAN)})
        session = stage.start(names)
        with tripping(stage, point, point + apart) as tripwire:
            stage.drain()
        check(stage, session, "completed", list("abcd"))
        if not tripwire.trips:
            return
        point += 2 * EVERY


def test_no_agent_is_asked_for_a_plan_again_once_its_run_has_one(app: App) -> None:
    """However often its worker dies afterwards: the run keeps the answer."""
    stage = stage_of(app)
    names = define(stage, "abcd")
    asked: dict[int, int] = {}
    for point in range(1, 60):
        stage.renew(None, {PLANNER: per_run(PLAN)})
        session = stage.start(names)
        with tripping(stage, point):
            stage.drain()
        check(stage, session, "completed", list("abcd"))
        asked[point] = stage.runtime.ran().count(PLANNER)
        assert stage.runtime.repeated == []
    assert set(asked.values()) == {1, 2}  # between the answer and its run it costs another call
    assert sum(each == 2 for each in asked.values()) <= 4


def test_a_message_that_is_lost_at_any_point_is_found_by_the_sweep(app: App) -> None:
    """The worker dies, and its message with it."""
    stage, point = stage_of(app), 1
    names = define(stage, "abcd")
    while True:
        stage.renew(None, {PLANNER: per_run(PLAN)})
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            stage.drain()
            stage.queue.waiting.clear()
        for _ in range(4):
            sweep_after(stage, 10_000)
            stage.drain()
        check_promises(stage, session)
        if not tripwire.trips:
            return
        point += 3 * EVERY


@pytest.mark.parametrize("death", range(1, 40, 3 * EVERY))
def test_pauses_and_retries_around_the_pinning_lose_nothing(app: App, death: int) -> None:
    stage = stage_of(app, behaviours={PLANNER: per_run(CYCLE)})
    names = define(stage, "abcd")
    session = stage.start(names)
    stage.drain()
    stage.runtime.behaviours[PLANNER] = answering(PLAN)
    retry(stage, session)
    pause(stage, session)
    with tripping(stage, death):
        stage.until_it_succeeds(lambda: resume(stage, session))
        stage.drain()
    put_right(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran()[3:].count(PLANNER) <= 2


def test_a_review_may_be_repeated_until_it_is_taken(app: App) -> None:
    stage, point = stage_of(app), 1
    names = define(stage, "abcd", planner={"user_in_the_loop": "ann"})
    edited = json.dumps(plan(step("b"), step("c", "b")))
    while True:
        stage.renew(None, {PLANNER: per_run(PLAN)})
        session = stage.start(names)
        stage.drain()
        uuid = stage.agent(session.session_uuid, PLANNER).session_agent_uuid
        given = (stage.app, TENANT, session.session_uuid, uuid, edited)
        with tripping(stage, point) as tripwire:
            stage.until_it_succeeds(lambda given=given: execute_for_user_input(*given))  # type: ignore[misc]
            stage.drain()
        check(stage, session, "completed", list("bc"))
        if not tripwire.trips:
            return
        point += EVERY
