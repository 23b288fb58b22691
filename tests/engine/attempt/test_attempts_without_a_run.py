"""However an agent ends, each of its attempts has one run (promise P5): by hand, and after a wait,
too.
"""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, poison, run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from benchmarks.harness.api import Api
from tests.kit.controls import cancel, retry
from tests.kit.crashes import Crash
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

ENDS = ["completed", "failed", "skipped", "cancelled"]
BY_HAND = """mutation($s: String!, $a: String!, $state: String!) {
  insertUpdateSessionAgent(sessionUuid: $s, sessionAgentUuid: $a, state: $state,
      agentOutput: "mine",
    updatedBy: "ann") {
    sessionAgent { state } } }"""
ASK = {"a": {"user_in_the_loop": "ann", "answer_within_seconds": 60}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def end(stage: Stage, client: Api, session: Session, state: str) -> None:
    """Somebody ends `a` by hand."""
    agent = stage.agent(session.session_uuid, "a").session_agent_uuid
    client.data(BY_HAND, s=session.session_uuid, a=agent, state=state)


def die(request: AgentRequest) -> str:
    raise Crash


def runs(stage: Stage, session: Session, agent: str = "a") -> list[tuple[int, str]]:
    found = [
        each.async_task for each in stage.runs(session.session_uuid) if each.agent_uuid == agent
    ]
    return sorted((run["attempt"], run["status"]) for run in found)


def dead(stage: Stage, **task: Any) -> Session:
    """A session whose first agent's worker has died; its message is in sight again."""
    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": "", "b": "a"}, **task))
    (message,) = stage.queue.waiting
    with pytest.raises(Crash):
        run_step(stage.app, message.wake)
    stage.runtime.behaviours.clear()
    return session


# By hand


@pytest.mark.parametrize("state", ENDS)
def test_an_attempt_whose_worker_died_is_lost_when_its_agent_is_ended_by_hand(
    stage: Stage, client: Api, state: str
) -> None:
    session = dead(stage, on_failure="continue")
    end(stage, client, session, state)
    with pytest.raises(Busy):  # the worker may live
        run_step(stage.app, stage.queue.sent[-1])
    follows = stage.agent(session.session_uuid, "b")
    assert (follows.state, follows.in_degree) == (
        "initial" if state == "completed" else "skipped",
        0,
    )
    stage.drain()
    ended = {"a": state, "b": "completed" if state == "completed" else "skipped"}
    status = "failed" if state in ("failed", "cancelled") else "completed"
    check_promises(stage, session, status=status, states=ended)
    agent = stage.agent(session.session_uuid, "a")
    assert (runs(stage, session), agent.lease_until, agent.lost_runs) == ([(1, "lost")], None, None)
    for message in stage.queue.sent:
        run_step(stage.app, message)


@pytest.mark.parametrize("state", ENDS)
def test_a_late_result_of_an_agent_that_was_ended_by_hand_is_its_run_and_nothing_else(
    stage: Stage, client: Api, state: str
) -> None:
    def work(request: AgentRequest) -> str:
        end(stage, client, session, state)
        return "theirs"

    stage.runtime.behaviours["a"] = work
    session = stage.start(stage.define({"a": "", "b": "a"}, on_failure="continue"))
    now = stage.clock.now()
    stage.drain()
    assert stage.clock.now() == now  # nobody waited for the lease
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.agent_output, agent.lease_until) == (state, "mine", None)
    assert runs(stage, session) == [(1, "completed")]
    given = [
        each.predecessors[0].output for each in stage.runtime.requests if each.agent_uuid == "b"
    ]
    assert given == (["mine"] if state == "completed" else [])


def test_a_result_that_comes_after_the_lease_of_an_agent_ended_by_hand_changes_nothing(
    stage: Stage, client: Api
) -> None:
    """Its attempt is recorded as lost by then; it is not taken for the one that completed the
    agent.
    """

    def work(request: AgentRequest) -> str:
        end(stage, client, session, "completed")
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        stage.drain()
        return "theirs"

    stage.runtime.behaviours["a"] = work
    session = stage.start(stage.define({"a": "", "b": "a"}))
    message = stage.queue.receive()
    assert message is not None
    run_step(stage.app, message.wake)
    stage.drain()
    check_promises(stage, session)
    assert (runs(stage, session), stage.runtime.ran()) == ([(1, "lost")], ["a", "b"])
    assert stage.runtime.requests[1].predecessors[0].output == "mine"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_retry_at_once_loses_no_attempt_of_an_agent_that_was_ended_by_hand(
    stage: Stage, client: Api, state: str
) -> None:
    session = dead(stage)
    end(stage, client, session, state)
    with pytest.raises(Busy):
        run_step(stage.app, stage.queue.sent[-1])
    assert stage.session(session).status == "failed"
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert runs(stage, session) == [(1, "lost"), (2, "completed")]


# After a wait


def waiting(stage: Stage) -> Session:
    """A session that waits for the person again: the attempt after their first answer died, and it
    was set back.
    """
    session = stage.start(stage.define({"a": ""}, actions=ASK))
    run_step(stage.app, stage.queue.sent[0])
    agent = stage.agent(session.session_uuid, "a")
    execute_for_user_input(stage.app, TENANT, session.session_uuid, agent.session_agent_uuid, "yes")
    stage.runtime.behaviours["a"] = die
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[-1])
    stage.runtime.behaviours.clear()
    cancel(stage, session)
    retry(stage, session)
    run_step(stage.app, stage.queue.sent[-1])
    assert stage.agent(session.session_uuid, "a").state == "wait_for_user_input"
    return session


def test_a_wait_that_runs_out_leaves_no_lost_attempt_without_a_run(stage: Stage) -> None:
    session = waiting(stage)
    stage.drain()
    check_promises(stage, session, status="failed")
    assert (runs(stage, session), stage.agent(session.session_uuid, "a").lost_runs) == (
        [(1, "lost")],
        None,
    )


@pytest.mark.parametrize("state", ENDS)
def test_a_wait_that_is_ended_by_hand_leaves_no_lost_attempt_without_a_run(
    stage: Stage, client: Api, state: str
) -> None:
    session = waiting(stage)
    end(stage, client, session, state)
    stage.drain()
    assert (runs(stage, session), stage.agent(session.session_uuid, "a").lost_runs) == (
        [(1, "lost")],
        None,
    )
    assert stage.agent(session.session_uuid, "a").state == state


def test_a_wait_that_ends_with_its_message_in_the_dead_letter_queue_leaves_none_either(
    stage: Stage,
) -> None:
    session = waiting(stage)
    poison(stage.app, stage.queue.sent[-1], "ValueError")
    stage.drain()
    check_promises(stage, session, status="failed")
    assert runs(stage, session) == [(1, "lost")]
