"""Many agents end at once in front of one join: each takes its own edge off, nobody waits for
another (promise P3).
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.shapes import parse_agent_actions, parse_agents
from ai_coordination_engine.engine.advance.hand_off import hand_off
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.session_agents import (
    Plan,
    fill_subtasks,
    session_agents,
    session_counter_shards,
)
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from benchmarks.harness.memory import in_memory
from tests.kit.fakes import FakeClock, FakeQueue

CI = bool(os.environ.get("CI"))
THREADS = 16


@pytest.fixture(
    scope="module",
    params=[
        "memory",
        pytest.param("dynamodb_local", marks=pytest.mark.dynamodb_local),
    ],
)
def store_app(request: pytest.FixtureRequest) -> Iterator[App]:
    """An application on DynamoDB in memory, and on DynamoDB Local."""
    with mock_aws(), in_memory(), pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        if request.param == "dynamodb_local":
            environment.setenv(
                "AWS_ENDPOINT_URL_DYNAMODB", request.getfixturevalue("dynamodb_local")
            )
        settings = Settings(auth="local", agent_timeout_seconds=30, table_prefix="fan-in")
        bootstrap.create_tables(settings)
        app = bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
        yield replace(app, clock=FakeClock())


class Writes:
    """What the writes of a store's client answered: how often each operation was made, and what
    went wrong.
    """

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.repeats = 0
        # of the agent in front of which they end, each time an edge was taken off
        self.degrees: list[int] = []

    def __call__(self, model: Any, parsed: Any, **_: Any) -> None:
        self.operations[model.name] += 1
        self.repeats += parsed["ResponseMetadata"].get("RetryAttempts", 0)
        if "Error" in parsed:
            self.errors[parsed["Error"]["Code"]] += 1
        item = parsed.get("Attributes", {})
        if "agent_uuid" in item and item["state"]["S"] == "initial":
            self.degrees.append(int(item["in_degree"]["N"]))


@contextmanager
def noting(app: App) -> Iterator[Writes]:
    writes = Writes()
    events = next(iter(app.records.tables.values())).database.client.meta.events
    events.register("after-call.dynamodb", writes)
    try:
        yield writes
    finally:
        events.unregister("after-call.dynamodb", writes)


def joined(app: App, width: int) -> list[SessionAgent]:
    """The agents that have just ended in front of a join that is stored, and waits for all of
    them.
    """
    names = [f"a{number}" for number in range(width)]
    agents = parse_agents([{"agent_uuid": name} for name in [*names, "join"]])
    actions = parse_agent_actions({"join": {"predecessors": names}})
    planned = Plan(plan(agents, [], actions), {agent.agent_uuid: agent for agent in agents})
    now = app.clock.now()
    session = Session(
        new_uuid(now), new_uuid(now), partition_key="acme", created_at=now, updated_by="me"
    )
    *ended, join = session_agents(app, session, planned, fill_subtasks(planned, ""))
    app.records.table(SESSION_AGENT).put_many([*session_counter_shards(session, planned), join])
    for each in ended:
        each.state = "completed"
    return ended


@pytest.mark.parametrize(
    ("twice", "rounds"), [(False, 20 if CI else 5), (True, 20 if CI else 5)], ids=["once", "twice"]
)
def test_fifty_agents_that_end_at_once_make_their_join_ready_once(
    store_app: App, twice: bool, rounds: int
) -> None:
    width = 50
    queue = FakeQueue()
    app = replace(store_app, queue=queue)
    random = Random(width)
    with ThreadPoolExecutor(THREADS) as pool, noting(store_app) as writes:
        for _ in range(rounds):
            ended = joined(app, width) * (2 if twice else 1)
            random.shuffle(ended)
            writes.degrees.clear()
            claims = list(pool.map(lambda each: hand_off(app, each, lambda most: most), ended))
            claimed: Any
            (claimed,) = [each for some in claims for each in some]
            assert (claimed.agent_uuid, claimed.in_degree, claimed.unfinished) == ("join", 0, None)
            assert (claimed.state, claimed.attempt) == ("executing", 1)
            assert sorted(writes.degrees) == list(range(width))
    check_nobody_waited(writes)
    assert twice or not writes.errors
    assert (
        {wake.session_agent_uuid for wake in queue.sent} <= {claimed.session_agent_uuid}
        if twice
        else not queue.sent
    )


def test_a_wide_join_is_made_ready_once_by_the_last_of_its_counter_shards(store_app: App) -> None:
    width, rounds = 350, 4 if CI else 1
    app = replace(store_app, queue=FakeQueue())
    with ThreadPoolExecutor(THREADS) as pool, noting(store_app) as writes:
        for _ in range(rounds):
            ended = joined(app, width)
            Random(width).shuffle(ended)
            writes.degrees.clear()
            claims = list(pool.map(lambda each: hand_off(app, each, lambda most: most), ended))
            claimed: Any
            (claimed,) = [each for some in claims for each in some]
            assert (claimed.agent_uuid, claimed.in_degree, claimed.unfinished) == ("join", 0, None)
            assert len(writes.degrees) == 4
            assert min(writes.degrees) == 0
    check_nobody_waited(writes)
    assert not writes.errors


def check_nobody_waited(writes: Writes) -> None:
    """No write was part of a transaction, ran into one, or was made again."""
    assert set(writes.operations) == {"UpdateItem", "BatchWriteItem"}
    assert set(writes.errors) <= {"ConditionalCheckFailedException"}
    assert writes.repeats == 0
