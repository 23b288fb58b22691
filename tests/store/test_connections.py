"""Who watches, in memory and on DynamoDB Local, with conditions on the size and the members of
sets.
"""

from uuid import uuid4

import pytest

from ai_coordination_engine.store import connections as store_of_connections
from ai_coordination_engine.store.connections import (
    LEASE_SECONDS,
    Connections,
    SocketWatcher,
    entries,
)
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected
from tests.kit.dynamodb_local import Store
from tests.kit.fakes import FakeClock

CLOCK = FakeClock()
MOST = 4


@pytest.fixture(scope="module")
def connections(store: Store) -> Connections:
    database = next(iter(store.app.records.tables.values())).database
    return Connections(database, store.app.settings.table_prefix, CLOCK)


@pytest.fixture
def mine(connections: Connections) -> str:
    """A new connection that is authenticated, and a topic of the same name."""
    name = str(uuid4())
    connections.open(name, None)
    assert isinstance(connections.authenticate(name, "acme", None), Applied)
    return name


def watcher(mine: str, operation: str) -> SocketWatcher:
    values = {"partition_key": "acme", "connection": mine, "subscription": operation}
    return SocketWatcher(mine, document="{ ping }", **values)


def test_a_connection_is_authenticated_once(connections: Connections, mine: str) -> None:
    again = connections.authenticate(mine, "other", None)
    assert isinstance(again, Rejected)
    assert again.record is not None
    assert again.record.partition_key == "acme"
    assert connections.authenticate("nobody", "acme", None) == Rejected(None)


def test_a_connection_lists_its_watchers_up_to_a_number(
    connections: Connections, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_of_connections, "MAX_SUBSCRIPTIONS", MOST)
    connections.complete(mine, "early")
    every = [watcher(mine, str(number)) for number in range(MOST + 1)]
    assert [connections.put(each) for each in every] == [True] * len(every)
    assert not connections.put(watcher(mine, "0"))
    outcomes = [isinstance(connections.enter(each), Applied) for each in every]
    assert outcomes == [True] * MOST + [False]
    connections.remove(every[-1])
    connections.complete(mine, "2")
    assert len(connections.watchers(mine)) == MOST - 1
    connections.close(mine)
    assert (connections.watchers(mine), connections.get(mine)) == ([], None)
    assert connections.enter(every[0]) == Rejected(None)


def test_a_lease_has_one_holder_and_expires(connections: Connections, mine: str) -> None:
    connections.put(watcher(mine, "1"))
    (first,) = connections.watchers(mine)
    assert connections.claim(first) is None  # whoever wrote it sends the first message
    connections.sent(first, "digest")
    assert connections.claim(first) is None  # read before that message
    (read,) = connections.watchers(mine)
    claimed = connections.claim(read)
    assert claimed is not None
    assert connections.claim(read) is None
    CLOCK.advance(LEASE_SECONDS)
    (late,) = connections.watchers(mine)
    taken = connections.claim(late)
    assert taken is not None
    connections.sent(claimed, "late")  # no longer its holder
    found = connections.watcher(*taken.key)
    assert found is not None
    assert (found.digest, found.version) == ("digest", taken.version)


def test_an_operation_that_is_completed_before_it_is_listed(
    connections: Connections, mine: str
) -> None:
    connections.complete(mine, "1")
    entered = connections.enter(watcher(mine, "1"))
    assert isinstance(entered, Applied)
    assert sorted(entries(entered.record), key=str) == [("1", mine), ("1", None)]
