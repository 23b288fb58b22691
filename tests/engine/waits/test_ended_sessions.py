"""What begins to wait in a session that has ended at that moment does not wait for ever."""

from contextlib import suppress
from typing import Any

import pytest

from ai_coordination_engine.api import resources
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.advance import maps
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import session_ended
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import heartbeat as keep_alive
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from tests.kit.controls import cancel, sweep_after
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.promises import check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import complete, work_now

HOUR = 3600


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def started(stage: Stage, graph: Any, **task: Any) -> Session:
    return stage.start(stage.define(graph, **task))


def test_a_long_job_that_begins_while_its_session_fails_is_not_waited_for(stage: Stage) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)  # meanwhile the other agent fails the session
        return AgentResult("", {}, "job-1", HOUR)

    stage.runtime.behaviours.update({"b": begin, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    work_now(stage)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}
    assert (stage.session(session).status, stage.queue.waiting) == ("failed", [])


def test_a_long_job_that_begins_while_another_answer_is_enough_is_not_waited_for(
    stage: Stage,
) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)
        return AgentResult("", {}, "job-1")

    stage.runtime.behaviours["b"] = begin
    session = started(stage, {"b": "", "a": "", "c": "ab"}, actions={"c": {"join": "any"}})
    work_now(stage)
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "skipped",
        "c": "completed",
    }


def test_a_long_job_that_begins_while_its_session_is_cancelled_holds_nobody_up(
    stage: Stage,
) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        cancel(stage, session)
        return AgentResult("", {}, "job-1", HOUR)

    stage.runtime.behaviours["b"] = begin
    session = started(stage, {"b": ""})
    work_now(stage)
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.state, agent.lease_until, agent.async_task_uuid) == ("cancelled", None, None)
    (run,) = stage.runs(session.session_uuid)
    assert (run.async_task["status"], run.async_task_uuid) == ("pending", "job-1")
    check_redelivery_changes_nothing(stage, session)  # nobody is busy


def test_a_worker_that_dies_before_it_sees_that_leaves_it_to_the_next(stage: Stage) -> None:
    def begin(request: AgentRequest) -> AgentResult:
        work_now(stage)
        stage.boundary.reach = die_when_parked
        return AgentResult("", {}, "job-1", HOUR)

    def die_when_parked(name: str) -> None:
        if stage.agent(session.session_uuid, "b").async_task_uuid:
            stage.boundary.reach = lambda name: None
            raise Crash

    stage.runtime.behaviours.update({"b": begin, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    delivery = stage.queue.receive()
    assert delivery is not None
    with pytest.raises(Crash):
        run_step(stage.app, delivery.wake)
    assert stage.states(session.session_uuid) == {"b": "pending", "c": "failed"}
    run_step(stage.app, delivery.wake)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}


def test_a_long_backoff_that_begins_while_its_session_fails_ends_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(request: AgentRequest) -> str:
        raise AgentFailure("later", retryable=True, error_class="rate_limit", retry_after=HOUR)

    stage.runtime.behaviours.update({"b": busy, "c": failing("no")})
    session = started(stage, {"b": "", "c": ""})
    retry_later = stage.app.agents.retry_later

    def after_the_failure(*given: Any) -> Any:
        work_now(stage)
        return retry_later(*given)

    monkeypatch.setattr(stage.app.agents, "retry_later", after_the_failure)
    work_now(stage)
    assert stage.states(session.session_uuid) == {"b": "skipped", "c": "failed"}


@pytest.mark.parametrize("heartbeat", [600, HOUR])
def test_what_is_asked_in_a_session_that_has_ended_outlives_it(
    stage: Stage, heartbeat: int
) -> None:
    names = stage.define({"a": ""})
    session = stage.start(names)
    stage.drain()
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", {}, "job-1", heartbeat)
    asked = ask(
        stage.app, TENANT, Question(names[0], "how is it?", session_uuid=session.session_uuid)
    )
    work_now(stage)
    if heartbeat == 600:  # it is looked at when it was heard of
        stage.clock.advance(400)
        keep_alive(stage.app, TENANT, "job-1")
        stage.clock.advance(201)
        work_now(stage)
    complete(stage)
    work_now(stage)
    answer = stage.agents(session.session_uuid)[1]
    assert (answer.session_agent_uuid, answer.state, answer.agent_output) == (
        asked.session_agent_uuid,
        "completed",
        "done",
    )


def test_attempts_that_were_lost_before_a_map_was_skipped_are_recorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(app: App, agent: Any, budget: Any) -> Any:
        monkeypatch.undo()
        raise Crash

    monkeypatch.setattr(maps, "expand", die)
    stage.runtime.behaviours.update({"a": lambda request: '["x"]', "m": failing("no")})
    graph = {"a": "", "m": "a", "y": "m"}
    actions = {"m": {"map": {"over": "a"}}, "y": {"join": "all_terminal"}}
    session = started(stage, graph, actions=actions, on_failure="continue")
    stage.drain()
    join = stage.agents(session.session_uuid)[1]
    assert (join.state, join.attempt, stage.session(session).status) == ("skipped", 1, "completed")
    runs = [
        each
        for each in stage.runs(session.session_uuid)
        if each.session_agent_uuid == join.session_agent_uuid
    ]
    assert [(each.async_task["attempt"], each.async_task["status"]) for each in runs] == [
        (1, "lost")
    ]


def test_elements_of_a_map_that_is_expanded_while_its_session_is_cancelled_do_not_run(
    app: App,
) -> None:
    at = 0
    while True:
        at += 1
        stage = stage_of(app, behaviours={"a": lambda request: '["x", "y"]'})
        session = stage.start(
            stage.define({"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}})
        )
        first = stage.queue.receive()
        assert first is not None
        run_step(stage.app, first.wake, deadline=0)
        stage.queue.delete(first)
        expanding, reached = stage.queue.receive(), [0]
        assert expanding is not None

        def expand(name: str) -> None:
            reached[0] += 1  # noqa: B023  # called in this round
            if reached[0] == at and stage.session(session).status == "cancelled":  # noqa: B023
                stage.boundary.reach = lambda name: None  # noqa: B023
                run_step(stage.app, expanding.wake, deadline=0)  # noqa: B023

        stage.boundary.reach = expand
        cancel(stage, session)
        stage.boundary.reach = lambda name: None
        stage.drain()
        assert stage.runtime.ran() == ["a"]
        assert set(stage.states(session.session_uuid).values()) == {"completed", "cancelled"}
        if reached[0] < at:
            break
    assert at > 12


@pytest.mark.parametrize(
    ("ending", "dies"),
    [("fails", False), ("fails", True), ("is cancelled", False), ("is ended by hand", False)],
)
def test_elements_of_a_map_whose_session_ends_while_it_expands_do_not_run(
    ending: str, dies: bool, stage: Stage
) -> None:
    """At any point of the expansion, which goes on, or ends there and is begun again."""
    behaviours = {"a": lambda request: '["x", "y"]', "b": failing("no")}
    names = stage.define(
        {"a": "", "b": "", "m": "a", "z": "b"}, actions={"m": {"map": {"over": "a"}}}
    )
    at = 0
    while True:
        at += 1
        session = stage.renew(behaviours=behaviours).start(names)
        first, other = stage.queue.receive(), stage.queue.receive()
        assert first is not None
        assert other is not None
        run_step(stage.app, first.wake, deadline=0)
        stage.queue.delete(first)
        expanding, reached = stage.queue.receive(), [0]
        assert expanding is not None
        stage.requests.clear()

        def end(name: str) -> None:
            reached[0] += 1  # noqa: B023  # called in this round
            if reached[0] == at:  # noqa: B023
                stage.boundary.reach = lambda name: None
                end_session(stage, session, other.wake, ending)  # noqa: B023
                if dies:
                    raise Crash

        stage.boundary.reach = end
        with suppress(Crash):
            run_step(stage.app, expanding.wake, deadline=0)
        stage.boundary.reach = lambda name: None
        if reached[0] < at:
            break
        stage.queue.put_back(expanding)
        stage.drain()
        for _ in range(2):
            sweep_after(stage, stage.app.settings.lease_seconds + 2)
            stage.drain()
        assert "m" not in stage.runtime.ran()
        assert {each.state for each in stage.agents(session.session_uuid)} <= set(
            TERMINAL_AGENT_STATES
        )
        assert stage.queue.waiting == []
    assert at > 15


def end_session(stage: Stage, session: Session, fails: Wake, how: str) -> None:
    if how == "fails":
        run_step(stage.app, fails)
    elif how == "is cancelled":
        cancel(stage, session)
    else:
        key = session.key
        ended = stage.app.records.table(SESSION).update(
            session.partition_key, key, [Session.status.set("failed")], None
        )
        session_ended(stage.app, ended)


# The message of what is still open is lost, and the sweep ends it


def by_hand(stage: Stage, session: Session, status: str) -> None:
    coordination_uuid, session_uuid = session.key
    given = {"status": status, "updated_by": "ann", "coordination_uuid": coordination_uuid}
    resource = resources.SESSION
    resource.write(Context(stage.app, TENANT), resource, {**given, "session_uuid": session_uuid})


def swept(stage: Stage, session: Session) -> list[tuple[str, str, str]]:
    """The agents with their states and what became of their attempts, some sweeps later."""
    for _ in range(4):
        sweep_after(stage, stage.app.settings.watch_seconds + stage.app.settings.lease_seconds)
        stage.drain()
    assert stage.session(session).watch_at is None
    runs = {each.agent_uuid: each.async_task["status"] for each in stage.runs(session.session_uuid)}
    agents = stage.agents(session.session_uuid)
    return [(each.agent_uuid, each.state, runs.get(each.agent_uuid, "")) for each in agents]


@pytest.mark.parametrize("end", ["cancelled by hand", "cancelled", "failed"])
def test_an_attempt_whose_worker_dies_in_an_ended_session_is_recorded_though_its_message_is_lost(
    end: str, stage: Stage
) -> None:
    session = started(stage, {"a": "", "b": ""})

    def begin(request: AgentRequest) -> str:
        if end == "failed":
            work_now(stage)  # the other agent fails the session
        elif end == "cancelled":
            cancel(stage, session)
        else:
            by_hand(stage, session, "cancelled")
        raise Crash

    stage.runtime.behaviours.update({"a": begin, "b": failing("no")})
    message = stage.queue.receive()
    assert message is not None
    with pytest.raises(Crash):
        run_step(stage.app, message.wake)
    ended = [("a", "skipped", "lost"), ("b", "failed", "failed")]
    cancelled = [("a", "cancelled", "lost"), ("b", "cancelled", "")]
    assert swept(stage, session) == (ended if end == "failed" else cancelled)


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_question_whose_message_is_lost_is_answered_in_a_session_that_was_ended_by_hand(
    status: str, stage: Stage
) -> None:
    session = started(stage, {"a": ""}, actions={"a": {"user_in_the_loop": "x"}})
    stage.drain()
    question = Question(session.coordination_uuid, "q", session_uuid=session.session_uuid)
    ask(stage.app, TENANT, question)
    stage.queue.receive()
    by_hand(stage, session, status)
    assert swept(stage, session)[-1][1:] == ("completed", "completed")
