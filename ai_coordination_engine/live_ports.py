"""Protocols for what people watch while it happens: changes, texts, connections.

As in `ports`, `adapters` implements them, and the tests have one fake for each.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from ai_coordination_engine.data_classes import dataclass


class Changes(Protocol):
    """Tells who watches that something has changed. Topics are those of `domain.topics`.
    Thread-safe.
    """

    look_seconds: float
    """How often to `look` while somebody watches."""

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches anything in this process; cheap."""

    @property
    def hears_all(self) -> bool:
        """Whether who watches is called after each change, whichever process makes it, unless that
        process dies: they need not look often; cheap.
        """

    @property
    def is_told(self) -> bool:
        """Whether `announce` reaches anybody, in this process or in another one; cheap."""

    def watch(self, topics: Iterable[str], call: Callable[[], None]) -> Callable[[], None]:
        """Call `call` after each change of one of these topics, until the returned function is
        called.

        `call` runs in the thread that has made the change, so it must be fast and raise nothing.
        """

    def announce(self, topics: Iterable[str]) -> None:
        """Something of these topics has changed, and the change is committed."""

    def announce_all(self) -> None:
        """Anything may have changed: a process has died that may not have announced its last."""

    def look(self) -> bool:
        """Tell all who watch in this process if other processes may have changed something that
        they did not announce; return whether it did.
        """


@dataclass(frozen=True, slots=True)
class Written:
    """What an attempt has written: `text` follows what was read before; `parts` are all so far."""

    attempt: int
    parts: int
    text: str


class Outputs(Protocol):
    """The texts that agents are writing in this process, as far as they tell. Best effort: the
    state has the whole output when the attempt has ended. Thread-safe.
    """

    def writing(
        self, tenant: str, session_uuid: str, session_agent_uuid: str, attempt: int
    ) -> Callable[[str], None]:
        """Begin the text of an attempt; return the function that adds to it and raises nothing."""

    def read(
        self, tenant: str, session_uuid: str, session_agent_uuid: str, after: int, attempt: int
    ) -> Written | None:
        """Return what was written after `after` parts of this attempt, or all of another one; None
        when nothing is known.
        """


class ConnectionGone(Exception):
    """The client of a WebSocket connection has gone."""


class Sockets(Protocol):
    """Sends messages to WebSocket connections that API Gateway holds. Thread-safe."""

    def send(self, connection: str, message: bytes) -> None:
        """Send a text message of at most 128 KB; raises `ConnectionGone`."""

    def close(self, connection: str) -> None:
        """Close a connection, if it is still open."""


@dataclass(frozen=True, slots=True)
class Look:
    """A message to who sends to WebSocket connections: look whether there is something to send.

    `watcher`: None stands for all watchers of the topic.
    """

    topic: str
    watcher: str | None = None


@dataclass(frozen=True, slots=True)
class Expire:
    """A message: close this WebSocket connection if it has not authenticated."""

    connection: str


class Reminders(Protocol):
    """Sends messages to who sends to WebSocket connections. Delivered at least once."""

    def send(self, message: Look | Expire, delay: float = 0) -> None:
        """Send a message that becomes visible after `delay` seconds; raises `Throttled`."""

    def read(self, body: str) -> Look | Expire:
        """Return the message in a received body; raises `BadUserInput` for another text."""


class Notices(Protocol):
    """Sends notices of tasks to receivers that the operator allows. Thread-safe."""

    def problem(self, url: str) -> str | None:
        """Return why nothing is sent to a URL, and what to do; None if it is allowed."""

    def post(self, url: str, body: bytes) -> None:
        """Send a notice; raises `AgentFailure` if the receiver does not take it."""

    def look(self, topic: str, name: str) -> None:
        """Have somebody look soon whether the receiver under this key is to be told anything."""
