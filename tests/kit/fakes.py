"""One fake for each port. Fakes record what they are given and call `reach` before and
after calls.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.ports import QueueMessage, SecretUnavailable, Wake
from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentFailure,
    AgentRequest,
    AgentResult,
    Question,
)

LONGEST_DELAY = 900  # seconds, of SQS
Reach = Callable[[str], None]
"""Called with the name of a side effect, before and after it; may raise `Crash`."""


def _pass(name: str) -> None:
    """Do nothing between two side effects."""


class FakeClock:
    """Implements `ports.Clock`; it stands still until it is advanced.

    `tick` is called on each advance; with `every`, at least once in so many seconds.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Reset the clock to the fixed start."""
        self._now = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
        self.every: float | None = None
        self.tick: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self._now

    def wait(self, seconds: float, until: threading.Event | None) -> None:
        """Advance the clock instead of waiting."""
        if until is None or not until.is_set():
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        while self.every is not None and seconds > self.every:
            self._pass(self.every)
            seconds -= self.every
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        # Rounded up, so that whatever is due at that time is due.
        self._now += timedelta(microseconds=ceil(seconds * 1_000_000))
        self.tick()


class FakeSecrets:
    """Implements `ports.Secrets`; a secret is a text or the list of its texts, the newest last.

    An old text is returned until a newer one is asked for with `max_age`.
    """

    def __init__(self, **secrets: str | Sequence[str]) -> None:
        self.texts = {
            name: [text] if isinstance(text, str) else list(text) for name, text in secrets.items()
        }
        self._seen: dict[str, list[str]] = {}

    def value(self, name: str, *, previous: bool = False, max_age: float | None = None) -> str:
        if max_age is not None or name not in self._seen:
            self._seen[name] = list(self.texts.get(name, ()))
        found = self._seen[name][-2:-1] if previous else self._seen[name][-1:]
        if not found:
            raise SecretUnavailable("ResourceNotFoundException", retryable=False)
        return found[0]


@dataclass(eq=False)
class Delivery:
    """A message on the queue, visible from `visible_at` (epoch seconds)."""

    wake: Any  # a `QueueMessage`
    deleted: bool = False
    visible_at: float = 0
    received: int = 0


class FakeQueue:
    """Implements `ports.Queue`; messages stay until they are deleted.

    `sent` records every accepted wake-up, `fires` every time of a schedule.
    """

    def __init__(self, reach: Reach = _pass, clock: FakeClock | None = None) -> None:
        self.sent: list[Wake] = []
        self.fires: list[Any] = []
        self.waiting: list[Delivery] = []
        self.dead_letters: list[Wake] = []
        self.refuses = False
        self._reach = reach
        self._clock = clock or FakeClock()
        self._lock = threading.Lock()

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        visible_at = self._clock.now().timestamp() + min(delay, LONGEST_DELAY)
        for message in messages:
            self._reach("send")
            if self.refuses:
                raise Throttled("the queue refuses")
            with self._lock:
                if isinstance(message, Wake):
                    self.sent.append(message)
                else:
                    self.fires.append(message)
                self.waiting.append(Delivery(message, visible_at=visible_at))
            self._reach("send")

    def dead_letter(self, wake: Wake) -> None:
        self._reach("dead_letter")
        self.dead_letters.append(wake)
        self._reach("dead_letter")

    def receive(self, index: int = 0) -> Delivery | None:
        """Return a visible message and hide it; None when there is none."""
        now = self._clock.now().timestamp()
        with self._lock:
            visible = [each for each in self.waiting if each.visible_at <= now]
            if not visible:
                return None
            chosen = visible[index % len(visible)]
            self.waiting.remove(chosen)
            chosen.received += 1
            return chosen

    def next_visible_in(self) -> float | None:
        """Return the seconds until a delayed message becomes visible; None when there is none."""
        now = self._clock.now().timestamp()
        with self._lock:
            times = [each.visible_at - now for each in self.waiting if each.visible_at > now]
        return min(times, default=None)

    def read(self, body: Any) -> QueueMessage:
        """Return the message in a body; here the body is the message."""
        assert isinstance(body, QueueMessage)
        return body

    def put_back(self, delivery: Delivery, seconds: float = 0) -> None:
        """Make a received message visible again after some seconds, unless it was deleted."""
        if seconds:
            delivery.visible_at = self._clock.now().timestamp() + seconds
        with self._lock:
            if not delivery.deleted:
                self.waiting.append(delivery)

    def delete(self, delivery: Delivery) -> None:
        """Delete a received message."""
        self._reach("delete")
        with self._lock:
            delivery.deleted = True
        self._reach("delete")


class FakeBlobs:
    """Implements `ports.Blobs` with a dictionary; `puts` and `gets` record the keys in order."""

    def __init__(self, reach: Reach = _pass) -> None:
        self.kept: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.gets: list[str] = []
        self._reach = reach

    def put(self, key: str, data: bytes) -> None:
        self._reach("put blob")
        self.puts.append(key)
        self.kept[key] = data
        self._reach("put blob")

    def get(self, key: str) -> bytes:
        self.gets.append(key)
        return self.kept[key]

    def delete_all(self, prefix: str) -> None:
        for key in [each for each in self.kept if each.startswith(prefix)]:
            del self.kept[key]


class FakeActions:
    """Implements `runtime_ports.ActionFunctions`; `requests` records every call."""

    def __init__(self, reach: Reach = _pass) -> None:
        self.functions: dict[str, Callable[[ActionRequest], ActionResult]] = {}
        self.requests: list[ActionRequest] = []
        self._reach = reach

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        self._reach("act")
        self.requests.append(request)
        result = self.functions[f"{module_name}.{function_name}"](request)
        self._reach("act")
        return result


class FakeBranches:
    """Implements `Branches` for up to `most` agents, one after the other, when the chain that they
    run beside has ended. They die with the process.
    """

    def __init__(self, most: int = 9) -> None:
        self._free = most
        self._works: list[Callable[[], None]] = []

    def take(self, most: int) -> int:
        taken = min(most, self._free)
        self._free -= taken
        return taken

    def give_back(self, count: int) -> None:
        self._free += count

    def start(self, work: Callable[[], None]) -> None:
        self._works.append(work)

    def __enter__(self) -> "FakeBranches":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        errors = []
        while self._works:
            try:
                self._works.pop(0)()
            except Exception as error:
                errors.append(error)
            self._free += 1
        if kind is None and errors:
            raise errors[0]


Behaviour = Callable[[AgentRequest], str | AgentResult]


class FakeRuntime:
    """Implements `ports.AgentRuntime` and `runtime_ports.Runtimes`.

    An agent answers with its name in capitals unless it has a behaviour, which may raise
    `AgentFailure`. `requests` records every attempt in order; `repeated` those whose agent had a
    completed run already, according to `had_completed`.
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
        self.repeated: list[AgentRequest] = []
        self.had_completed: Callable[[AgentRequest], bool] = lambda request: False
        # looks at long jobs, and those that were cancelled; `looks` and `cancels` may raise
        self.looks: Callable[[str], AgentResult | AgentFailure | None] = lambda uuid: None
        self.cancels: Callable[[AgentRequest], None] = lambda request: None
        self.looked: list[str] = []
        self.cancelled: list[str] = []
        self._wants_thread = wants_thread
        self._reach = reach

    def find(self, kind: str) -> "FakeRuntime":
        return self

    def wants_thread(self, kind: str) -> bool:
        return self._wants_thread

    def run(self, request: AgentRequest) -> AgentResult:
        if self.had_completed(request):
            self.repeated.append(request)
        self._reach("run")
        self.requests.append(request)
        behaviour = self.behaviours.get(request.agent_uuid)
        output = behaviour(request) if behaviour else request.agent_name.upper()
        self._reach("run")
        return output if isinstance(output, AgentResult) else AgentResult(output)

    def look(
        self, request: AgentRequest, async_task_uuid: str
    ) -> AgentResult | AgentFailure | None:
        self._reach("look")
        self.looked.append(async_task_uuid)
        found = self.looks(async_task_uuid)
        self._reach("look")
        return found

    def cancel(self, request: AgentRequest, async_task_uuid: str) -> None:
        self._reach("cancel")
        self.cancels(request)
        self.cancelled.append(async_task_uuid)
        self._reach("cancel")

    def ran(self) -> list[str]:
        """Return the agents in the order in which their attempts began."""
        return [request.agent_uuid for request in self.requests]


def asking(*texts: str, **question: Any) -> Behaviour:
    """Return the behaviour of an agent that asks these questions one after the other; then its
    output is the answers.
    """

    def ask(request: AgentRequest) -> str | AgentResult:
        before = request.resumed
        answers = [*before.state, before.answer] if before is not None else []
        if len(answers) == len(texts):
            return " ".join(answers)
        asked = Question(texts[len(answers)], state=answers, **question)
        return AgentResult("", {"input_tokens": 1}, question=asked)

    return ask


def failing(message: str, times: int | None = None, **failure: Any) -> Behaviour:
    """Return the behaviour of an agent that fails, always or for `times` attempts; then it answers
    "ok".
    """

    def fail(request: AgentRequest) -> str:
        if times is not None and request.attempt > times:
            return "ok"
        raise AgentFailure(message, **failure)

    return fail


@dataclass
class FakeNotices:
    """Implements `live_ports.Notices` for receivers at `https://ok.example/`: keeps what each URL
    has got.
    """

    reach: Reach = _pass
    is_dead: bool = False
    got: list[tuple[str, Any]] = field(default_factory=list)
    looks: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, url: str) -> str | None:
        return None if url.startswith("https://ok.example/") else "is not allowed"

    def post(self, url: str, body: bytes) -> None:
        self.reach("post")
        if self.is_dead:
            raise AgentFailure("the receiver is dead", retryable=True, error_class="unavailable")
        self.got.append((url, json.loads(body)))
        self.reach("posted")

    def look(self, topic: str, name: str) -> None:
        self.looks.append((topic, name))
