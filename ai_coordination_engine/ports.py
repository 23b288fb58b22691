"""Protocols for everything outside the engine: queue, prices, blobs, secrets, clock.

The engine calls them. `adapters` implements them; the tests have one fake for each. The dataclasses
in this module are the messages of the queue. `runtime_ports` has what runs agents.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from threading import Event
from typing import Any, Protocol

from ai_coordination_engine.data_classes import dataclass


@dataclass(frozen=True, slots=True)
class Wake:
    """A queue message: this session agent may have work to do.

    Delivered at least once, in any order. `epoch` is the agent's count of resets when the message
    was sent. If the message becomes a dead letter, it applies only to the agent at that epoch.
    `needs`: the extra that the agent needs, if any; it chooses the queue.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    epoch: int = 0
    needs: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The key of the session agent: session uuid, session agent uuid."""
        return self.session_uuid, self.session_agent_uuid


@dataclass(frozen=True, slots=True)
class Fire:
    """A queue message: a time of a task schedule has come.

    Delivered at least once, in any order. `nominal` is the scheduled time in epoch seconds. The
    message is ignored when the schedule's `revision` has changed (every edit changes it) or when
    `nominal` has been handled. `sent_at` (epoch seconds) distinguishes a time that was missed from
    a message that was delivered late: only a missed time is subject to the schedule's catch-up
    window.
    """

    tenant: str
    task_uuid: str
    schedule_uuid: str
    nominal: int
    revision: str
    sent_at: float

    @property
    def key(self) -> tuple[str, str]:
        """The key of the schedule: task uuid, schedule uuid."""
        return self.task_uuid, self.schedule_uuid


@dataclass(frozen=True, slots=True)
class Backfill:
    """A queue message: this schedule may have sessions of a backfill to start.

    Delivered at least once, in any order. The schedule record holds the times.
    """

    tenant: str
    task_uuid: str
    schedule_uuid: str

    @property
    def key(self) -> tuple[str, str]:
        """The key of the schedule: task uuid, schedule uuid."""
        return self.task_uuid, self.schedule_uuid


@dataclass(frozen=True, slots=True)
class CancelJob:
    """A queue message: a long job is no longer wanted, so its service is told to cancel it.

    Delivered at least once, in any order. `runtime` is the `runtime` object of the agent as JSON;
    its records may have changed since. `tries` counts the calls that have failed.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    run_uuid: str
    async_task_uuid: str
    runtime: str
    tries: int = 0


QueueMessage = Wake | Fire | Backfill | CancelJob


class AllowList(Protocol):
    """Checks a runtime or an action function against the workers' settings before anything runs.

    Each reason that it returns names the setting to change.
    """

    def of_runtime(self, runtime: Mapping[str, Any] | None) -> str | None:
        """Return why an agent with this runtime would fail, or None if it would not.

        A `runtime` of None stands for the default runtime.
        """

    def of_action(self, module_name: str, function_name: str) -> str | None:
        """Return why this action function would not run, or None if it would."""

    def problems(self) -> Iterator[str]:
        """Yield a line for each setting that can never work, whatever the records contain."""


class Queue(Protocol):
    """Sends messages to the workers."""

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Send all messages, in batches; return when the queue has accepted every one.

        The messages become visible after `delay` seconds (at most 900; larger values are cut).
        Raises `Throttled` when the queue still refuses some after retries.
        """

    def dead_letter(self, wake: Wake) -> None:
        """Send a wake-up to the dead-letter queue, where an operator can find it.

        Raises `NotFound` when there is no such queue.
        """


class Blobs(Protocol):
    """Stores values that are too large for a DynamoDB item. A key is written once and never
    changed.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`; storing the same key again has no effect."""

    def get(self, key: str) -> bytes:
        """Return the bytes stored under `key`; raises `KeyError` when there are none."""

    def delete_all(self, prefix: str) -> None:
        """Delete every key that begins with `prefix`, if any."""


class SecretUnavailable(Exception):
    """A secret cannot be read. The message says why and never contains the secret's value.

    `retryable` says whether a later attempt may succeed.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Secrets(Protocol):
    """Reads secrets by name when they are needed. Thread-safe."""

    def value(self, name: str, *, previous: bool = False, max_age: float | None = None) -> str:
        """Return the text of the secret `name` (an ARN or a name).

        With `previous`, return the value before the last rotation. The value may come from a cache:
        it is at most `max_age` seconds old, or some minutes when that is None. Raises
        `SecretUnavailable`.
        """


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""

    def wait(self, seconds: float, until: Event | None) -> None:
        """Return after `seconds`, or as soon as `until` is set."""
