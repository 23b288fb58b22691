"""What happens when an attempt fails: another one after a backoff, the fallback, the session, or
only a branch.
"""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ai_coordination_engine.domain.policies import Policy
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, poison, run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.errors import NotFound, Unavailable
from ai_coordination_engine.ports import (
    ActionRequest,
    ActionResult,
    AgentRequest,
    AgentResult,
    Wake,
)
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.attempts import ERROR
from tests.kit.controls import cancel, retry
from tests.kit.crashes import Crash
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of


def run_one(app: App, behaviour: Behaviour, **policy: Any) -> tuple[Stage, Session]:
    stage = stage_of(app, behaviours={"a": behaviour})
    session = stage.start(stage.define({"a": ""}, actions={"a": {"policy": policy}}))
    stage.drain()
    return stage, session


def outcomes(stage: Stage, session: Session) -> list[tuple[int, str, str | None]]:
    tasks = [run.async_task for run in stage.runs(session.session_uuid)]
    return sorted((task["attempt"], task["status"], task.get("error_class")) for task in tasks)


def test_a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up(app: App) -> None:
    stage, session = run_one(
        app, failing("busy", retryable=True, error_class="unavailable"), attempts=4
    )
    check_promises(stage, session, status="failed")
    assert outcomes(stage, session) == [(n, "failed", "unavailable") for n in (1, 2, 3, 4)]
    assert stage.session(session).logs == "Agent a failed: busy"
    assert stage.agent(session.session_uuid, "a").notes == "busy"


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
    assert len(outcomes(stage, session)) == 3


def test_a_failure_for_good_is_not_tried_again(app: App) -> None:
    stage, session = run_one(app, failing("no", error_class="invalid_request"), attempts=5)
    check_promises(stage, session, status="failed")
    assert outcomes(stage, session) == [(1, "failed", "invalid_request")]


def test_retry_on_names_the_errors_that_are_tried_again(app: App) -> None:
    stage, session = run_one(
        app, failing("odd", error_class="error"), attempts=2, retry_on=["error"]
    )
    assert outcomes(stage, session) == [(1, "failed", "error"), (2, "failed", "error")]
    stage, session = run_one(
        app, failing("odd", retryable=True, error_class="timeout"), attempts=2, retry_on=["error"]
    )
    assert outcomes(stage, session) == [(1, "failed", "timeout")]


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


@pytest.mark.parametrize(("failures", "longest"), [(1, 1), (2, 2), (3, 4), (7, 60), (1000, 60)])
def test_a_backoff_is_exponential_with_a_ceiling_and_a_quarter_of_jitter(
    failures: int, longest: float
) -> None:
    class Draws:
        def __init__(self, value: float) -> None:
            self.value = value

        def random(self) -> float:
            return self.value

    policy = Policy(attempts=3, backoff_seconds=1, backoff_factor=2, max_backoff_seconds=60)
    assert policy.wait(failures, None, Draws(0.0)) == longest  # type: ignore[arg-type]
    assert policy.wait(failures, None, Draws(1.0)) == longest * 0.75  # type: ignore[arg-type]
    assert policy.wait(failures, 90, Draws(0.0)) == 90  # type: ignore[arg-type]


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
    assert len(outcomes(stage, session)) == 2
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


def test_what_kills_its_worker_each_time_fails_after_five_attempts(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": "", "b": "a"}))

    class Killed(BaseException):
        pass

    def kill(request: AgentRequest) -> str:
        raise Killed

    stage.runtime.behaviours["a"] = kill
    delivery = stage.queue.receive()
    assert delivery is not None
    for _ in range(5):
        with pytest.raises(Killed):
            run_step(stage.app, delivery.wake)
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, delivery.wake)
    check_promises(stage, session, status="failed")
    assert outcomes(stage, session) == [(n, "lost", "lost") for n in (1, 2, 3, 4, 5)]
    assert stage.queue.buried == [delivery.wake]


def lost(stage: Stage, agents: str, times: int) -> Session:
    """A session of these agents, each of which has lost that many attempts."""
    session = stage.start(stage.define(dict.fromkeys(agents, "")))
    stage.runtime.behaviours.update(dict.fromkeys(agents, crash))
    for _ in range(times):
        for message in stage.queue.waiting:
            with pytest.raises(Crash):
                run_step(stage.app, message.wake)
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
    return session


def crash(request: AgentRequest) -> str:
    raise Crash


def test_what_lost_two_attempts_runs_beside_nothing_else_that_did(app: App) -> None:
    stage = stage_of(app)
    session = lost(stage, "ab", 2)
    first, second = stage.queue.waiting

    def look(request: AgentRequest) -> str:
        with pytest.raises(Busy):
            run_step(stage.app, second.wake)
        return "ok"

    stage.runtime.behaviours.update({"a": look, "b": lambda request: "ok"})
    run_step(stage.app, first.wake)
    assert stage.agent(session.session_uuid, "b").attempt == 2
    stage.drain()
    check_promises(stage, session)


def test_what_a_backend_refuses_for_now_is_waited_for_and_no_death(app: App) -> None:
    stage = stage_of(app)
    session = lost(stage, "a", 3)

    def refuse(request: AgentRequest) -> str:
        raise Unavailable("The blobs cannot be reached.")

    (message,) = stage.queue.waiting
    stage.runtime.behaviours["a"] = refuse
    for _ in range(8):
        with pytest.raises(Unavailable):
            run_step(stage.app, message.wake)
    stage.runtime.behaviours["a"] = crash
    with pytest.raises(Crash):
        run_step(stage.app, message.wake)  # the fourth death
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    stage.runtime.behaviours.clear()
    stage.drain()
    check_promises(stage, session)
    assert (stage.agent(session.session_uuid, "a").attempt, stage.queue.buried) == (13, [])


@pytest.mark.parametrize(("times", "state"), [(7, "completed"), (8, "failed")])
def test_an_action_function_whose_backend_refuses_is_waited_for(
    app: App, times: int, state: str
) -> None:
    """Refusals are no deaths; of these, `MOST_LOST` end the agent."""
    stage = stage_of(app)
    action = {"action_function": {"module_name": "shop", "function_name": "act"}}
    errors = iter([Unavailable("later")] * 4 + [RuntimeError("a bug")] * (times - 4))

    def act(request: ActionRequest) -> ActionResult:
        if (error := next(errors, None)) is not None:
            raise error
        return ActionResult()

    stage.actions.functions["shop.act"] = act
    session = stage.start(stage.define({"a": ""}, actions={"a": action}))
    (message,) = stage.queue.waiting
    for _ in range(times):
        with pytest.raises((Unavailable, RuntimeError)):
            run_step(stage.app, message.wake)
    stage.drain()
    assert stage.agent(session.session_uuid, "a").state == state


def test_an_agent_whose_message_cannot_be_buried_is_let_go(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(app)
    session = lost(stage, "a", 5)
    (message,) = stage.queue.waiting

    def refuse(wake: Wake) -> None:
        raise NotFound("no queue")

    monkeypatch.setattr(stage.queue, "dead_letter", refuse)
    for _ in range(3):  # each is a receipt more, until the message is poison
        with pytest.raises(NotFound):
            run_step(stage.app, message.wake)
    poison(stage.app, message.wake, "NotFound")
    assert stage.session(session).status == "failed"


def test_a_lone_worker_that_has_just_begun_does_not_take_its_own_short_leases_for_lost(
    app: App,
) -> None:
    stage = stage_of(app)
    session = stage.start(
        stage.define({"a": ""}, actions={"a": {"policy": {"timeout_seconds": 5}}})
    )
    stage.app = replace(stage.app, alone_since=stage.clock.now().timestamp())

    def again(request: AgentRequest) -> str:
        with pytest.raises(Busy):
            run_step(stage.app, stage.queue.sent[0])
        return "ok"

    stage.runtime.behaviours["a"] = again
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").attempt == 1


def test_a_worker_that_is_only_late_is_fenced_before_its_agent_is_given_up(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(app)
    session = lost(stage, "a", 4)
    (message,) = stage.queue.waiting

    def late(request: AgentRequest) -> str:
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        with monkeypatch.context() as patched, pytest.raises(Crash):
            patched.setattr(stage.app.agents, "fail_poisoned", lambda *_: crash(request))
            run_step(stage.app, message.wake)
        return "late"

    stage.runtime.behaviours["a"] = late
    run_step(stage.app, message.wake)
    assert stage.agent(session.session_uuid, "a").state == "executing"
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    stage.drain()
    check_promises(stage, session, status="failed")


def test_attempts_that_a_person_ended_are_none_that_were_lost(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))

    def work(request: AgentRequest) -> str:
        if request.attempt < 5:
            cancel(stage, session)
            retry(stage, session)
            run_step(stage.app, stage.queue.sent[-1])
            return "late"
        return crash(request) if request.attempt == 5 else "ok"

    stage.runtime.behaviours["a"] = work
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[0])
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, stage.queue.sent[-1])
    assert (stage.agent(session.session_uuid, "a").state, stage.queue.buried) == ("completed", [])


def test_a_poison_message_fails_its_agent_and_its_session(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    delivery = stage.queue.receive()
    assert delivery is not None
    poison(stage.app, delivery.wake, "ValueError")
    check_promises(stage, session, status="failed")
    assert stage.states(session.session_uuid) == {"a": "failed", "b": "skipped"}
    assert (
        stage.agent(session.session_uuid, "a").notes
        == "Its message is in the dead-letter queue: ValueError"
    )


def test_the_poison_of_another_tenant_or_of_nobody_changes_nothing(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    before = stage.everything(session)
    agent = stage.agent(session.session_uuid, "a")
    poison(stage.app, Wake("other", agent.session_uuid, agent.session_agent_uuid), "x")
    poison(stage.app, Wake(TENANT, agent.session_uuid, "unknown"), "x")
    assert stage.everything(session) == before


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


def test_a_step_that_raises_lets_go_so_that_its_message_is_worked_off_again_at_once(
    app: App,
) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))

    def break_down(request: AgentRequest) -> str:
        raise ValueError("a bug")

    stage.runtime.behaviours["a"] = break_down
    delivery = stage.queue.receive()
    assert delivery is not None
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            run_step(stage.app, delivery.wake)
        assert stage.agent(session.session_uuid, "a").lease_until == ERROR
    stage.runtime.behaviours.clear()
    run_step(stage.app, delivery.wake)
    check_promises(stage, session)
    assert outcomes(stage, session) == [
        (1, "lost", "internal"),
        (2, "lost", "internal"),
        (3, "completed", None),
    ]


def test_an_error_of_the_engine_is_no_death_and_the_fifth_fails_the_agent(app: App) -> None:
    stage = stage_of(app)
    session = lost(stage, "a", 4)
    (message,) = stage.queue.waiting

    def break_down(request: AgentRequest) -> str:
        raise ValueError("a bug")

    stage.runtime.behaviours["a"] = break_down
    for _ in range(4):
        with pytest.raises(ValueError, match="a bug"):
            run_step(stage.app, message.wake)
    stage.runtime.behaviours["a"] = crash
    for _ in range(3):  # each is a death after an error
        with pytest.raises(Crash):
            run_step(stage.app, message.wake)
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
    assert stage.agent(session.session_uuid, "a").attempt == 11
    stage.runtime.behaviours["a"] = break_down
    with pytest.raises(ValueError, match="a bug"):
        run_step(stage.app, message.wake)
    run_step(stage.app, message.wake)
    agent = stage.agent(session.session_uuid, "a")
    assert agent.notes == "INTERNAL: 5 attempts met an unexpected error; the log says which."
    assert stage.session(session).status == "failed"
    classes = [error_class for _, _, error_class in outcomes(stage, session)]
    assert classes == ["lost"] * 4 + ["internal"] * 4 + ["lost"] * 3 + ["internal"]
    assert [each.session_agent_uuid for each in stage.queue.buried] == [agent.session_agent_uuid]


@pytest.mark.parametrize("kind", ["completed", "failed", "pending", "job"])
def test_a_recorded_end_that_kills_its_process_each_time_is_tried_five_times(
    kind: str, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(app)
    results = {"completed": lambda request: "ok", "failed": failing("no")}
    job = AgentResult("", async_task_uuid=f"job-{kind}", heartbeat_seconds=3600)
    stage.runtime.behaviours["a"] = results.get(kind, lambda request: job)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.waiting
    if kind == "job":
        run_step(stage.app, message.wake)
        complete_async_task(stage.app, TENANT, "job-job", result="ok")
    dying = {
        "completed": "complete",
        "failed": "fail",
        "pending": "wait_for_task",
        "job": "complete",
    }[kind]

    def die(*_: object, **__: object) -> None:
        raise Crash

    monkeypatch.setattr(stage.app.agents, dying, die)
    for _ in range(5):
        with pytest.raises(Crash):
            run_step(stage.app, message.wake)
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, message.wake)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, stage.session(session).status) == ("failed", "failed")
    assert "5 t" in agent.notes
    assert stage.runtime.ran() == ["a"]
    assert [status for _, status, _ in outcomes(stage, session)] == [
        "pending" if kind == "job" else kind
    ]
    assert [each.session_agent_uuid for each in stage.queue.buried] == [agent.session_agent_uuid]
