"""One step: what it costs, when it hands off by message, and what keeps a message."""

from threading import Event
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.inputs import given
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.runtime_ports import AgentRequest, PredecessorOutput
from ai_coordination_engine.store.payload import BlobReference
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import Stage, stage_of

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


# What it costs


def test_a_chain_costs_one_message_and_three_writes_an_agent(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b", "d": "c"}))
    stage.requests.clear()
    stage.drain()
    # claims, ends, the end of the session
    assert stage.requests == {"UpdateItem": 4 + 4 + 1, "PutItem": 4}
    assert len(stage.queue.sent) == 1
    check_promises(stage, session)


def test_a_hand_off_by_message_reads_what_the_chain_does_not_remember(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.requests.clear()
    stage.drain(deadline=stage.clock.now().timestamp() + 1)
    assert stage.requests == {"UpdateItem": 2 + 2 + 1 + 1, "PutItem": 2, "BatchGetItem": 1}
    assert len(stage.queue.sent) == 2
    check_promises(stage, session)


def test_a_worker_that_is_stopping_leaves_what_follows_to_others(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stopping = Event()
    stopping.set()
    delivery = stage.queue.receive(0)
    assert delivery is not None
    run_step(stage.app, delivery.wake, stopping=stopping)
    stage.queue.delete(delivery)
    assert stage.runtime.ran() == ["a"]
    assert len(stage.queue.waiting) == 1
    stage.drain()
    check_promises(stage, session)


def test_a_duplicate_message_costs_one_write_that_is_refused(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    stage.requests.clear()
    run_step(stage.app, stage.queue.sent[0])
    # its session has ended, and by itself: so has all in it
    assert stage.requests == {"UpdateItem": 1, "GetItem": 1}
    check_redelivery_changes_nothing(stage, session)


# Time


def test_a_worker_without_time_for_another_attempt_hands_on_by_message(stage: Stage) -> None:
    stage.start(stage.define(DIAMOND))
    wake = stage.queue.receive()
    assert wake is not None
    run_step(
        stage.app,
        wake.wake,
        deadline=stage.clock.now().timestamp() + stage.app.settings.lease_seconds - 1,
    )
    assert stage.runtime.ran() == ["a"]
    assert len(stage.queue.waiting) == 2


def test_a_worker_with_just_enough_time_runs_the_next_agent_itself(stage: Stage) -> None:
    stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    deadline = stage.clock.now().timestamp() + stage.app.settings.lease_seconds

    def second(request: AgentRequest) -> str:
        stage.clock.advance(1)
        return "late"

    stage.runtime.behaviours["b"] = second
    wake = stage.queue.receive()
    assert wake is not None
    run_step(stage.app, wake.wake, deadline=deadline)
    assert stage.runtime.ran() == ["a", "b"]
    assert len(stage.queue.waiting) == 1


def test_an_attempt_gets_the_time_that_is_left_without_the_margin(stage: Stage) -> None:
    stage.start(stage.define({"a": ""}))
    stage.start(stage.define({"b": ""}))
    now = stage.clock.now().timestamp()
    run_step(
        stage.app, stage.queue.sent[0], deadline=now + stage.app.settings.lease_margin_seconds + 7
    )
    run_step(stage.app, stage.queue.sent[1])
    assert [request.timeout_seconds for request in stage.runtime.requests] == [7, 30]


# What keeps a message


def test_a_message_of_an_agent_under_a_lease_is_kept_until_the_lease_ends(stage: Stage) -> None:
    stage.start(stage.define({"a": ""}))
    waits: list[float] = []

    def meanwhile(request: AgentRequest) -> str:
        stage.clock.advance(10)
        with pytest.raises(Busy) as busy:
            run_step(stage.app, stage.queue.sent[0])
        waits.append(busy.value.retry_after)
        return "done"

    stage.runtime.behaviours["a"] = meanwhile
    run_step(stage.app, stage.queue.sent[0])
    assert waits == [stage.app.settings.lease_seconds - 10]
    assert stage.runtime.ran() == ["a"]


@pytest.mark.only_on("dynamodb")  # on SQLite messages are part of the commit, which is repeated
def test_a_queue_that_refuses_keeps_the_message_and_its_redelivery_hands_on(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    delivery = stage.queue.receive()
    assert delivery is not None
    stage.queue.refuses = True
    with pytest.raises(Throttled):
        run_step(stage.app, delivery.wake)
    stage.queue.refuses = False
    stage.queue.put_back(delivery)
    stage.drain()
    check_promises(stage, session)


def test_a_runtime_that_breaks_keeps_the_message_and_its_next_attempt_is_another(
    stage: Stage,
) -> None:
    def broken(request: AgentRequest) -> str:
        if request.attempt == 1:
            raise RuntimeError("a bug")
        return "well"

    stage.runtime.behaviours["a"] = broken
    session = stage.start(stage.define({"a": ""}))
    delivery = stage.queue.receive()
    assert delivery is not None
    with pytest.raises(RuntimeError):
        run_step(stage.app, delivery.wake)
    stage.queue.put_back(delivery)
    stage.drain()
    check_promises(stage, session)
    assert sorted(run.async_task["status"] for run in stage.runs(session.session_uuid)) == [
        "completed",
        "lost",
    ]


# What an agent is given


def test_an_agent_is_given_its_subtask_then_the_outputs_it_waited_for(stage: Stage) -> None:
    agents: dict[str, dict[str, Any]] = {
        "a": {"agent_name": "Anna"},
        "d": {"agent_description": "Sum up.", "runtime": {"kind": "http", "url": "u"}},
    }
    subtasks = [{"agent_uuid": uuid, "subtask_query": f"do {uuid}"} for uuid in "abcd"]
    names = stage.define({**DIAMOND, "d": "bca"}, agents=agents, subtasks=subtasks)
    session = stage.start(names, input_files=[{"url": "s3://x"}])
    stage.drain()
    request = stage.runtime.requests[-1]
    assert request.input == "Output of b:\nB\n\nOutput of c:\nC\n\nOutput of Anna:\nANNA\n\ndo d"
    assert request.predecessors == [
        PredecessorOutput("b", "b", "B"),
        PredecessorOutput("c", "c", "C"),
        PredecessorOutput("a", "Anna", "ANNA"),
    ]
    assert (request.query, request.task_query, request.instructions) == ("do d", "begin", "Sum up.")
    assert (request.runtime["kind"], request.runtime["url"]) == ("http", "u")
    assert request.input_files == [{"url": "s3://x"}]
    d = stage.agent(session.session_uuid, "d")
    assert d.agent_input is None  # it follows
    assert given(stage.app, [d], Budget()) == {d.session_agent_uuid: request.input}
    assert stage.runtime.requests[0].runtime == stage.app.settings.default_runtime


def test_large_outputs_go_to_blobs_and_reach_the_successor(app: App) -> None:
    stage = stage_of(app, inline_limit=2000)
    stage.runtime.behaviours["a"] = lambda request: "é" * 100_000
    session = stage.start(stage.define({"a": "", "b": "a"}))
    # so that another worker reads it from the store
    stage.drain(deadline=stage.clock.now().timestamp() + 1)
    check_promises(stage, session)
    assert stage.runtime.requests[1].predecessors[0].output == "é" * 100_000
    agent = stage.agent(session.session_uuid, "a")
    assert isinstance(agent.stored("agent_output"), BlobReference)
    assert agent.has_blobs


def test_a_long_failure_note_fails_the_session_all_the_same(app: App) -> None:
    stage = stage_of(app, inline_limit=2000)
    stage.runtime.behaviours["a"] = failing("x" * 50_000)
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    found: Any = stage.session(session)
    assert found.status == "failed"
    assert found.logs == ("Agent a failed: " + "x" * 50_000)[:2000]
