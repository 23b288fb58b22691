"""One fake for each port. They keep what they were given, and say so before and after every call."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.ports import AgentFailure, AgentRequest, AgentResult, Wake

Reach = Callable[[str], None]
"""Called with the name of a side effect, once before and once after it; may raise, as a process that dies there."""


def _pass(name: str) -> None:
    """Nothing happens between two side effects."""


class FakeClock:
    """`ports.Clock`: stands still until somebody advances it."""

    def __init__(self, now: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(eq=False)
class Delivery:
    """A message on the queue."""

    wake: Wake
    deleted: bool = False


class FakeQueue:
    """`ports.Queue`: keeps a message until it is deleted. `sent` is every wake-up that was ever accepted."""

    def __init__(self, reach: Reach = _pass) -> None:
        self.sent: list[Wake] = []
        self.waiting: list[Delivery] = []
        self.refuses = False
        self._reach = reach
        self._lock = threading.Lock()

    def send(self, wakes: Sequence[Wake]) -> None:
        for wake in wakes:
            self._reach("send")
            if self.refuses:
                raise Throttled("the queue refuses")
            with self._lock:
                self.sent.append(wake)
                self.waiting.append(Delivery(wake))
            self._reach("send")

    def receive(self, index: int = 0) -> Delivery | None:
        """Take a message out of sight; None when there is none."""
        with self._lock:
            return self.waiting.pop(index % len(self.waiting)) if self.waiting else None

    def put_back(self, delivery: Delivery) -> None:
        """A message that was received comes into sight again, unless it was deleted."""
        with self._lock:
            if not delivery.deleted:
                self.waiting.append(delivery)

    def delete(self, delivery: Delivery) -> None:
        """Delete a message that was received."""
        self._reach("delete")
        with self._lock:
            delivery.deleted = True
        self._reach("delete")


class FakeBlobs:
    """`ports.Blobs` in a dictionary; `puts` lists the keys in the order they came."""

    def __init__(self, reach: Reach = _pass) -> None:
        self.kept: dict[str, bytes] = {}
        self.puts: list[str] = []
        self._reach = reach

    def put(self, key: str, data: bytes) -> None:
        self._reach("put blob")
        self.puts.append(key)
        self.kept[key] = data
        self._reach("put blob")

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def delete_all(self, prefix: str) -> None:
        for key in [each for each in self.kept if each.startswith(prefix)]:
            del self.kept[key]


Behaviour = Callable[[AgentRequest], str]


class FakeRuntime:
    """`ports.AgentRuntime` and `ports.Runtimes` in one: an agent answers its name in capitals unless it is told how.

    A behaviour may raise `AgentFailure`. `requests` keeps every attempt in the order they began.
    """

    def __init__(
        self,
        behaviours: Mapping[str, Behaviour] | None = None,
        *,
        wants_thread: bool = False,
        reach: Reach = _pass,
    ) -> None:
        self.behaviours: dict[str, Behaviour] = dict(behaviours or {})
        self.requests: list[AgentRequest] = []
        self._wants_thread = wants_thread
        self._reach = reach

    def find(self, kind: str) -> "FakeRuntime":
        return self

    def wants_thread(self, kind: str) -> bool:
        return self._wants_thread

    def run(self, request: AgentRequest) -> AgentResult:
        self._reach("run")
        self.requests.append(request)
        behaviour = self.behaviours.get(request.agent_uuid)
        output = behaviour(request) if behaviour else request.agent_name.upper()
        self._reach("run")
        return AgentResult(output)

    def ran(self) -> list[str]:
        """The agents in the order their attempts began."""
        return [request.agent_uuid for request in self.requests]


def failing(message: str) -> Behaviour:
    """The behaviour of an agent that fails."""

    def fail(request: AgentRequest) -> str:
        raise AgentFailure(message)

    return fail
