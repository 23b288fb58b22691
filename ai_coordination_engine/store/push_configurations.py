"""Where clients of A2A want to be told of their tasks: items of the operational table of those who
watch, under the topic of the task's session. They hold no secret.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from uuid import uuid4

from ai_coordination_engine.store.attributes import (
    IntegerAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.leases import Leased, claim, give_back
from ai_coordination_engine.store.parent_keys import internal
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.reads import Reads
from ai_coordination_engine.store.tables.table import Refused, Table

KEPT_SECONDS = 30 * 86_400.0
"""How long a configuration lasts without a notice."""
_PUSH, _OPEN = "push", internal("pushes")


class PushConfiguration(Leased):
    """A receiver of the notices of one task.

    `delivered`: the state that it has got, or that was given up. `failures`: of the tries to send
    the state `tried`, one after the other.
    """

    class Meta:
        table_name = "connections"

    record_name = "push configuration"
    topic = UnicodeAttribute(hash_key=True)
    watcher = UnicodeAttribute(range_key=True)
    task = UnicodeAttribute(null=True)  # the handle of its session
    url = UnicodeAttribute(null=True)
    delivered = UnicodeAttribute(null=True)
    tried = UnicodeAttribute(null=True)
    failures = IntegerAttribute(null=True)
    retry_at = NumberAttribute(null=True)  # nobody tries before (epoch seconds)

    @property
    def id(self) -> str:
        """Its id, by which clients name it."""
        return self.watcher.removeprefix(internal(_PUSH, ""))


class OpenPush(Record):
    """That a configuration exists, where nobody else lists them: on one machine."""

    class Meta:
        table_name = "connections"

    record_name = "open push"
    topic = UnicodeAttribute(hash_key=True)
    watcher = UnicodeAttribute(range_key=True)  # unique among all configurations
    about = UnicodeAttribute(null=True)  # the topic
    name = UnicodeAttribute(null=True)  # the range key


def is_push(watcher: str) -> bool:
    """Whether this is the range key of a configuration; no connection's id begins so."""
    return watcher.startswith(internal(_PUSH, ""))


def push_key(topic: str, name: str) -> Key:
    """The key of the configuration with this id."""
    return topic, internal(_PUSH, name)


def _open_key(key: Key) -> Key:
    return _OPEN, f"{key[0]} {key[1]}"


class PushConfigurations:
    """The push configurations of one store. Thread-safe.

    `is_listed`: all of them are listed in one place, for a process that looks at all of them. On
    AWS the streams of the tables name those to look at. Each method is one request if it does not
    say otherwise, or one transaction.
    """

    def __init__(self, reads: Reads, prefix: str, *, is_listed: bool) -> None:
        any_table = next(iter(reads.tables.values()))
        self._table = Table(PushConfiguration, any_table.database, prefix)
        self._open = self._table.holding(OpenPush)
        self._reads, self._clock = reads, reads.clock
        self._is_listed = is_listed

    def put(self, configuration: PushConfiguration) -> None:
        """Write a configuration, in place of one with its id."""
        configuration.version = str(uuid4())
        configuration.expires_at = self._now() + KEPT_SECONDS
        topic, name = configuration.key
        listed = [OpenPush(*_open_key(configuration.key), about=topic, name=name)]
        # in one write: what is listed and does not exist is taken off the list
        self._table.put_many([configuration, *(listed if self._is_listed else ())])

    def get(self, key: Key) -> PushConfiguration | None:
        """A configuration as it is now; None if there is none, or its time is over."""
        found = self._table.get("", key, consistent=True)
        return found if found is not None and (found.expires_at or 0) > self._now() else None

    def of(self, topic: str) -> list[PushConfiguration]:
        """Those of one session, by id."""
        now = self._now()
        found = self._table.query_all("", topic, consistent=True)
        return [each for each in found if is_push(each.watcher) and (each.expires_at or 0) > now]

    def delete(self, key: Key) -> None:
        """Delete a configuration if it exists."""
        self._table.delete_many("", [key, *([_open_key(key)] if self._is_listed else ())])

    def end(self, claimed: PushConfiguration) -> None:
        """Delete a claimed configuration whose task tells nothing more, unless its client has
        written it anew.
        """
        with suppress(Refused):
            self._reads.parallel.together(partial(self._end, claimed))

    def _end(self, claimed: PushConfiguration) -> None:
        self._table.delete("", claimed.key, PushConfiguration.version == claimed.version)
        if self._is_listed:
            self._open.delete_many("", [_open_key(claimed.key)])

    def listed(self) -> Iterator[Key]:
        """The keys of all configurations, and of some that do not exist any more."""
        for each in self._open.query_all("", _OPEN, consistent=True):
            yield each.about, each.name

    # Deliveries

    def claim(self, read: PushConfiguration) -> PushConfiguration | None:
        """Take the lease to send a notice, as `leases.claim`."""
        return claim(self._table, read, self._now())

    def delivered(self, claimed: PushConfiguration, state: str) -> None:
        """Give the lease back after a state was sent, or given up."""
        actions = [
            PushConfiguration.delivered.set(state),
            PushConfiguration.failures.remove(),
            PushConfiguration.retry_at.remove(),
            PushConfiguration.expires_at.set(self._now() + KEPT_SECONDS),
        ]
        give_back(self._table, claimed, actions)

    def failed(
        self, claimed: PushConfiguration, state: str, failures: int, retry_at: float
    ) -> None:
        """Give the lease back after a state could not be sent."""
        actions = [
            PushConfiguration.tried.set(state),
            PushConfiguration.failures.set(failures),
            PushConfiguration.retry_at.set(retry_at),
        ]
        give_back(self._table, claimed, actions)

    def _now(self) -> float:
        return self._clock.now().timestamp()
