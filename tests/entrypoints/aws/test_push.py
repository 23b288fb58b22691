"""Subscriptions on AWS: what may come at the same time, and what may fail."""

import asyncio
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.entrypoints.aws import push_handler
from ai_coordination_engine.errors import Unavailable
from ai_coordination_engine.store.leases import LEASE_SECONDS
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from benchmarks.harness.memory.requests import Refusal
from tests.kit.crashes import Crash, Tripwire, Turns, deaths
from tests.kit.sockets import (
    LIST,
    SESSION,
    TABLE,
    Context,
    Home,
    authenticated,
    kinds,
    started,
    stored,
    subscribe,
)


def test_a_change_between_the_watcher_and_its_first_answer_is_not_missed(home: Home) -> None:
    authenticated(home)
    session = started(home)
    home.push()

    def meanwhile(connection: str) -> None:
        home.sockets.before = lambda connection: None
        home.worker.drain()
        home.push()

    home.sockets.before = meanwhile
    subscribe(home, SESSION, **session)
    assert home.latest()["session"]["status"] == "dispatched"  # the lease was another's
    home.clock.advance(1)
    home.remind()
    assert home.latest()["session"]["status"] == "completed"
    assert kinds(home.received())[-1] == "complete"


def test_two_streams_send_states_in_their_order(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.remind()
    home.push()
    (before,) = home.connections.watchers(next(iter(topics(home))))
    home.worker.drain()

    def meanwhile(connection: str) -> None:
        """Another invocation has an older state, read before the watcher was claimed."""
        home.sockets.before = lambda connection: None
        assert home.connections.claim(before) is None

    home.sockets.before = meanwhile
    home.push()
    assert home.latest()["session"]["status"] == "completed"


def topics(home: Home) -> set[str]:
    return {topic for topic, _ in stored(home) if topic[0] != " "}


def test_stale_indexes_are_made_up_for(home: Home) -> None:
    authenticated(home)
    subscribe(home, LIST % '["dispatched"]')
    home.remind()
    home.database.lags = lambda: True
    session = started(home)
    home.push()
    home.database.lags = lambda: False
    home.remind()
    assert home.latest()["sessionList"]["sessionList"] == [
        {"sessionUuid": session["s"], "status": "dispatched"}
    ]


def test_what_is_refused_for_load_is_looked_at_again(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.push()
    home.remind()
    home.worker.drain()
    records = home.changes()
    call = home.database.call

    def refused(operation: str, request: Any) -> Any:
        if operation in ("Query", "GetItem", "BatchGetItem"):
            raise_throttled()
        return call(operation, request)

    home.database.call = refused  # type: ignore[method-assign]
    failed = home.push(records)
    del home.database.call  # the method of the class
    assert failed == [records[0]["dynamodb"]["SequenceNumber"]]
    assert home.push(records) == []
    assert kinds(home.received())[-2:] == ["next", "complete"]


def test_a_first_state_that_cannot_be_read_or_sent_comes_later(home: Home) -> None:
    session = started(home)
    home.push()
    authenticated(home)
    home.sockets.slow.add("c1")
    assert subscribe(home, SESSION, **session) == []
    home.sockets.slow.clear()
    call = home.database.call

    def refused(operation: str, request: Any) -> Any:
        if request.get("TableName", TABLE) != TABLE or "RequestItems" in request:
            raise_throttled()
        return call(operation, request)

    home.database.call = refused  # type: ignore[method-assign]
    assert subscribe(home, SESSION, operation="2", **session) == []
    del home.database.call  # the method of the class
    assert home.remind() == []
    assert kinds(home.received()) == ["connection_ack", "next", "next"]
    assert home.remind() == []
    assert len(home.received()) == 3


def test_the_text_of_an_agent_comes_when_it_has_ended(home: Home) -> None:
    session = started(home)
    (agent,) = [
        each.session_agent_uuid
        for each in home.app.records.table(SESSION_AGENT).query_all("acme", session["s"])
        if each.agent_uuid == "a"
    ]
    home.push()
    authenticated(home)
    document = """subscription ($s: String!, $a: String!) {
      agentOutput(sessionUuid: $s, sessionAgentUuid: $a) { delta done }
    }"""
    subscribe(home, document, s=session["s"], a=agent)
    home.worker.drain()
    home.push()
    parts = [each["payload"]["data"]["agentOutput"] for each in home.received()[1:-1]]
    assert parts[-1]["done"] is True
    assert "".join(each["delta"] for each in parts) == "hello"
    assert kinds(home.received())[-1] == "complete"


def raise_throttled() -> None:
    raise Refusal("ProvisionedThroughputExceededException", "slower")


def test_a_batch_without_time_is_delivered_again_from_where_it_ended(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    records = home.changes()
    assert home.push(records, seconds=9) == [records[0]["dynamodb"]["SequenceNumber"]]


def test_a_reminder_that_is_not_one_is_kept_for_the_dead_letter_queue(home: Home) -> None:
    record = {"eventSource": "aws:sqs", "messageId": "m", "body": "{"}
    assert home._handled([record]) == ["m"]


def history(home: Home, trip_at: int) -> int:
    """Connect, subscribe, run a session and disconnect another client; each event is delivered
    again if its function has died. Return the number of crash points.
    """
    tripwire = Tripwire(trip_at)
    home.reaching(tripwire)

    def tried(act: Any, *, again: bool = True) -> bool:
        try:
            act()
        except Crash:
            tripwire.revive()
            if again:
                act()
            return False
        return True

    session = started(home)
    # API Gateway delivers a message once; the client of one that died connects again
    for connection in ("c1", "c2", "c3"):
        if (
            tried(lambda name=connection: authenticated(home, name), again=False)
            and tried(
                lambda name=connection: subscribe(home, SESSION, name, **session), again=False
            )
            and connection != "c1"
        ):
            break
    tried(home.push)
    tried(home.remind)
    home.worker.drain()
    records = home.changes()
    tried(lambda: home.push(records))
    tried(lambda: home.event("c1", "$disconnect"), again=False)
    for _ in range(4):  # until the lease of a function that died has expired
        home.clock.advance(LEASE_SECONDS / 3)
        tried(home.remind)
    deaths[0] += bool(tripwire.trips)
    assert home.latest(connection)["session"]["status"] == "completed"
    assert kinds(home.received(connection))[-1] == "complete"
    return tripwire.points


def test_no_death_of_a_function_makes_a_watcher_miss_the_end(home: Home) -> None:
    points = history(home, 0)
    for number in range(1, points + 1):
        home.reset()
        history(home, number)
    assert points == 58


def pushing(home: Home, records: list[dict[str, Any]]) -> None:
    """Deliver a batch to a function of its own, as another shard does."""
    with asyncio.Runner() as runner:
        push = push_handler.build_handler(home.live, runner)
        assert push({"Records": records}, Context()) == {"batchItemFailures": []}


@pytest.mark.parametrize("seed", range(8))
def test_states_never_overtake_one_another(home: Home, seed: int) -> None:
    """Three functions send while the session goes on; each of their calls may be the next one."""
    session = started(home)
    authenticated(home)
    subscribe(home, SESSION, **session)
    records = home.changes()
    turns, call = Turns(Random(seed)), home.database.call

    def interleaved(operation: str, request: Any) -> Any:
        turns.pause()
        return call(operation, request)

    def work() -> None:
        home.worker.drain()
        pushing(home, home.changes())

    home.database.call = interleaved  # type: ignore[method-assign]
    home.sockets.before = lambda connection: turns.pause()
    turns.run([lambda: pushing(home, records), work, lambda: pushing(home, records)])
    for _ in range(3):
        home.remind()
    seen = [each["payload"]["data"]["session"] for each in home.received()[1:-1]]
    order = ["initial", "pending", "executing", "completed"]
    progress = [[order.index(each["state"]) for each in at["sessionAgents"]] for at in seen]
    assert progress == sorted(progress)
    assert [each["status"] for each in seen][-1] == "completed"
    assert kinds(home.received())[-1] == "complete"


def test_a_connection_that_cannot_be_closed_does_not_hold_up_the_others(home: Home) -> None:
    now = int(home.clock.now().timestamp())
    authenticated(home, "c1", exp=now + 60)
    authenticated(home, "c2")
    session = started(home)
    for each in ("c1", "c2"):
        subscribe(home, SESSION, each, **session)
    home.push()
    seen = len(home.received("c1"))
    home.clock.advance(61)
    home.worker.drain()

    def refuse(call: str) -> None:
        if call == "close":
            raise Unavailable("The WebSocket API does not answer.")

    home.sockets.reach = refuse
    assert home.push() == []
    assert home.latest("c2")["session"]["status"] == "completed"
    assert len(home.received("c1")) == seen


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"session_uuid": {"S": "of an earlier layout"}},
        {"session_uuid": {"S": "acme"}, "session_agent_uuid": {"S": "a"}},
        {"session_uuid": {"N": "1"}, "session_agent_uuid": {"S": "a"}},
    ],
)
def test_an_item_that_is_none_of_ours_does_not_hold_up_the_others(
    home: Home, keys: dict[str, Any]
) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.worker.drain()
    records = home.changes()
    strange = {**records[-1], "dynamodb": {**records[-1]["dynamodb"], "Keys": keys}}
    assert home.push([strange, *records]) == []
    assert home.latest()["session"]["status"] == "completed"
