"""Promise P4, nothing hangs unseen: wherever a process dies, a message, a watch or a person
remains.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import NotFound, Throttled
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards
from benchmarks.harness.api import Api
from tests.kit.api import code
from tests.kit.controls import DIAMOND, names, pause, put_right, race, resume, retry, sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import at_point, work_now

PERSON = {"user_in_the_loop": "ann"}


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app)
    settings = app.settings.model_copy(update={"triage_hops": 0})  # its questions have one agent
    stage.app = replace(stage.app, settings=settings)
    return stage


def pass_time(stage: Stage, seconds: float, step: float = 60) -> None:
    """Run the sweep at intervals, and workers on all visible messages."""
    end = stage.clock.now().timestamp() + seconds
    work_now(stage)
    while stage.clock.now().timestamp() < end:
        sweep_after(stage, step)
        work_now(stage)


def job(uuid: str, heartbeat_seconds: float) -> Callable[[AgentRequest], AgentResult]:
    return lambda request: AgentResult(
        "", async_task_uuid=uuid, heartbeat_seconds=heartbeat_seconds
    )


def asked(stage: Stage, session: Session, agent_uuid: str) -> SessionAgent:
    """Return the session agent of a question in a session."""
    question = Question(
        session.coordination_uuid, "why?", agent_uuid=agent_uuid, session_uuid=session.session_uuid
    )
    return ask(stage.app, TENANT, question).agent


def state_of(stage: Stage, agent: SessionAgent) -> str:
    key = (agent.session_uuid, agent.session_agent_uuid)
    return str(stage.looking.get(SESSION_AGENT, TENANT, key, consistent=True).state)


# Questions outlive their session


def with_a_question(stage: Stage, *, first: bool) -> tuple[Session, SessionAgent]:
    """Return an ended session with a question to `q`, asked before its end (`first`) or
    after it.
    """
    session = stage.start(stage.define({"a": ""}, agents={"q": {"agent_type": "triage"}}))
    if first:
        question = asked(stage, session, "q")
        start = stage.queue.waiting.pop(0)
        work_now(stage)
        stage.queue.put_back(start)
        work_now(stage)
    else:
        work_now(stage)
        question = asked(stage, session, "q")
        work_now(stage)
    assert stage.session(session).status == "completed"
    return session, question


@pytest.mark.parametrize("first", [True, False])
def test_a_question_is_asked_again_when_its_model_says_so_though_its_session_has_ended(
    stage: Stage, *, first: bool
) -> None:
    stage.runtime.behaviours["q"] = failing("busy", 1, retryable=True, retry_after=1_000)
    session, question = with_a_question(stage, first=first)
    pass_time(stage, 960)
    assert state_of(stage, question) == "pending"
    pass_time(stage, 120)
    assert state_of(stage, question) == "completed"
    pass_time(stage, 1_200)
    assert stage.session(session).watch_at is None


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("silence", [60, 1_000])
def test_the_silence_of_a_questions_job_is_noticed_though_its_session_has_ended(
    stage: Stage, silence: float, *, first: bool
) -> None:
    stage.runtime.behaviours["q"] = job("job", silence)
    session, question = with_a_question(stage, first=first)
    stage.runtime.behaviours["q"] = lambda request: "ok"
    pass_time(stage, silence + 120)
    assert state_of(stage, question) == "completed"
    assert [
        run.async_task["attempt"]
        for run in stage.runs(session.session_uuid)
        if run.agent_uuid == "q"
    ] == [1, 2]


def test_a_question_whose_worker_dies_anywhere_is_answered_in_the_end(stage: Stage) -> None:
    """The agent first fails, then its job goes silent; a worker dies at each point in turn."""

    def behave(request: AgentRequest) -> Any:
        if request.attempt == 1:
            return failing("busy", retryable=True, retry_after=1_000)(request)
        return job(f"job{point}", 1_000)(request) if request.attempt == 2 else "ok"

    for point in range(1, 200, 2):
        stage.runtime.behaviours["q"] = lambda request: "ok"
        session = stage.start(stage.define({"a": ""}, agents={"q": {"agent_type": "triage"}}))
        work_now(stage)
        stage.runtime.behaviours["q"] = behave
        question = asked(stage, session, "q")
        with tripping(stage, point) as tripwire:
            for _ in range(9):
                sweep_and_work(stage, 510)
        assert state_of(stage, question) == "completed", point
        if not tripwire.trips:
            break
    assert point > 20


def sweep_and_work(stage: Stage, seconds: float) -> None:
    """Let time pass while sweeps and workers die; messages come again after the lease."""
    with suppress(Crash):
        sweep_after(stage, seconds)
    stage._revive()
    while delivery := stage.queue.receive():
        try:
            run_step(stage.app, delivery.wake)
            stage.queue.delete(delivery)
        except Crash:
            stage._revive()
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            stage.queue.put_back(delivery)


def test_a_question_goes_on_when_its_paused_session_ends(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}, agents={"q": {"agent_type": "triage"}}))
    question: list[SessionAgent] = []

    def pause_it(request: AgentRequest) -> str:
        question.append(asked(stage, session, "q"))
        pause(stage, session)
        return "done"

    stage.runtime.behaviours["a"] = pause_it
    work_now(stage)
    assert stage.session(session).status == "completed"
    assert state_of(stage, question[0]) == "initial"
    pass_time(stage, 120)
    assert state_of(stage, question[0]) == "completed"
    pass_time(stage, 1_000)
    assert stage.session(session).watch_at is None


# Who ends a wait dies


def waiting(stage: Stage, **behaviour: Any) -> Session:
    """Return an unwatched session in which everything waits for the outside."""
    session = stage.start(stage.define({"a": "", "b": "a"}, actions={"a": PERSON}))
    work_now(stage)
    pass_time(stage, 1_000, 1_000)
    assert stage.session(session).watch_at is None
    return session


def answer(stage: Stage, session: Session) -> None:
    uuid = stage.agent(session.session_uuid, "a").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "yes")


@pytest.mark.parametrize("point", range(1, 9))
def test_whoever_gives_an_answer_may_die_anywhere(stage: Stage, point: int) -> None:
    session = waiting(stage)
    with tripping(stage, point) as tripwire, suppress(Crash):
        answer(stage, session)
    assert tripwire.trips == 1
    stage.queue.waiting.clear()
    pass_time(stage, 1_000)
    answered = stage.agent(session.session_uuid, "a").user_input is not None
    assert answered is (point > 5)
    assert stage.session(session).status == ("completed" if answered else "dispatched")
    assert stage.session(session).watch_at is None


@pytest.mark.parametrize("point", range(1, 11))
def test_whoever_reports_a_job_may_die_anywhere(stage: Stage, point: int) -> None:
    stage.runtime.behaviours["a"] = job("job", 1_000_000)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    work_now(stage)
    pass_time(stage, 1_000)
    with tripping(stage, point) as tripwire, suppress(Crash):
        complete_async_task(stage.app, TENANT, "job", result="done")
    assert tripwire.trips == 1
    stage.queue.waiting.clear()
    pass_time(stage, 1_000)
    task = stage.app.jobs.get(TENANT, "job")
    assert task is not None
    assert (task.status, stage.session(session).status) == (
        ("completed", "completed") if point > 7 else ("pending", "dispatched")
    )


def test_whoever_ends_an_agent_by_hand_may_die_before_the_message(stage: Stage, api: Api) -> None:
    session = waiting(stage)
    uuids = {"sessionUuid": session.session_uuid}
    uuids["sessionAgentUuid"] = stage.agent(session.session_uuid, "a").session_agent_uuid
    api.app = stage.app
    stage.queue.refuses = True
    assert (
        code(api, "insertUpdateSessionAgent", **uuids, state="completed", updatedBy="ann")
        == "THROTTLED"
    )
    stage.queue.refuses = False
    pass_time(stage, 1_000)
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "completed"}
    assert (stage.session(session).status, stage.session(session).watch_at) == ("completed", None)


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_whoever_ends_a_session_by_hand_may_die_before_its_agents(
    status: str, stage: Stage, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Throttled("later")

    session = waiting(stage)
    assert stage.session(session).watch_at is None
    api.app = stage.app
    uuids = {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}
    with monkeypatch.context() as patched:
        patched.setattr(control, "session_ended", die)
        assert (
            code(api, "insertUpdateSession", **uuids, status=status, updatedBy="ann") == "THROTTLED"
        )
    pass_time(stage, 100)
    ended = "cancelled" if status == "cancelled" else "skipped"
    assert stage.states(session.session_uuid) == {"a": ended, "b": ended}
    assert (stage.session(session).status, stage.runtime.ran()) == (status, [])
    pass_time(stage, 1_000)
    assert stage.session(session).watch_at is None


def test_an_answer_beside_the_sweep_is_seen_though_its_giver_dies(stage: Stage) -> None:
    """The answering server dies right after the write, at any point of a concurrent sweep."""
    task = stage.define({"a": "", "b": "a"}, actions={"a": PERSON})
    for point in range(1, 100):
        session = stage.start(task)
        work_now(stage)
        answered = at_point(stage, point, partial(answer_and_die, stage, session))
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
        stage.boundary.reach = lambda name: None
        if not answered():
            break
        pass_time(stage, 2_000, 1_000)
        check_promises(stage, session)
    assert point > 20


def answer_and_die(stage: Stage, session: Session) -> None:
    """Answer and die before the message is sent."""
    stage.queue.refuses = True
    with suppress(Throttled):
        answer(stage, session)
    stage.queue.refuses = False


# Long jobs


def test_a_worker_may_die_anywhere_while_it_parks_a_job(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = job("job", 1_000)
    task = stage.define({"a": "", "b": "", "c": "ab"}, actions={"a": PERSON})
    for point in range(1, 100):
        stage.runtime.behaviours["b"] = job(f"job{point}", 1_000)
        session = stage.start(task)
        _, b = stage.queue.waiting
        stage.queue.waiting.remove(b)
        work_now(stage)
        pass_time(stage, 1_000, 500)
        stage.queue.put_back(b)
        with tripping(stage, point) as tripwire:
            sweep_and_work(stage, 0)
        stage.runtime.behaviours["b"] = lambda request: "ok"
        pass_time(stage, 2_400, 600)
        assert stage.states(session.session_uuid)["b"] == "completed", point
        if not tripwire.trips:
            break
    assert point > 10


@pytest.mark.only_on("dynamodb")  # the answer of a file is not lost
def test_a_lost_answer_of_a_deferral_costs_no_more_than_a_minute(stage: Stage) -> None:
    stage.runtime.behaviours["b"] = job("job", 100)
    session = stage.start(stage.define({"a": "", "b": "", "c": "ab"}, actions={"a": PERSON}))
    work_now(stage)
    stage.clock.advance(60)
    task = stage.app.jobs.get(TENANT, "job")
    assert task is not None
    stage.app.jobs.heartbeat(task)
    stage.clock.advance(41)
    lost = lose_the_answer(stage)
    work_now(stage)
    assert lost
    stage.runtime.behaviours["b"] = lambda request: "ok"
    pass_time(stage, 120)
    assert stage.states(session.session_uuid)["b"] == "completed"


def lose_the_answer(stage: Stage) -> list[str]:
    """Lose the response to the next update, which the client repeats; fill the list when it has."""
    lost: list[str] = []

    def repeats(operation: str) -> bool:
        if operation != "UpdateItem" or lost or stage.requests["UpdateItem"] == before:
            return False
        lost.append(operation)
        return True

    before = stage.requests["UpdateItem"]
    stage.database.repeats = repeats
    return lost


# What is gone


def delete(stage: Stage, session: Session, agent_uuid: str) -> None:
    """Delete the agent as a client that saw the session after its end."""
    found = stage.agent(session.session_uuid, agent_uuid)
    key = (found.session_uuid, found.session_agent_uuid)
    stage.app.records.table(SESSION_AGENT).delete(TENANT, key, SessionAgent.state.exists())


@pytest.mark.parametrize("counter_shard", [100, 2])
@pytest.mark.parametrize(
    ("graph", "victim", "states"),
    [
        ({"a": "", "b": "", "c": "", "f": "", "z": "abcf"}, "a", {"z": "failed"}),
        ({"a": "", "b": "", "c": "", "f": "abc"}, "f", {"a": "completed"}),
        ({"a": "", "b": "", "c": "", "f": ""}, "f", {"a": "completed", "b": "completed"}),
    ],
    ids=["predecessor", "only sink", "one of many sinks"],
)
def test_an_agent_that_is_deleted_beside_a_retry_holds_up_nobody(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    graph: Any,
    victim: str,
    states: dict[str, str],
    counter_shard: int,
) -> None:
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", counter_shard)
    stage.runtime.behaviours["f"] = failing("no")
    session = stage.start(stage.define(graph))
    stage.drain()
    assert stage.session(session).status == "failed"
    stage.runtime.behaviours["f"] = lambda request: "ok"
    stage.queue.refuses = True
    with suppress(Throttled):
        retry(stage, session)
    stage.queue.refuses = False
    delete(stage, session, victim)
    pass_time(stage, 1_200)
    found = stage.session(session)
    assert (found.status, found.watch_at) == ("failed", None)
    assert {
        name: state for name, state in stage.states(session.session_uuid).items() if name in states
    } == states
    assert "was deleted" in str(found.logs)


def test_a_predecessor_may_be_deleted_at_any_moment_of_a_retry(stage: Stage) -> None:
    """A client saw the session ended and deletes during the retry; successors fail without its
    output.
    """
    task = stage.define({"a": "", "b": "a", "f": "b"})
    for read in range(1, 10):
        stage.runtime.behaviours["f"] = failing("no")
        session = stage.start(task)
        stage.drain()
        stage.runtime.behaviours["f"] = lambda request: "ok"
        happened = race(stage, session, read, partial(delete, stage, session, "b"))
        with suppress(NotFound):
            retry(stage, session)
        stage.boundary.reach = lambda name: None
        if not happened():
            break
        pass_time(stage, 2_000, 1_000)
        assert (stage.session(session).status, stage.states(session.session_uuid)) == (
            "failed",
            {"a": "completed", "f": "failed"},
        )
    assert read > 2


@pytest.mark.parametrize("ended", [True, False])
def test_a_session_is_not_counted_by_what_is_left_of_one_that_had_its_uuid(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    """The counter shards of its many sinks remain when a session is deleted, full or not."""
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", 2)
    task = stage.define(dict.fromkeys("abcde", ""))
    for finished in ("abcde" if ended else "de", "abcde"):
        session = stage.start(task, session_uuid="mine")
        for delivery in list(stage.queue.waiting):
            uuid = delivery.wake.session_agent_uuid
            if stage.looking.get(SESSION_AGENT, TENANT, ("mine", uuid)).agent_uuid in finished:
                assert stage.session(session).status == "dispatched"
                run_step(stage.app, delivery.wake)
        stage.queue.waiting.clear()
        if finished == "abcde":
            assert stage.session(session).status == "completed"
        for each in stage.agents("mine"):
            delete(stage, session, each.agent_uuid)
        stage.app.records.table(SESSION).delete(TENANT, names(session), Session.status.exists())


# What nobody stands for


def test_what_nobody_stands_for_is_looked_at_and_told(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Even without progress: a wait that nobody can end is not accepted as a wait."""
    session = stage.start(stage.define(DIAMOND, actions={"b": PERSON}))
    work_now(stage)
    pass_time(stage, 1_000)
    assert stage.session(session).watch_at is None  # ann is waited for, and d waits for b
    broken = stage.agent(session.session_uuid, "d")
    key = (broken.session_uuid, broken.session_agent_uuid)
    nobody = [SessionAgent.unfinished.remove(), SessionAgent.in_degree.set(3)]
    stage.looking.table(SESSION_AGENT).update(TENANT, key, nobody, SessionAgent.state.exists())
    for _ in range(3):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            put_right(stage, session)
        (record,) = [each for each in caplog.records if each.message == "stuck"]
        assert record.missing == [f"d ({broken.session_agent_uuid}) waits for nobody"]  # type: ignore[attr-defined]
        assert record.session_uuid == session.session_uuid  # type: ignore[attr-defined]
        assert (
            stage.session(session).watch_at
            == stage.clock.now().timestamp() + stage.app.settings.watch_seconds
        )
        stage.clock.advance(1_000)


def test_a_session_without_an_open_agent_that_has_not_ended_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    session = stage.start(stage.define({"a": "", "b": ""}))
    for act in (pause, resume):  # its row tells that it is confirmed
        act(stage, session)
    for each in stage.agents(session.session_uuid):
        delete(stage, session, each.agent_uuid)
    stage.queue.waiting.clear()
    with caplog.at_level(logging.WARNING):
        sweep_after(stage, 1_000)
    (record,) = [each for each in caplog.records if each.message == "stuck"]
    assert record.missing == ["the session waits for 2 of its agents"]  # type: ignore[attr-defined]
    found = stage.looking.table(SESSION).get(TENANT, names(session), consistent=True)
    assert found.watch_at is not None
