"""What dead workers held is free at once, and what living ones hold stays theirs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.tries import MOST_LOST
from ai_coordination_engine.engine.control.lost_workers import free
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.ports import QueueMessage, Wake
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.transitions.attempts import ERROR, REFUSED, died_in_a_row
from tests.kit.controls import cancel
from tests.kit.crashes import Crash
from tests.kit.promises import check_promises
from tests.kit.stage import Stage, stage_of


@dataclass
class Held:
    """The messages that lost workers have received."""

    messages: list[QueueMessage] = field(default_factory=list)
    released: int = 0

    def held(self, is_lost: Callable[[str], bool]) -> list[QueueMessage]:
        assert is_lost("dead")
        return self.messages

    def release_held(self, is_lost: Callable[[str], bool]) -> None:
        self.released += 1


def crash(request: AgentRequest) -> str:
    raise Crash


def killed(stage: Stage, message: Wake, process: str = "dead") -> None:
    """A worker of this name takes the message and is killed while the agent runs."""
    app = replace(stage.app, process=process)
    with pytest.raises(Crash):
        run_step(app, message)


def is_dead(name: str) -> bool:
    return name == "dead"


def test_the_lease_of_a_dead_worker_is_free_and_its_attempt_lost(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    killed(stage, message)
    with pytest.raises(Busy):
        run_step(stage.app, message)
    held = Held([message])
    sent = len(stage.queue.sent)
    assert free(stage.app, held, is_dead) == 1
    assert held.released == 1
    assert len(stage.queue.sent) == sent  # its own message is enough
    del stage.runtime.behaviours["a"]
    stage.drain()
    assert stage.attempts(session) == [(1, "lost", "lost"), (2, "completed", None)]
    check_promises(stage, session)


def test_an_agent_whose_message_nobody_holds_gets_one(app: App) -> None:
    """For example one whose attempt takes longer than its message stays hidden."""
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    killed(stage, message)
    del stage.runtime.behaviours["a"]
    stage.queue.sent.clear()
    assert free(stage.app, Held(), is_dead) == 1
    assert stage.queue.sent == [message]
    run_step(stage.app, message)
    assert stage.attempts(session) == [(1, "lost", "lost"), (2, "completed", None)]


def test_a_worker_that_was_told_to_stop_is_no_death(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    for _ in range(MOST_LOST + 1):
        killed(stage, message)
        assert free(stage.app, Held([message]), is_dead, died=False) == 1
        assert died_in_a_row(stage.agent(session.session_uuid, "a")) == 0
    del stage.runtime.behaviours["a"]
    stage.drain()
    attempts = [(number, "lost", "lost") for number in range(1, MOST_LOST + 2)]
    assert stage.attempts(session) == [*attempts, (MOST_LOST + 2, "completed", None)]
    check_promises(stage, session)


@pytest.mark.parametrize("holder", ["alive", ""])
def test_the_lease_of_another_worker_stays(app: App, holder: str) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    killed(stage, message, holder)
    assert free(stage.app, Held([message]), is_dead) == 0
    with pytest.raises(Busy):
        run_step(stage.app, message)
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    del stage.runtime.behaviours["a"]
    run_step(stage.app, message)
    assert stage.attempts(session) == [(1, "lost", "lost"), (2, "completed", None)]


@pytest.mark.parametrize("ended", [REFUSED, ERROR])
def test_an_attempt_that_ended_before_its_worker_did_is_no_death(app: App, ended: int) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    killed(stage, message)
    stage.app.agents.expire_lease(stage.agent(session.session_uuid, "a"), ended)
    assert free(stage.app, Held([message]), is_dead) == 1
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.lease_until, died_in_a_row(agent)) == (ended, 0)
    del stage.runtime.behaviours["a"]
    run_step(stage.app, message)
    assert stage.agent(session.session_uuid, "a").state == "completed"


def test_a_lease_is_free_also_when_the_clock_was_set_back_since(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    stage.clock.advance(86_400)
    killed(stage, message)
    stage.clock.begin()
    assert free(stage.app, Held([message]), is_dead) == 1
    del stage.runtime.behaviours["a"]
    run_step(stage.app, message)
    assert stage.attempts(session) == [(1, "lost", "lost"), (2, "completed", None)]


def test_the_attempt_of_an_agent_that_was_cancelled_meanwhile_is_recorded(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    killed(stage, message)
    cancel(stage, session)
    assert stage.attempts(session) == []
    assert free(stage.app, Held(), is_dead) == 1
    assert stage.attempts(session) == [(1, "lost", "lost")]
    assert stage.agent(session.session_uuid, "a").lease_until is None


def test_freeing_again_changes_nothing(app: App) -> None:
    """The process that frees may die before it has removed the name of the dead one."""
    stage = stage_of(app)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["b"] = crash
    killed(stage, message)
    held = Held([message])
    assert [free(stage.app, held, is_dead) for _ in range(2)] == [1, 1]
    del stage.runtime.behaviours["b"]
    stage.drain()
    assert free(stage.app, held, is_dead) == 0
    assert stage.attempts(session) == [
        (1, "completed", None),
        (1, "lost", "lost"),
        (2, "completed", None),
    ]
    check_promises(stage, session)


def test_an_agent_that_kills_each_worker_fails_after_as_many_as_always(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(stage.define({"a": ""}))
    (message,) = stage.queue.sent
    stage.runtime.behaviours["a"] = crash
    for _ in range(MOST_LOST):
        killed(stage, message)
        assert free(stage.app, Held([message]), is_dead) == 1
    run_step(stage.app, message)
    assert stage.session(session).status == "failed"
    assert stage.attempts(session) == [(n + 1, "lost", "lost") for n in range(MOST_LOST)]
