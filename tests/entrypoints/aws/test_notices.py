"""Notices of A2A tasks on AWS: the streams tell what has changed, and a queue sends."""

from functools import partial
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.live_ports import Look
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import pushes
from ai_coordination_engine.served.a2a.notices import FIRST_SECONDS
from ai_coordination_engine.served.tasks import served_task
from ai_coordination_engine.store.leases import LEASE_SECONDS
from tests.kit.crashes import Crash, Tripwire, Turns, deaths
from tests.kit.sockets import SESSION, Home, authenticated, counting, kinds, subscribe

URL = "https://ok.example/hook"


EXPOSED = """mutation {
  insertUpdateCoordination(coordinationUuid: "c", agents: [{agentUuid: "a"}], updatedBy: "me") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "c", taskName: "t", exposeAs: {name: "ask"}, updatedBy: "me",
      agentActions: {a: {userInTheLoop: "ann"}}) { task { taskUuid } } }"""


class Told:
    """A session whose agent asks, and who is told of it."""

    def __init__(self, home: Home) -> None:
        home.reset()
        self.home, self.notices = home, home.notices
        self.app = home.live.app
        home.api("acme").data(EXPOSED)
        self.begin("first")

    def begin(self, key: str) -> None:
        """Start another session."""
        task = served_task(self.app, "acme", "a2a", "ask")
        self.begun = sessions.start(
            self.app, "acme", task, {"query": "x"}, protocol="a2a", idempotency_key=key
        )
        self.notices.got.clear()
        self.home.changes()

    def tell(self) -> Any:
        """Ask for notices, as the function of the API does."""
        made = pushes.create(self.app, "acme", {"taskId": self.begun.handle, "url": URL})
        for key in self.notices.looks:
            self.home.reminders.send(Look(*key))
        self.notices.looks.clear()
        return made

    def answer(self) -> None:
        sessions.answer(self.app, "acme", self.begun.handle, "a2a", "red")
        self.home.worker.drain()

    @property
    def states(self) -> list[str]:
        return [body["task"]["status"]["state"] for _, body in self.notices.got]


def test_changes_are_told_by_the_queue_and_not_by_the_stream(home: Home) -> None:
    told = Told(home)
    told.tell()
    home.worker.drain()
    records = home.changes()
    assert home.push(records) == []
    assert told.notices.got == []
    assert home.push(records) == home.remind() == []
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]
    told.answer()
    assert home.push() == home.remind() == []
    assert home.push() == home.remind() == []
    assert told.states == ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"]


def test_a_task_that_was_exposed_just_now_is_told_of(home: Home) -> None:
    told = Told(home)
    told.tell()
    home.worker.drain()
    home.database.lags = lambda: True
    assert home.push() == home.remind() == []
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


def test_a_session_that_cannot_be_read_for_a_notice_holds_up_no_stream(home: Home) -> None:
    told = Told(home)
    told.tell()
    home.remind()
    home.worker.drain()
    call = home.database.call

    def lost(operation: str, request: Any) -> Any:
        if request.get("TableName") == "ace-tasks":
            raise LookupError
        return call(operation, request)

    home.database.call = lost  # type: ignore[method-assign]
    assert home.push() == []
    del home.database.call  # the method of the class
    assert home.remind() == []
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


def test_a_stream_reads_no_more_for_sessions_of_which_nobody_is_told(home: Home) -> None:
    Told(home)
    home.worker.drain()
    records = home.changes()
    with counting(home) as counted:
        assert home.push(records) == []
    topics = {each["dynamodb"]["Keys"]["session_uuid"]["S"] for each in records}
    assert counted == {"Query who": len(topics) + 1}  # and the topic of the tenant's lists


def test_a_dead_receiver_holds_up_no_stream_and_no_connection(home: Home) -> None:
    told = Told(home)
    told.tell()
    told.notices.is_dead = True
    authenticated(home)
    watched = {"c": told.begun.session.coordination_uuid, "s": told.begun.session.session_uuid}
    subscribe(home, SESSION, **watched)
    home.worker.drain()
    assert home.push() == home.remind() == []
    assert kinds(home.received())[-1] == "next"
    told.answer()
    home.clock.advance(FIRST_SECONDS)
    assert home.push() == home.remind() == []
    assert kinds(home.received())[-1] == "complete"
    told.notices.is_dead = False
    home.clock.advance(FIRST_SECONDS)
    home.remind()
    assert told.states == ["TASK_STATE_COMPLETED"]


def history(told: Told, trip_at: int) -> tuple[int, list[str]]:
    """Ask, answer and end; each event is delivered again if its function has died. Return the
    number of crash points, and the states that were told.
    """
    home, wire = told.home, Tripwire(trip_at)
    told.begin(f"{trip_at}")
    told.tell()
    home.reaching(wire)
    told.notices.reach = wire

    def tried(act: Any) -> None:
        try:
            act()
        except Crash:
            wire.revive()
            home.clock.advance(LEASE_SECONDS)
            act()

    def sent() -> None:
        """The queue delivers again what a function that died has not deleted."""
        before = home._delivered
        try:
            home.remind()
        except Crash:
            home._delivered = before
            raise

    home.worker.drain()
    for act in (lambda: None, told.answer):
        act()
        records = home.changes()
        tried(partial(home.push, records))
        tried(sent)
        tried(sent)
    del home.database.call  # the method of the class
    told.notices.reach = lambda name: None
    deaths[0] += bool(wire.trips)
    return wire.points, told.states


def test_no_death_of_a_function_loses_a_notice(home: Home) -> None:
    both = ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"]
    told = Told(home)
    points, states = history(told, 0)
    assert states == both
    again = 0
    for number in range(1, points + 1):
        _, states = history(told, number)
        assert [*dict.fromkeys(states)] == both, number
        again += len(states) - len(both)
    assert 0 < again <= points


def test_a_queue_that_is_slow_for_dead_receivers_keeps_the_rest_of_a_batch(home: Home) -> None:
    told = Told(home)
    told.tell()
    home.worker.drain()
    record = {"eventSource": "aws:sqs", "messageId": "m", "body": "0"}
    assert home._handled([record], seconds=9) == ["m"]
    assert told.notices.got == []
    assert home._handled([record]) == []
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


def test_slow_receivers_come_after_the_connections_of_a_batch(home: Home) -> None:
    told = Told(home)
    told.tell()
    home.worker.drain()
    home.connect("late")
    told.notices.reach = lambda name: setattr(home.context, "seconds", 5)
    numbers = ["0", *(str(number) for number, _ in enumerate(home.reminders.sent))]
    records = [{"eventSource": "aws:sqs", "messageId": each, "body": each} for each in numbers]
    assert len(records) == 3
    assert home._handled(records) == ["0"]
    assert home.sockets.gone == {"late"}  # it has not authenticated in time
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


@pytest.mark.parametrize("seed", range(4))
def test_notices_never_overtake_one_another(home: Home, seed: int) -> None:
    """Two functions send while the question is answered; each call may be the next one."""
    told = Told(home)
    told.tell()
    home.worker.drain()
    turns, call = Turns(Random(seed)), home.database.call

    def interleaved(operation: str, request: Any) -> Any:
        turns.pause()
        return call(operation, request)

    def deliver() -> None:
        record = {"eventSource": "aws:sqs", "messageId": "m", "body": "0"}
        assert home._handled([record]) == []

    home.database.call = interleaved  # type: ignore[method-assign]
    told.notices.reach = lambda name: turns.pause()
    turns.run([deliver, told.answer, deliver])
    del home.database.call  # the method of the class
    told.notices.reach = lambda name: None
    home.push()
    home.remind()
    assert told.states in (
        ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"],
        ["TASK_STATE_COMPLETED"],  # it was answered before anybody looked
    )
