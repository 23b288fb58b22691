"""An attempt whose run is recorded is never executed again: whoever takes over concludes from its
run (promise P5).
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph import inputs
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentFailure,
    AgentRequest,
    AgentResult,
)
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.records.entities import SESSION_AGENT, SESSION_RUN
from ai_coordination_engine.store.records.guards import delete
from tests.kit.controls import cancel, rerun, retry
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import complete, pending, work_now

ACT = {"action_function": {"module_name": "shop", "function_name": "act"}}
Run = tuple[int, str]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def started(stage: Stage, graph: Any = None, **task: Any) -> Session:
    return stage.start(stage.define(graph or {"a": "", "b": "a"}, **task))


def once_recorded(stage: Stage, act: Callable[[], None], runs: int = 1) -> None:
    """Have `act` happen right after the worker has written so many session runs."""
    answered = 0

    def reach(name: str) -> None:
        nonlocal answered
        answered += name == "PutItem"
        if answered == 2 * runs:  # before the call, and after it
            stage.boundary.reach = lambda name: None
            act()

    stage.boundary.reach = reach


def die() -> None:
    raise Crash


def refuse() -> None:
    raise Throttled("not now")


def work(stage: Stage, error: type[BaseException] = Crash) -> None:
    """A worker without time for a second try meets `error`; its message comes into sight again."""
    delivery = stage.queue.receive()
    assert delivery is not None
    with pytest.raises(error):
        run_step(stage.app, delivery.wake, deadline=stage.clock.now().timestamp())
    stage.queue.put_back(delivery)


def recorded(stage: Stage, session: Session, agent: str = "a") -> list[Run]:
    runs = [
        each.async_task for each in stage.runs(session.session_uuid) if each.agent_uuid == agent
    ]
    return sorted((run["attempt"], run["status"]) for run in runs)


# Who takes over


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
@pytest.mark.parametrize(
    ("meet", "error"), [(die, Crash), (refuse, Throttled)], ids=["dead", "refused"]
)
def test_a_completed_run_completes_its_agent_without_another_call(
    stage: Stage, meet: Callable[[], None], error: type[BaseException]
) -> None:
    session = started(stage)
    once_recorded(stage, meet)
    work(stage, error)
    assert (stage.agent(session.session_uuid, "a").state, recorded(stage, session)) == (
        "executing",
        [(1, "completed")],
    )
    stage.requests.clear()
    stage.drain()
    assert stage.requests["BatchGetItem"] == 1  # the take-over's read
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert recorded(stage, session) == [(1, "completed")]
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.attempt, agent.agent_output, agent.lost_runs) == (1, "A", None)
    check_redelivery_changes_nothing(stage, session)


def test_an_attempt_that_left_no_run_is_lost_and_costs_two_reads_more(stage: Stage) -> None:
    def crash_once(request: AgentRequest) -> str:
        if request.attempt == 1:
            raise Crash
        return "well"

    stage.runtime.behaviours["a"] = crash_once
    session = started(stage, {"a": ""})
    work(stage)
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    stage.requests.clear()
    stage.drain()
    assert recorded(stage, session) == [(1, "lost"), (2, "completed")]
    # a refused claim, whether the session has ended, the take-over, the session's end and the
    # agent's; two runs; and the lost one is looked for before the take-over, and once more before
    # the call
    assert stage.requests == {"UpdateItem": 4, "GetItem": 1, "PutItem": 2, "BatchGetItem": 2}


def dying_then_slow(stage: Stage, meanwhile: Callable[[Session, SessionAgent], object]) -> Session:
    """A session whose worker died, and whose next one reads so long that it renews its lease, while
    something happens to the first attempt.
    """
    stage.runtime.behaviours["a"] = lambda request: die() or ""
    session = started(stage, {"a": ""})
    work(stage)
    first = stage.agent(session.session_uuid, "a")
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    updates = 0

    def reach(name: str) -> None:
        nonlocal updates
        updates += name == "UpdateItem"
        if name == "UpdateItem" and updates == 4:  # a refused claim, then it has taken over
            stage.clock.advance(stage.app.settings.lease_seconds - 20)
        if updates == 5:  # it is about to renew its lease
            stage.boundary.reach = lambda name: None
            meanwhile(session, first)

    stage.boundary.reach = reach
    stage.drain()
    return session


def test_a_run_that_is_recorded_while_whoever_took_over_renews_its_lease_is_found(
    stage: Stage,
) -> None:
    session = dying_then_slow(
        stage,
        lambda _, late: runs.record(
            stage.app, late, stage.clock.now(), outcome="completed", output="late"
        ),
    )
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a"]
    assert stage.agent(session.session_uuid, "a").agent_output == "late"


def test_whoever_took_over_and_finds_its_session_cancelled_records_the_lost_attempts_too(
    stage: Stage,
) -> None:
    session = dying_then_slow(stage, lambda session, _: cancel(stage, session))
    check_promises(stage, session, status="cancelled")
    assert recorded(stage, session) == [(1, "lost"), (2, "lost")]


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_a_recorded_failure_counts_as_that_failure_and_waits_as_long(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = failing(
        "full", times=1, retryable=True, error_class="rate_limit", retry_after=30
    )
    session = started(stage)
    once_recorded(stage, die)
    work(stage)
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    now = stage.clock.now().timestamp()
    work_now(stage)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.attempt, agent.failures, agent.notes) == ("pending", 1, 1, "full")
    assert agent.not_before >= now + 30
    stage.drain()
    check_promises(stage, session)
    assert recorded(stage, session) == [(1, "failed"), (2, "completed")]


def test_a_recorded_failure_that_is_final_fails_the_agent_without_another_call(
    stage: Stage,
) -> None:
    stage.runtime.behaviours["a"] = failing("never")
    session = started(stage)
    once_recorded(stage, die)
    stage.drain()
    check_promises(stage, session, status="failed")
    assert (stage.runtime.ran(), recorded(stage, session)) == (["a"], [(1, "failed")])


def test_a_long_job_that_was_recorded_is_waited_for_and_not_begun_again(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = pending()
    session = started(stage)
    once_recorded(stage, die, runs=2)  # the first is the job's own item
    work(stage)
    assert recorded(stage, session) == [(1, "pending")]
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    work_now(stage)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.attempt, agent.async_task_uuid, agent.lease_until) == (
        "pending",
        1,
        "job-1",
        None,
    )
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert stage.runtime.requests[1].predecessors[0].output == "done"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_long_job_is_waited_for_when_those_who_take_over_die_too(
    stage: Stage, deaths: int
) -> None:
    stage.runtime.behaviours["a"] = pending()
    session = started(stage)
    once_recorded(stage, die, runs=2)  # the first is the job's own item
    work(stage)
    for _ in range(deaths):
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        stage.boundary.reach = lambda name: die() if name == "BatchGetItem" else None
        work(stage)
        stage.boundary.reach = lambda name: None
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    work_now(stage)
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert recorded(stage, session) == [(1, "pending")]
    assert stage.runtime.requests[1].predecessors[0].output == "done"


def test_a_large_output_is_one_blob_of_the_agent_to_which_the_run_refers(app: App) -> None:
    stage = stage_of(app, inline_limit=2000)
    stage.runtime.behaviours["a"] = lambda request: "x" * 5000
    session = started(stage)
    once_recorded(stage, die)
    stage.drain()
    check_promises(stage, session)
    agent = stage.agent(session.session_uuid, "a")
    (run,) = [each for each in stage.runs(session.session_uuid) if each.agent_uuid == "a"]
    assert isinstance(agent.stored("agent_output"), BlobReference)
    assert (run.agent_output, run.has_blobs, agent.has_blobs) == (agent.agent_output, None, True)
    assert stage.blobs.puts == [agent.stored("agent_output").key]
    assert stage.runtime.requests[1].predecessors[0].output == "x" * 5000


@pytest.mark.parametrize("elements", ['["x", "y"]', "[]"])
def test_a_map_whose_run_is_recorded_is_gathered_again_in_the_same_attempt(
    stage: Stage, elements: str
) -> None:
    stage.runtime.behaviours["a"] = lambda request: elements
    session = started(stage, {"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}})
    # of a, two elements, and the run of each
    once_recorded(stage, die, runs=2 if elements == "[]" else 6)
    stage.drain()
    check_promises(stage, session)
    whole = stage.agents(session.session_uuid)[1]
    assert whole.agent_output == ('["M", "M"]' if elements != "[]" else "[]")
    assert len(stage.runs(session.session_uuid)) == len(stage.agents(session.session_uuid))


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_a_completed_run_counts_though_what_the_agent_was_given_is_gone(stage: Stage) -> None:
    session = started(stage)
    work_one(stage)
    once_recorded(stage, die)
    work(stage)
    first = stage.agent(session.session_uuid, "a")
    delete(stage.app.records, SESSION_AGENT, TENANT, (first.session_uuid, first.session_agent_uuid))
    stage.drain()
    assert stage.session(session).status == "completed"
    assert (stage.runtime.ran(), recorded(stage, session, "b")) == (["a", "b"], [(1, "completed")])


def work_one(stage: Stage) -> None:
    """A worker without time for more than one attempt."""
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(
        stage.app,
        delivery.wake,
        deadline=stage.clock.now().timestamp() + stage.app.settings.lease_seconds - 1,
    )
    stage.queue.delete(delivery)


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_a_map_whose_elements_were_made_too_long_by_hand_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.runtime.behaviours["a"] = lambda request: '["x", "y"]'
    session = started(stage, {"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}})
    once_recorded(stage, die, runs=6)
    while (delivery := stage.queue.receive()) is not None:
        try:
            run_step(stage.app, delivery.wake)
        except Crash:
            break
        stage.queue.delete(delivery)
    assert delivery is not None
    stage.queue.put_back(delivery)
    monkeypatch.setattr(inputs, "MAX_TEXT", 5)
    stage.drain()
    assert stage.session(session).status == "failed"
    assert stage.agents(session.session_uuid)[1].notes.startswith(
        "The outputs of the map's elements may have 5"
    )


@pytest.mark.parametrize("by", ["ann", "engine"])
def test_a_run_that_a_client_wrote_under_the_promised_uuid_is_not_taken_for_the_engines(
    stage: Stage, by: str
) -> None:
    asked = ask(stage.app, TENANT, Question(stage.define({"a": ""})[0], "why?"))
    values = {
        "coordination_uuid": asked.coordination_uuid,
        "session_agent_uuid": asked.session_agent_uuid,
        "agent_uuid": "a",
        "updated_by": by,
    }
    key, parent = (
        (asked.session_uuid, asked.run_uuid),
        (
            asked.coordination_uuid,
            asked.session_uuid,
        ),
    )
    stage.app.records.create_once(SESSION_RUN, TENANT, key, values, parent)
    stage.drain()
    runs = [each.async_task["status"] for each in stage.runs(asked.session_uuid) if each.async_task]
    assert runs == ["completed"]


def test_the_run_of_a_deleted_agent_is_taken_back_and_that_of_a_client_is_not(stage: Stage) -> None:
    asked = ask(stage.app, TENANT, Question(stage.define({"a": ""})[0], "why?"))
    agent_key = (asked.session_uuid, asked.session_agent_uuid)
    values = {
        "session_agent_uuid": asked.session_agent_uuid,
        "agent_uuid": "a",
        "updated_by": "ann",
    }
    key, parent = (
        (asked.session_uuid, asked.run_uuid),
        (
            asked.coordination_uuid,
            asked.session_uuid,
        ),
    )
    stage.app.records.create_once(
        SESSION_RUN, TENANT, key, {**values, "coordination_uuid": parent[0]}, parent
    )

    def deleted(request: AgentRequest) -> str:
        delete(stage.app.records, SESSION_AGENT, TENANT, agent_key)
        return "late"

    stage.runtime.behaviours["a"] = deleted
    stage.drain()
    assert [(each.run_uuid, each.updated_by) for each in stage.runs(asked.session_uuid)] == [
        (asked.run_uuid, "ann")
    ]


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
def test_whose_worker_dies_in_taking_over_again_and_again_is_concluded_all_the_same(
    stage: Stage,
) -> None:
    session = started(stage)
    once_recorded(stage, die)
    work(stage)
    for point in range(6):  # once more than attempts may be lost, each at another point
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        with tripping(stage, 3 + point):
            work(stage)
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert (recorded(stage, session), stage.agent(session.session_uuid, "a").attempt) == (
        [(1, "completed")],
        1,
    )
    assert stage.queue.dead_letters == []


# Who is late


def test_of_a_slow_worker_and_the_one_that_took_over_one_completes_the_agent(stage: Stage) -> None:
    """The slow one has recorded its run; the other one concludes from it before the first goes
    on.
    """
    session = started(stage)
    takeovers: list[int] = []

    def take_over() -> None:
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        run_step(stage.app, stage.queue.sent[0])
        takeovers.append(len(stage.runtime.requests))

    once_recorded(stage, take_over)
    stage.drain()
    check_promises(stage, session)
    assert takeovers == [2]  # b was called by the one that took over
    assert (stage.runtime.ran(), recorded(stage, session)) == (["a", "b"], [(1, "completed")])
    check_redelivery_changes_nothing(stage, session)


@pytest.mark.parametrize("look", [1, 2])
def test_a_result_that_comes_before_the_next_call_spares_it(stage: Stage, look: int) -> None:
    """An attempt is taken over; its worker records it just before the other one looks for its run,
    which it does before it takes over, and before it calls the agent.
    """
    looks = count(1)
    session = started(stage, {"a": ""})

    def slow(request: AgentRequest) -> str:
        mine = stage.agent(session.session_uuid, "a")
        stage.clock.advance(stage.app.settings.lease_seconds + 1)

        def reach(name: str) -> None:
            if name == "BatchGetItem" and next(looks) == look:
                stage.boundary.reach = lambda name: None
                runs.record(stage.app, mine, stage.clock.now(), outcome="completed", output="late")

        stage.boundary.reach = reach
        run_step(stage.app, stage.queue.sent[0])
        return "late"

    stage.runtime.behaviours["a"] = slow
    stage.drain()
    check_promises(stage, session)
    assert (stage.runtime.ran(), recorded(stage, session)) == (["a"], [(1, "completed")])
    assert stage.agent(session.session_uuid, "a").agent_output == "late"


def test_an_earlier_completed_attempt_counts_when_the_latest_has_died(stage: Stage) -> None:
    """The first attempt is late, the second takes over and dies; the first has been recorded by
    then.
    """
    session = started(stage, {"a": ""})

    def behave(request: AgentRequest) -> str:
        if request.attempt == 1:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            with pytest.raises(Crash):
                run_step(stage.app, stage.queue.sent[0])
            return "late"
        raise Crash

    stage.runtime.behaviours["a"] = behave
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(stage.app, delivery.wake)
    assert recorded(stage, session) == [(1, "completed")]
    stage.queue.put_back(delivery)
    stage.drain()
    check_promises(stage, session)
    assert (stage.runtime.ran(), recorded(stage, session)) == (
        ["a", "a"],
        [(1, "completed"), (2, "lost")],
    )
    assert stage.agent(session.session_uuid, "a").agent_output == "late"


# Action functions


def test_an_action_function_that_may_pass_is_tried_again_on_the_same_answer(stage: Stage) -> None:
    seen: list[ActionRequest] = []

    def act(request: ActionRequest) -> ActionResult:
        seen.append(request)
        if len(seen) < 3:
            raise AgentFailure("busy", retryable=True, error_class="unavailable")
        return ActionResult(output=request.output + "!")

    stage.actions.functions["shop.act"] = act
    session = started(stage, actions={"a": ACT})
    work_now(stage)
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.acting, agent.attempt, agent.lease_until) == (
        "pending",
        True,
        1,
        None,
    )
    assert agent.not_before > stage.clock.now().timestamp()
    run_step(stage.app, stage.queue.sent[0])  # too early: nothing happens
    assert len(seen) == 1
    stage.drain()
    check_promises(stage, session)
    assert [each.output for each in seen] == ["A", "A", "A"]
    assert (stage.runtime.ran(), recorded(stage, session)) == (["a", "b"], [(1, "completed")])
    assert stage.agent(session.session_uuid, "a").agent_output == "A!"
    check_redelivery_changes_nothing(stage, session)


def test_an_action_function_that_fails_too_often_fails_its_agent_which_ran_once(
    stage: Stage,
) -> None:
    def act(request: ActionRequest) -> ActionResult:
        raise AgentFailure("busy", retryable=True)

    stage.actions.functions["shop.act"] = act
    session = started(stage, actions={"a": ACT})
    stage.drain()
    check_promises(stage, session, status="failed")
    assert len(stage.actions.requests) == stage.app.settings.agent_attempts
    assert (stage.runtime.ran(), stage.agent(session.session_uuid, "a").notes) == (["a"], "busy")


def test_an_action_function_after_a_long_job_is_tried_again_without_another_job(
    stage: Stage,
) -> None:
    def act(request: ActionRequest) -> ActionResult:
        if len(stage.actions.requests) == 1:
            raise AgentFailure("busy", retryable=True)
        return ActionResult()

    stage.actions.functions["shop.act"] = act
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", async_task_uuid="job-1")
    session = started(stage, actions={"a": ACT})
    work_now(stage)
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    assert (stage.runtime.ran(), len(stage.actions.requests)) == (["a", "b"], 2)


# The key of what is attempted


def test_all_attempts_of_an_agent_carry_one_key_and_another_one_when_it_runs_again(
    stage: Stage,
) -> None:
    stage.runtime.behaviours["b"] = failing("later", times=2, retryable=True)
    session = started(stage)
    stage.drain()
    keys = {
        each.agent_uuid: {
            r.idempotency_key for r in stage.runtime.requests if r.agent_uuid == each.agent_uuid
        }
        for each in stage.runtime.requests
    }
    assert [len(each) for each in keys.values()] == [1, 1]
    assert keys["a"] != keys["b"]
    assert len({each.run_uuid for each in stage.runtime.requests}) == 4
    stage.runtime.behaviours.clear()
    rerun(stage, session, "b")
    stage.drain()
    again = stage.runtime.requests[-1]
    assert (again.agent_uuid, again.idempotency_key in keys["b"]) == ("b", False)
    # what is run again on purpose is executed again
    assert stage.runtime.ran() == ["a", "b", "b", "b", "b"]


def test_a_retry_of_the_session_and_a_fallback_are_other_operations(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = failing("never")
    stage.runtime.behaviours["spare"] = failing("never")
    session = started(stage, {"a": ""}, actions={"a": {"fallback": "spare"}}, agents={"spare": {}})
    stage.drain()
    assert stage.runtime.ran() == ["a", "spare"]
    retry(stage, session)
    stage.drain()
    assert stage.runtime.ran() == ["a", "spare"] * 2
    assert len({each.idempotency_key for each in stage.runtime.requests}) == 4
