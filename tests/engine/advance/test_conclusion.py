"""What happens when an attempt fails: another one after a backoff, the fallback, the session, or
only a branch.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises
from tests.kit.stage import Stage, stage_of


def run_one(app: App, behaviour: Behaviour, **policy: Any) -> tuple[Stage, Session]:
    stage = stage_of(app, behaviours={"a": behaviour})
    session = stage.start(stage.define({"a": ""}, actions={"a": {"policy": policy}}))
    stage.drain()
    return stage, session


def test_a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up(app: App) -> None:
    stage, session = run_one(
        app, failing("busy", retryable=True, error_class="unavailable"), attempts=4
    )
    check_promises(stage, session, status="failed")
    assert stage.attempts(session) == [(n, "failed", "unavailable") for n in (1, 2, 3, 4)]
    assert stage.session(session).logs == "Agent a failed: busy"
    assert stage.agent(session.session_uuid, "a").notes == "busy"


def test_the_log_of_a_failure_names_all_that_a_query_for_its_session_needs(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    stage, session = run_one(app, failing("busy"))
    (record,) = [each for each in caplog.records if each.message == "attempt failed"]
    agent = stage.agent(session.session_uuid, "a")
    named = ("partition_key", "coordination_uuid", "session_uuid", "session_agent_uuid")
    assert {name: record.__dict__[name] for name in named} == {
        name: getattr(agent, name) for name in named
    }
    assert record.__dict__["coordination_uuid"] == session.coordination_uuid


def test_notes_of_a_success_hold_no_earlier_failure_but_its_run_does(app: App) -> None:
    stage, session = run_one(app, failing("busy", 2, retryable=True), attempts=3)
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").notes is None
    assert [run.async_task.get("error") for run in stage.runs(session.session_uuid)] == [
        "busy",
        "busy",
        None,
    ]


def test_notes_of_a_fallback_that_succeeds_hold_no_failure(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("no")})
    session = stage.start(
        stage.define({"a": ""}, agents={"b": {}}, actions={"a": {"fallback": "b"}})
    )
    stage.drain()
    assert (stage.session(session).status, stage.agent(session.session_uuid, "a").notes) == (
        "completed",
        None,
    )


def test_the_settings_say_how_often_when_the_policy_does_not(app: App) -> None:
    stage, session = run_one(app, failing("busy", retryable=True))
    assert app.settings.agent_attempts == 3
    assert len(stage.attempts(session)) == 3


def test_a_failure_for_good_is_not_tried_again(app: App) -> None:
    stage, session = run_one(app, failing("no", error_class="invalid_request"), attempts=5)
    check_promises(stage, session, status="failed")
    assert stage.attempts(session) == [(1, "failed", "invalid_request")]


def test_retry_on_names_the_errors_that_are_tried_again(app: App) -> None:
    stage, session = run_one(
        app, failing("odd", error_class="error"), attempts=2, retry_on=["error"]
    )
    assert stage.attempts(session) == [(1, "failed", "error"), (2, "failed", "error")]
    stage, session = run_one(
        app, failing("odd", retryable=True, error_class="timeout"), attempts=2, retry_on=["error"]
    )
    assert stage.attempts(session) == [(1, "failed", "timeout")]


def test_the_waits_double_and_what_the_other_side_asks_for_is_kept_to(app: App) -> None:
    at: list[float] = []

    def behaviour(request: AgentRequest) -> str:
        at.append(stage.clock.now().timestamp())
        waits = {3: 100.0}
        return failing("busy", 4, retryable=True, retry_after=waits.get(request.attempt))(request)  # type: ignore[return-value]

    stage = stage_of(app, behaviours={"a": behaviour})
    policy = {"attempts": 5, "backoff_seconds": 8, "max_backoff_seconds": 20}
    session = stage.start(stage.define({"a": ""}, actions={"a": {"policy": policy}}))
    stage.drain()
    check_promises(stage, session)
    first, second, third, fourth = (later - earlier for earlier, later in pairwise(at))
    assert 6 <= first <= 8.01
    assert 12 <= second <= 16.01
    assert third == pytest.approx(100, abs=0.01)
    assert 15 <= fourth <= 20.01


def test_nothing_is_called_while_a_backoff_lasts(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("busy", 1, retryable=True, retry_after=300)})
    session = stage.start(stage.define({"a": ""}))
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(stage.app, delivery.wake)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.failures, agent.run_uuid, agent.lease_until) == (
        "pending",
        1,
        None,
        None,
    )
    assert agent.not_before == stage.clock.now().timestamp() + 300
    assert stage.queue.next_visible_in() == 300
    before = dict(stage.requests)
    stage.clock.advance(299)
    assert stage.queue.receive() is None
    assert dict(stage.requests) == before


def test_a_message_that_comes_too_early_is_sent_again_for_the_rest_of_the_time(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("busy", 1, retryable=True, retry_after=300)})
    session = stage.start(stage.define({"a": ""}))
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(stage.app, delivery.wake)
    run_step(stage.app, delivery.wake)
    assert [each.visible_at - stage.clock.now().timestamp() for each in stage.queue.waiting] == [
        300,
        300,
    ]
    assert len(stage.runtime.requests) == 1
    stage.drain()
    check_promises(stage, session)


def test_the_fallback_runs_in_its_place_when_the_attempts_are_used_up(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("busy", retryable=True)})
    names = stage.define(
        {"a": "", "b": "a"},
        actions={"a": {"fallback": "spare", "policy": {"attempts": 2}}},
        agents={"spare": {"agent_name": "Spare"}},
    )
    session = stage.start(names)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "a", "spare", "b"]
    assert Counter(run.agent_uuid for run in stage.runs(session.session_uuid)) == {
        "a": 2,
        "spare": 1,
        "b": 1,
    }
    assert stage.agent(session.session_uuid, "a").agent_output == "SPARE"


def test_a_fallback_that_fails_fails_the_agent(app: App) -> None:
    behaviours = {"a": failing("no"), "spare": failing("neither")}
    stage = stage_of(app, behaviours=behaviours)
    session = stage.start(
        stage.define({"a": ""}, actions={"a": {"fallback": "spare"}}, agents={"spare": {}})
    )
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "a").notes == "neither"
    assert stage.runtime.ran() == ["a", "spare"]


def test_the_agents_own_policy_counts_where_the_action_is_silent(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("busy", retryable=True)})
    agents = {"a": {"policy": {"attempts": 5, "timeout_seconds": 7}}}
    session = stage.start(
        stage.define({"a": ""}, agents=agents, actions={"a": {"policy": {"attempts": 2}}})
    )
    stage.drain()
    assert len(stage.attempts(session)) == 2
    assert {request.timeout_seconds for request in stage.runtime.requests} == {7}


def test_a_short_timeout_makes_a_short_lease(app: App) -> None:
    until: list[float] = []

    def look(request: AgentRequest) -> str:
        until.append(
            stage.agent(session.session_uuid, "a").lease_until - stage.clock.now().timestamp()
        )
        return "ok"

    stage = stage_of(app, behaviours={"a": look})
    session = stage.start(
        stage.define({"a": ""}, actions={"a": {"policy": {"timeout_seconds": 5}}})
    )
    stage.drain()
    assert until == [5 + app.settings.lease_margin_seconds]


def test_with_continue_the_other_branches_finish_and_what_cannot_run_is_skipped(app: App) -> None:
    stage = stage_of(app, behaviours={"b": failing("no idea")})
    graph = {"a": "", "b": "a", "c": "a", "d": "b", "e": "d", "f": "c"}
    session = stage.start(stage.define(graph, on_failure="continue"))
    stage.drain()
    states = {
        "a": "completed",
        "b": "failed",
        "c": "completed",
        "d": "skipped",
        "e": "skipped",
        "f": "completed",
    }
    check_promises(stage, session, status="failed", states=states)
    assert stage.agent(session.session_uuid, "e").notes == "Skipped: agent b failed."
    assert stage.session(session).logs == "Agent e did not run: Skipped: agent b failed."


def test_with_fail_fast_the_session_fails_at_once_unless_every_successor_copes(app: App) -> None:
    stage = stage_of(app, behaviours={"a": failing("no idea")})
    graph = {"a": "", "b": "a", "c": "ab"}
    session = stage.start(stage.define(graph, actions={"c": {"join": "any"}}))
    stage.drain()
    check_promises(stage, session, status="failed")
    assert stage.states(session.session_uuid) == {"a": "failed", "b": "skipped", "c": "skipped"}
    actions = {"b": {"join": "all_terminal"}, "c": {"join": "any"}}
    session = stage.start(stage.define(graph, actions=actions))
    stage.drain()
    check_promises(stage, session, states={"a": "failed", "b": "completed", "c": "completed"})
