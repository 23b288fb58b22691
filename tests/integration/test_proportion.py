"""Work in proportion: what messages cost in a session that has ended, or whose fan-out is under way."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.leases import new_lease
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult
from tests.fakes import failing
from tests.sessions import TENANT, Crash, Stage, check_promises, stage_of, tripping
from tests.steered import cancel, sweep_after

COUNT = 30
NAMES = [f"m{number:02d}" for number in range(COUNT)]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def handle_all(stage: Stage) -> int:
    """Every message in sight, once each; how many there were."""
    handled = 0
    while delivery := stage.queue.receive():
        run_step(stage.app, delivery.wake)
        stage.queue.delete(delivery)
        handled += 1
    return handled


def test_a_message_to_an_agent_of_a_cancelled_session_settles_that_agent_alone(stage: Stage) -> None:
    session = stage.start(stage.define(dict.fromkeys(NAMES, "")))
    stage.requests.clear()
    cancel(stage, session)
    assert stage.requests["Query"] <= 3  # however many agents there are
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    assert stage.requests == {"UpdateItem": COUNT, "GetItem": COUNT}  # a claim that is refused, and the session
    assert set(stage.states(session.session_uuid).values()) == {"cancelled"}


def test_agents_that_fail_with_their_session_read_it_once_together(stage: Stage) -> None:
    stage.runtime.behaviours.update(dict.fromkeys(NAMES, failing("no")))
    session = stage.start(stage.define({**dict.fromkeys(NAMES, ""), "z": NAMES}))
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    assert stage.requests["Query"] == 1
    assert stage.session(session).status == "failed"
    assert set(stage.states(session.session_uuid).values()) == {"failed", "skipped"}


def test_a_fan_out_whose_message_returns_is_sent_once_more_and_then_no_more(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", **dict.fromkeys(NAMES, "a"), "z": NAMES}))
    first = stage.queue.receive()
    assert first is not None
    run_step(stage.app, first.wake, deadline=0)  # there is no time for a successor: all of them are sent
    held = stage.agent(session.session_uuid, NAMES[0])
    key = (held.session_uuid, held.session_agent_uuid)
    stage.app.transitions.claim(TENANT, key, new_lease(stage.app))  # as the worker did that keeps the message
    sent = [len(stage.queue.sent)]
    for _ in range(10):
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)
        sent.append(len(stage.queue.sent))
    assert sent == [1 + COUNT] + [1 + COUNT + COUNT - 1] * 10
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, first.wake)  # its worker has died
    assert stage.queue.sent[-1].session_agent_uuid == held.session_agent_uuid
    assert len(stage.queue.sent) == sent[-1] + 1
    stage.drain()
    check_promises(stage, session)


def test_what_gets_ready_after_a_fan_out_was_sent_again_is_sent(stage: Stage) -> None:
    """A worker dies anywhere, also between what it releases and what it sends; the fan-out has returned before."""
    names = stage.define({"a": "", "b": "a", "c": "a", "d": "b", "e": "b"})
    point = 1
    while True:
        session = stage.start(names)
        first = stage.queue.receive()
        assert first is not None
        run_step(stage.app, first.wake, deadline=0)
        held = stage.agent(session.session_uuid, "c")
        stage.app.transitions.claim(TENANT, (held.session_uuid, held.session_agent_uuid), new_lease(stage.app))
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)
        stage.queue.put_back(first)
        with tripping(stage, point) as tripwire:
            stage.drain()
        check_promises(stage, session)
        stage.queue.sent.clear()
        if not tripwire.trips:
            break
        point += 4
    assert point > 40


@pytest.mark.parametrize(
    "result", [AgentFailure("no", retryable=True), AgentResult("", async_task_uuid="job", heartbeat_seconds=60)]
)
def test_what_a_chain_held_when_its_message_returned_is_sent_once_it_waits(
    stage: Stage, result: AgentFailure | AgentResult
) -> None:
    """Its worker dies between the write by which the successor waits, and what would wake that: it has no message."""

    def twice(request: AgentRequest) -> Any:
        if stage.runtime.ran().count("b") > 1:
            return "done"
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)  # the message is delivered a second time
        stage.boundary.reach = die
        if isinstance(result, AgentFailure):
            raise result
        return result

    def die(name: str) -> None:
        if name == "send":
            raise Crash

    stage.runtime.behaviours["b"] = twice
    agents = {"b": {"policy": {"max_attempts": 2}}}
    session = stage.start(stage.define({"a": "", "b": "a"}, agents=agents))
    first = stage.queue.receive()
    assert first is not None
    with pytest.raises(Crash):
        run_step(stage.app, first.wake)
    stage.boundary.reach = lambda name: None
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "pending"}
    stage.queue.put_back(first)
    stage.drain()
    if isinstance(result, AgentResult):  # nobody hears of the job in time, and the sweep was asked to look
        assert sweep_after(stage, 61) == 1
        stage.drain()
    assert stage.runtime.ran() == ["a", "b", "b"]
    check_promises(stage, session)
