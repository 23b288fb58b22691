"""Agents that the settings do not allow: in sessions that are older than the settings they wait."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import refusals
from ai_coordination_engine.engine.control.explain import Scene, explain
from ai_coordination_engine.runtime_ports import ActionResult
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import Stage, stage_of

CHAIN = {"a": "", "b": "a"}
NOT_OFFERED = failing("the function 'b' is not offered", error_class="not_allowed")
ACT = {"action_function": {"module_name": "shop", "function_name": "act"}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def change_settings(stage: Stage) -> None:
    """Let a process with other settings take the place of this one."""
    stage.clock.advance(1)
    stage.app = replace(stage.app, settings_since=stage.clock.now().timestamp())


def after(stage: Stage, seconds: float) -> float:
    return (stage.clock.now() + timedelta(seconds=seconds)).timestamp()


def why(stage: Stage, session: Session) -> tuple[str, str]:
    now = stage.clock.now().timestamp()
    found = explain(
        stage.agent(session.session_uuid, "b"), Scene(stage.session(session), [], 0, now)
    )
    return found.code, found.message


def test_an_agent_of_an_older_session_waits_and_goes_on_with_the_settings(stage: Stage) -> None:
    session = stage.start(stage.define(CHAIN))
    change_settings(stage)
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain(until=after(stage, 3_600))
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.state, agent.failures, stage.status(session)) == ("pending", None, "in_progress")
    assert 15 <= agent.attempt <= 25  # 1, 2, 4, … 256 seconds, then each five minutes
    assert agent.refusals == agent.attempt
    code, message = why(stage, session)
    assert code == "WAITS_FOR_SETTINGS"
    assert "do not allow it any more (the function 'b' is not offered)" in message
    del stage.runtime.behaviours["b"]
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "b").notes is None
    assert stage.runtime.ran().count("a") == 1
    check_redelivery_changes_nothing(stage, session)


def test_what_it_waited_for_is_no_failure_of_its_own(stage: Stage) -> None:
    names = stage.define(CHAIN, agents={"b": {"policy": {"attempts": 2}}})
    session = stage.start(names)
    change_settings(stage)
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain(until=after(stage, 60))
    refused = stage.agent(session.session_uuid, "b").attempt
    stage.runtime.behaviours["b"] = failing(
        "busy", times=refused + 1, retryable=True, error_class="unavailable"
    )
    stage.drain()
    check_promises(stage, session)
    classes = [error for number, _, error in stage.attempts(session) if number > 1]
    assert classes == ["not_allowed"] * (refused - 1) + ["unavailable", None]


def test_it_waits_for_about_a_day() -> None:
    policy, random = refusals._POLICY, Random(1)
    seconds = sum(policy.wait(number, None, random) for number in range(1, policy.attempts))
    assert 20 < seconds / 3_600 < 26


def test_then_it_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_POLICY", replace(refusals._POLICY, attempts=4))
    session = stage.start(stage.define(CHAIN))
    change_settings(stage)
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "b").notes == "the function 'b' is not offered"
    refused = [(number, "failed", "not_allowed") for number in range(1, 5)]
    assert stage.attempts(session) == [(1, "completed", None), *refused]


def test_an_agent_of_a_newer_session_fails_at_once(stage: Stage) -> None:
    change_settings(stage)
    session = stage.start(stage.define(CHAIN))
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.attempts(session)[-1] == (1, "failed", "not_allowed")


def test_elements_that_an_older_session_makes_later_wait_too(stage: Stage) -> None:
    """They are written under the settings that do not allow them."""
    session = stage.start(stage.define(CHAIN, actions={"b": {"map": {"over": "a"}}}))
    change_settings(stage)
    stage.runtime.behaviours["a"] = lambda request: '["x", "y"]'
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain(until=after(stage, 60))
    agents = stage.agents(session.session_uuid)
    elements = [each for each in agents if each.map_ordinal is not None]
    assert [each.state for each in elements] == ["pending", "pending"]
    assert all(each.refusals for each in elements)
    assert stage.status(session) == "in_progress"
    del stage.runtime.behaviours["b"]
    stage.drain()
    check_promises(stage, session)


def test_a_fallback_does_not_wait_for_the_settings(stage: Stage) -> None:
    names = stage.define(CHAIN, agents={"c": {}}, actions={"b": {"fallback": "c"}})
    session = stage.start(names)
    change_settings(stage)
    stage.runtime.behaviours["b"] = NOT_OFFERED
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "c"]


def test_an_action_function_waits_and_the_answer_is_kept(stage: Stage) -> None:
    session = stage.start(stage.define(CHAIN, actions={"b": ACT}))
    change_settings(stage)
    act: Callable[..., ActionResult] = lambda request: ActionResult(request.output + "!")  # noqa: E731

    def refuse(request: object) -> ActionResult:
        NOT_OFFERED(request)  # type: ignore[arg-type]
        raise AssertionError

    stage.actions.functions["shop.act"] = refuse
    stage.drain(until=after(stage, 600))
    assert why(stage, session)[0] == "WAITS_FOR_SETTINGS"
    stage.actions.functions["shop.act"] = act
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert stage.agent(session.session_uuid, "b").agent_output == "B!"


def test_a_worker_may_die_at_any_point_of_the_wait(stage: Stage) -> None:
    point = 1
    while True:
        stage.renew()
        stage.app = replace(stage.app, settings_since=0)
        session = stage.start(stage.define({"b": ""}))
        change_settings(stage)
        stage.runtime.behaviours["b"] = NOT_OFFERED
        with tripping(stage, point) as tripwire:
            stage.drain(until=after(stage, 5))
        del stage.runtime.behaviours["b"]
        stage.drain()
        check_promises(stage, session)
        check_redelivery_changes_nothing(stage, session)
        if not tripwire.trips:
            break
        point += 1
    assert point > 15
