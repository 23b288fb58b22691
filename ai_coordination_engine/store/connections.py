"""WebSocket connections and their subscriptions on AWS, in one operational table.

A connection is one item, which lists its subscriptions; each subscription is an item under its
topic. Items expire with the connection, which API Gateway ends after two hours. The table holds no
record of the six, and no token: only the tenant that a token allowed, and until when.
"""

import json
from typing import Any
from uuid import uuid4

from pynamodb.expressions.condition import Condition, size

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.ports import Clock
from ai_coordination_engine.store.attributes import (
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from ai_coordination_engine.store.leases import LEASE_SECONDS, Leased, claim, give_back
from ai_coordination_engine.store.parent_keys import internal
from ai_coordination_engine.store.push_configurations import PushConfiguration, is_push
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.items import Database
from ai_coordination_engine.store.tables.table import Refused, Table
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected

MAX_SUBSCRIPTIONS = 100
LONGEST_SECONDS = 7_800
"""The longest time that a connection lasts, in seconds: two hours ("Quotas for configuring and
running a WebSocket API in API Gateway"), and some minutes to spare.
"""


class SocketConnection(Record):
    """A WebSocket connection; `partition_key` is absent until it is authenticated."""

    class Meta:
        table_name = "connections"

    record_name = "connection"
    topic = UnicodeAttribute(hash_key=True)
    watcher = UnicodeAttribute(range_key=True)  # the connection's id
    # the IAM principal that signed the request to connect; absent with tokens
    principal = UnicodeAttribute(null=True)
    # when its token expires (epoch seconds); absent: never
    token_until = NumberAttribute(null=True)
    # the entries of its active operations (`_entry`)
    subscriptions = UnicodeSetAttribute(null=True)
    expires_at = NumberAttribute(null=True)  # when the item may be deleted (epoch seconds)


class SocketWatcher(Leased):
    """A subscription of a connection, under the topic whose changes it waits for."""

    class Meta:
        table_name = "connections"

    record_name = "watcher"
    topic = UnicodeAttribute(hash_key=True)
    watcher = UnicodeAttribute(range_key=True)  # the ids of the connection and of the subscription
    connection = UnicodeAttribute(null=True)
    subscription = UnicodeAttribute(null=True)
    document = UnicodeAttribute(null=True)
    variables = UnicodeAttribute(null=True)  # JSON
    operation_name = UnicodeAttribute(null=True)
    token_until = NumberAttribute(null=True)
    digest = UnicodeAttribute(null=True)  # of the last message


OPERATIONAL: tuple[type[Record], ...] = (SocketConnection,)
"""One model of each operational table, which exist on AWS only."""


@dataclass(frozen=True)
class Watching:
    """Who is told of a topic: the watchers of connections, and the receivers of notices."""

    watchers: list[SocketWatcher]
    pushes: list[PushConfiguration]


class Connections:
    """The connections of one WebSocket API. Thread-safe. Each method says how many requests it
    makes; all of them raise `Throttled` and `Unavailable`.
    """

    def __init__(self, database: Database, prefix: str, clock: Clock) -> None:
        self._connections = Table(SocketConnection, database, prefix)
        self._watchers = self._connections.holding(SocketWatcher)
        self._clock = clock

    def open(self, connection: str, principal: str | None) -> None:
        """Write a connection that is not authenticated yet; one request."""
        record = SocketConnection(*_key(connection), expires_at=self._now() + LONGEST_SECONDS)
        if principal:
            record.principal = principal
        self._connections.put(record, SocketConnection.topic.does_not_exist())

    def get(self, connection: str) -> SocketConnection | None:
        """The connection as it is now; one request."""
        return self._connections.get("", _key(connection), consistent=True)

    def authenticate(
        self, connection: str, tenant: str, until: float | None
    ) -> Outcome[SocketConnection]:
        """Give a connection its tenant; rejected if it has one, or does not exist. One request."""
        actions = [SocketConnection.partition_key.set(tenant)]
        if until is not None:
            actions.append(SocketConnection.token_until.set(until))
        is_new = SocketConnection.topic.exists() & SocketConnection.partition_key.does_not_exist()
        return self._changed(connection, actions, is_new)

    def enter(self, watcher: SocketWatcher) -> Outcome[SocketConnection]:
        """List a watcher in its connection.

        Rejected if the connection is gone, or lists as many as it may. One request, and two more if
        it lists some that were completed before they began.
        """
        outcome = self._entered(watcher)
        done = {_entry(each, None) for each in _completed(outcome.record)}
        if isinstance(outcome, Applied) or not done:
            return outcome
        self._changed(watcher.connection, [SocketConnection.subscriptions.delete(done)], _IS_THERE)
        return self._entered(watcher)

    def remove(self, watcher: SocketWatcher) -> None:
        """Delete a watcher, and no longer list it; two requests."""
        self._watchers.delete_many("", [watcher.key])
        operation_id = watcher.subscription
        gone = {_entry(operation_id, watcher.topic), _entry(operation_id, None)}
        self._changed(watcher.connection, [SocketConnection.subscriptions.delete(gone)], _IS_THERE)

    def complete(self, connection: str, operation_id: str) -> None:
        """Delete the watcher of an operation, also if it is about to begin: the messages of a
        connection may be processed in any order. Three requests, or one if there is none yet.
        """
        mark = {_entry(operation_id, None)}
        marked = self._changed(connection, [SocketConnection.subscriptions.add(mark)], _IS_THERE)
        if not isinstance(marked, Applied):
            return
        for each, topic in entries(marked.record):
            if each == operation_id and topic is not None:
                watcher = _watcher(connection, operation_id)
                self.remove(
                    SocketWatcher(topic, watcher, connection=connection, subscription=operation_id)
                )

    def _entered(self, watcher: SocketWatcher) -> Outcome[SocketConnection]:
        mine = SocketConnection.subscriptions
        listed: Any = size(mine.path)  # type: ignore[no-untyped-call]
        is_free = mine.does_not_exist() | (listed < MAX_SUBSCRIPTIONS)
        entry = _entry(watcher.subscription, watcher.topic)
        return self._changed(watcher.connection, [mine.add({entry})], _IS_THERE & is_free)

    def put(self, watcher: SocketWatcher) -> bool:
        """Write a watcher under a lease to send its first message; False if its id is in use. One
        request.
        """
        now = self._now()
        watcher.watcher = _watcher(watcher.connection, watcher.subscription)
        watcher.version = str(uuid4())
        watcher.lease_until = now + LEASE_SECONDS
        watcher.expires_at = now + LONGEST_SECONDS
        try:
            self._watchers.put(watcher, SocketWatcher.topic.does_not_exist())
        except Refused:
            return False
        return True

    def watchers(self, topic: str) -> list[SocketWatcher]:
        """The watchers of a topic; one request per megabyte."""
        return self.watching(topic).watchers

    def watching(self, topic: str) -> Watching:
        """All who are told of a topic; one request per megabyte."""
        now = self._now()
        items = self._watchers.query_all("", topic, consistent=True)
        found = [each for each in items if (each.expires_at or 0) > now]
        return Watching(
            [each for each in found if not is_push(each.watcher)],
            [
                PushConfiguration.from_raw_data(each.item_read)
                for each in found
                if is_push(each.watcher)
            ],
        )

    def watcher(self, topic: str, watcher: str) -> SocketWatcher | None:
        """A watcher as it is now; one request."""
        return self._watchers.get("", (topic, watcher), consistent=True)

    def claim(self, watcher: SocketWatcher) -> SocketWatcher | None:
        """Take the lease to send a message, as `leases.claim`."""
        return claim(self._watchers, watcher, self._now())

    def sent(self, claimed: SocketWatcher, digest: str) -> None:
        """Give the lease back after a message; one request."""
        give_back(self._watchers, claimed, [SocketWatcher.digest.set(digest)])

    def close(self, connection: str, watcher: SocketWatcher | None = None) -> None:
        """Delete a connection and its watchers, also one that it does not list yet; two requests,
        and one for each 25 watchers.
        """
        record = self.get(connection)
        listed = entries(record) if record is not None else ()
        keys = [(topic, _watcher(connection, each)) for each, topic in listed if topic is not None]
        if watcher is not None:
            keys.append(watcher.key)
        if keys:
            self._watchers.delete_many("", keys)
        if record is not None:
            self._connections.delete_many("", [record.key])

    def _changed(
        self, connection: str, actions: list[Any], condition: Condition
    ) -> Outcome[SocketConnection]:
        try:
            return Applied(self._connections.update("", _key(connection), actions, condition))
        except Refused as refused:
            return Rejected(refused.old)

    def _now(self) -> float:
        return self._clock.now().timestamp()


_IS_THERE = SocketConnection.partition_key.exists()


def entries(connection: SocketConnection) -> list[tuple[str, str | None]]:
    """The operations that a connection lists, with their topics (None: completed before it
    began).
    """
    found = [json.loads(entry) for entry in connection.subscriptions or ()]
    return [(operation_id, topic) for operation_id, topic in found]


def _completed(connection: SocketConnection | None) -> list[str]:
    """The operations that were completed before they began."""
    listed = entries(connection) if connection is not None else ()
    return [operation_id for operation_id, topic in listed if topic is None]


def _entry(operation_id: str, topic: str | None) -> str:
    return json.dumps([operation_id, topic])


def _key(connection: str) -> tuple[str, str]:
    return internal("connection", connection), connection


def _watcher(connection: str, operation_id: str) -> str:
    return f"{connection} {operation_id}"
