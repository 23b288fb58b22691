"""Wide graphs: many predecessors that complete at once, many successors."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected
from tests.kit.crossing import CrossedTables
from tests.kit.fakes import Delivery
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import Stage, stage_of

THREADS = 16
JOINED = 50
MANY = 500 if os.environ.get("CI") else 150


@pytest.fixture
def stage(app: App) -> Stage:
    """Many threads; each call to the store is atomic, as DynamoDB makes it and moto's in-process
    mode does not.
    """
    stage = stage_of(app, threads=THREADS)
    one_at_a_time(stage)
    return stage


def one_at_a_time(stage: Stage) -> None:
    lock = threading.Lock()
    database: Any = next(iter(stage.app.records.tables.values())).database
    if isinstance(database, CrossedTables):  # SQLite has one writer
        return
    client = database.client
    client.meta.events.register_first("before-call.dynamodb", lambda **_: lock.acquire() and None)
    client.meta.events.register_last("after-call.dynamodb", lambda **_: lock.release())


def join_of(stage: Stage, width: int) -> Session:
    middle = [f"m{number:03}" for number in range(width)]
    return stage.start(stage.define({**dict.fromkeys(middle, ()), "last": middle}))


def test_fifty_predecessors_that_complete_at_once_start_their_join_once(stage: Stage) -> None:
    session = join_of(stage, JOINED)
    barrier = threading.Barrier(THREADS)
    wakes = [delivery.wake for delivery in everything_waiting(stage)]
    assert len(wakes) == JOINED

    def work(mine: list[Wake]) -> None:
        barrier.wait()
        for wake in mine:
            step(stage, wake)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, [wakes[number::THREADS] for number in range(THREADS)]))
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran().count("last") == 1
    assert len(stage.runtime.requests) == JOINED + 1
    assert [each.agent_uuid for each in stage.runtime.requests[-1].predecessors] == [
        f"m{n:03}" for n in range(JOINED)
    ]
    check_redelivery_changes_nothing(stage, session)


def test_every_removal_sent_twice_counts_once(stage: Stage) -> None:
    session = join_of(stage, JOINED)
    *_, last = stage.agents(session.session_uuid)
    key = (session.session_uuid, last.session_agent_uuid)
    finish = partial(stage.app.agents.finish_edge, session.partition_key, key)
    removals = [partial(finish, edge) for edge in range(JOINED)] * 2
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(lambda removal: removal(), removals))
    degrees = [each.record.in_degree for each in outcomes if isinstance(each, Applied)]
    assert sorted(degrees) == list(range(JOINED))  # each first removal has a degree of its own
    assert len([each for each in outcomes if isinstance(each, Rejected)]) == JOINED
    join: Any = stage.agents(session.session_uuid)[-1]
    assert (join.in_degree, join.unfinished) == (0, None)


def test_messages_that_are_delivered_twice_at_once_run_every_agent_once(stage: Stage) -> None:
    session = join_of(stage, 20)
    wakes = [delivery.wake for delivery in everything_waiting(stage)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda wake: step(stage, wake), [wake for wake in wakes for _ in range(2)]))
    stage.drain()
    check_promises(stage, session)
    assert len(stage.runtime.requests) == 21


def everything_waiting(stage: Stage) -> list[Delivery]:
    deliveries = []
    while delivery := stage.queue.receive():
        deliveries.append(delivery)
    return deliveries


def step(stage: Stage, wake: Wake) -> None:
    """Run it; somebody else may be at it, whose message stands for it."""
    try:
        run_step(stage.app, wake)
    except Busy:
        return


def test_many_successors_and_their_join_complete(app: App) -> None:
    stage = stage_of(app)
    graph = {"first": [], "middle": ["first"], "last": ["middle"]}
    session = stage.start(stage.define(graph, subtasks=[{"agent_uuid": "middle"}] * MANY))
    stage.drain()
    check_promises(stage, session)
    assert len(stage.runtime.requests) == MANY + 2
    assert len(stage.queue.sent) == MANY  # the first, and all it made ready but one
    assert stage.agent(session.session_uuid, "last").agent_output == "LAST"
