"""Faults of the backend are waited for, with a redrive policy on the queue; and dead letters."""

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import poison, run_step
from ai_coordination_engine.entrypoints.aws.worker_handler import LONGEST_BACKOFF
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.controls import cancel, rerun, retry
from tests.kit.crashes import Crash, Refusals
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import Stage, stage_of

HOUR = 3600


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


class Messages:
    """The queue for one delivery: `read` returns the message, `send` uses the stage's queue."""

    def __init__(self, stage: Stage, message: Wake) -> None:
        self._stage, self._message = stage, message

    def read(self, body: str) -> Wake:
        return self._message

    def send(self, wakes: Any, *, delay: float = 0) -> None:
        self._stage.queue.send(wakes, delay=delay)


def deliver(stage: Stage, most: int = 2_000, *, seconds: float = 900) -> list[Wake]:
    """Process the queue as a worker on AWS does, with `seconds` per message; return the dead
    letters.
    """
    received: Counter[int] = Counter()
    dead: list[Wake] = []
    for _ in range(most):
        if not stage.queue.waiting:
            return dead
        if (found := stage.queue.receive()) is None:
            stage.clock.advance((stage.queue.next_visible_in() or 0) + 0.001)
            continue
        received[id(found)] += 1
        deliveries = Deliveries(
            Messages(stage, found.wake), partial(poison, stage.app), LONGEST_BACKOFF
        )  # type: ignore[arg-type]
        step = partial(run_step, stage.app, deadline=stage.clock.now().timestamp() + seconds)
        hidden = deliveries.process(Delivery("", "m", received[id(found)]), step)
        if hidden is not None and received[id(found)] >= MAX_RECEIVES:
            dead.append(found.wake)
        elif hidden is not None:
            found.visible_at = stage.clock.now().timestamp() + hidden
            stage.queue.put_back(found)
    raise AssertionError("the queue does not empty")


def outage(stage: Stage, call: str, hours: float) -> None:
    """Refuse every call of this name for so many hours."""
    ends = stage.clock.now().timestamp() + hours * HOUR

    def reach(name: str) -> None:
        if name == call and stage.clock.now().timestamp() < ends:
            raise Throttled("not now")

    stage.boundary.reach = Refusals(reach)


def start(stage: Stage, graph: Any = None, **task: Any) -> Session:
    return stage.start(stage.define(graph or {"a": "", "b": "a"}, **task))


@pytest.mark.parametrize(
    ("call", "hours"), [("PutItem", 0.5), ("UpdateItem", 5), ("BatchGetItem", 0.5), ("send", 0.1)]
)
def test_hours_of_refusals_are_waited_for(stage: Stage, call: str, hours: float) -> None:
    """Refused are writes of runs, claims and ends of attempts, reads of inputs, and the hand-off.

    Messages of a queue that refuses for longer become dead letters, and the sweep makes up for
    them.
    """
    session = start(stage, {"a": "", "b": "a", "c": "a", "d": "bc"})
    outage(stage, call, hours)
    assert deliver(stage) == []
    check_promises(stage, session)
    assert stage.queue.dead_letters == []


def test_what_cannot_even_expire_its_lease_was_refused_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease then expires by itself; refusals in between reset the count of deaths."""
    session = start(stage, {"a": ""})
    expire_lease = stage.app.agents.expire_lease
    calls = count()

    def sometimes(*given: Any, **more: Any) -> None:
        if next(calls) % 3:
            raise Throttled("not now")
        expire_lease(*given, **more)

    outage(stage, "PutItem", 0.2)
    monkeypatch.setattr(stage.app.agents, "expire_lease", sometimes)
    assert deliver(stage, seconds=1) == []
    check_promises(stage, session)
    assert next(calls) > 10


# Dead letters


def test_a_dead_letter_does_nothing_to_an_agent_that_is_held(stage: Stage) -> None:
    session = start(stage)

    def look(request: AgentRequest) -> str:
        before = stage.everything(session)
        poison(stage.app, stage.queue.sent[0], "ValueError")
        assert stage.everything(session) == before
        return "well"

    stage.runtime.behaviours["a"] = look
    deliver(stage)
    check_promises(stage, session)


@pytest.mark.parametrize("ends", ["completed", "failed", "cancelled"])
def test_a_dead_letter_does_nothing_to_an_agent_that_has_ended(stage: Stage, ends: str) -> None:
    if ends == "failed":
        stage.runtime.behaviours["a"] = failing("no")
    session = start(stage, on_failure="continue")
    if ends == "cancelled":
        cancel(stage, session)
    else:
        work_one(stage)
    before = stage.everything(session)
    assert stage.agent(session.session_uuid, "a").state == ends
    poison(stage.app, stage.queue.sent[0], "ValueError")
    assert stage.everything(session) == before


@pytest.mark.parametrize(
    "set_back", [retry, partial(rerun, agent_uuid="a")], ids=["retry", "rerun"]
)
def test_a_dead_letter_of_before_a_session_was_set_back_does_nothing_to_it(
    stage: Stage, set_back: Any
) -> None:
    stage.runtime.behaviours["a"] = failing("no", times=1)
    session = start(stage)
    deliver(stage)
    set_back(stage, session)
    before = stage.everything(session)
    poison(stage.app, stage.queue.sent[0], "ValueError")
    assert stage.everything(session) == before
    assert stage.queue.sent[-1] == replace(stage.queue.sent[0], epoch=1)
    poison(stage.app, stage.queue.sent[-1], "ValueError")
    assert stage.states(session.session_uuid) == {"a": "failed", "b": "skipped"}
    assert (
        stage.session(session).logs
        == "Agent a: Its message is in the dead-letter queue: ValueError"
    )


def test_a_dead_letter_does_nothing_to_an_agent_that_somebody_claims_meanwhile(
    stage: Stage,
) -> None:
    session = start(stage)

    def reach(name: str) -> None:
        if name == "UpdateItem":  # the agent is read
            stage.boundary.reach = lambda name: None
            deliver(stage)

    stage.boundary.reach = reach
    poison(stage.app, stage.queue.sent[0], "ValueError")
    check_promises(stage, session)


def test_a_dead_letter_whose_answer_is_lost_fails_its_session_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats the write and finds its own result."""
    session = start(stage)
    fail = stage.app.agents.fail_poisoned
    monkeypatch.setattr(
        stage.app.agents, "fail_poisoned", lambda *given: (fail(*given), fail(*given))[1]
    )
    poison(stage.app, stage.queue.sent[0], "ValueError")
    assert stage.session(session).status == "failed"


def test_an_attempt_that_died_is_lost_when_its_message_becomes_a_dead_letter(stage: Stage) -> None:
    def die(request: AgentRequest) -> str:
        raise Crash

    stage.runtime.behaviours["a"] = die
    session = start(stage)
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[0])
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    poison(stage.app, stage.queue.sent[0], "ValueError")
    stage.drain()
    check_promises(stage, session, status="failed")


def work_one(stage: Stage) -> None:
    """Run a worker that has no time for a second attempt."""
    found = stage.queue.receive()
    assert found is not None
    run_step(stage.app, found.wake, deadline=stage.clock.now().timestamp() + 1)
