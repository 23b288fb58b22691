"""Attempts whose worker dies or meets an error: how often they are tried again, and what becomes of
a message that is poison.
"""

from datetime import datetime

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import new_lease
from ai_coordination_engine.engine.step import Busy, poison, run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.errors import NotFound, Unavailable
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentRequest,
    AgentResult,
)
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.attempts import ERROR
from ai_coordination_engine.store.transitions.outcome import Applied
from tests.kit.controls import cancel, retry
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of


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


def renewing(stage: Stage, session: Session, write: int) -> None:
    """The worker of agent a lives, and takes its lease anew just before that write of another."""
    writes = 0

    def reach(name: str) -> None:
        nonlocal writes
        writes += name in ("PutItem", "UpdateItem")
        if writes == write:
            stage.boundary.reach = lambda name: None
            agent = stage.agent(session.session_uuid, "a")
            assert isinstance(stage.app.agents.renew(agent, new_lease(stage.app)), Applied)

    stage.boundary.reach = reach


def test_an_attempt_whose_worker_is_faster_than_who_ends_it_with_its_session_is_not_lost(
    app: App,
) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": "", "b": ""}))
    stage.runtime.behaviours.update({"a": crash, "b": failing("no")})
    of_a, of_b = stage.queue.waiting
    with pytest.raises(Crash):
        run_step(stage.app, of_a.wake)
    run_step(stage.app, of_b.wake)
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    renewing(stage, session, write=2)  # a refused claim, then the end
    with pytest.raises(Busy):
        run_step(stage.app, of_a.wake)
    agent = stage.agent(session.session_uuid, "a")
    assert (stage.session(session).status, agent.state, agent.attempt) == ("failed", "executing", 1)
    assert stage.attempts(session) == [(1, "failed", "error")]
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, of_a.wake)
    assert stage.states(session.session_uuid) == {"a": "skipped", "b": "failed"}
    assert stage.attempts(session) == [(1, "failed", "error"), (1, "lost", "lost")]


def test_an_attempt_whose_worker_is_faster_than_its_dead_letter_is_not_lost(app: App) -> None:
    stage = stage_of(app)
    session = lost(stage, "a", 1)
    (message,) = stage.queue.waiting
    renewing(stage, session, write=1)
    poison(stage.app, message.wake, "it is poison")
    assert stage.agent(session.session_uuid, "a").state == "executing"
    assert stage.attempts(session) == []
    stage.runtime.behaviours["a"] = lambda request: "well"
    stage.drain()
    check_promises(stage, session)


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
    assert stage.attempts(session) == [(n, "lost", "lost") for n in (1, 2, 3, 4, 5)]
    assert stage.queue.dead_letters == [delivery.wake]


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
    assert (stage.agent(session.session_uuid, "a").attempt, stage.queue.dead_letters) == (13, [])


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


def test_an_agent_whose_message_cannot_be_dead_lettered_has_an_expired_lease(
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


def test_an_agents_own_lease_is_as_long_as_it_says_on_a_clock_that_goes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(app)
    session = stage.start(
        stage.define({"a": ""}, actions={"a": {"policy": {"timeout_seconds": 5}}})
    )
    now = stage.clock.now

    def later() -> datetime:
        stage.clock.advance(0.000_001)
        return now()

    monkeypatch.setattr(stage.clock, "now", later)
    begun = now().timestamp()

    def look(request: AgentRequest) -> str:
        until = stage.agent(session.session_uuid, "a").lease_until
        assert until is not None
        assert until - begun == pytest.approx(5 + stage.app.settings.lease_margin_seconds, abs=0.1)
        return "ok"

    stage.runtime.behaviours["a"] = look
    stage.drain()
    check_promises(stage, session)


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
    assert (stage.agent(session.session_uuid, "a").state, stage.queue.dead_letters) == (
        "completed",
        [],
    )


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
    assert stage.attempts(session) == [
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
    classes = [error_class for _, _, error_class in stage.attempts(session)]
    assert classes == ["lost"] * 4 + ["internal"] * 4 + ["lost"] * 3 + ["internal"]
    assert [each.session_agent_uuid for each in stage.queue.dead_letters] == [
        agent.session_agent_uuid
    ]


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
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
        "pending": "wait_for_job",
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
    assert [status for _, status, _ in stage.attempts(session)] == [
        "pending" if kind == "job" else kind
    ]
    assert [each.session_agent_uuid for each in stage.queue.dead_letters] == [
        agent.session_agent_uuid
    ]
