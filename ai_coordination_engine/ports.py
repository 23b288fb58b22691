"""What the engine needs from the world, as protocols; `adapters` implement them, tests fake them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Wake:
    """A message that says "this session agent may have work": delivered at least once, in any order.

    `run_uuid` presets the uuid of the first attempt's run, for callers that were promised it.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    run_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class PredecessorOutput:
    """What one predecessor produced."""

    agent_uuid: str
    agent_name: str
    output: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a thread; `role` is `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One attempt of one agent, complete: a runtime needs nothing else.

    `runtime` is the agent's `runtime` object (snake_case keys, `kind` always present); `instructions` its standing
    orders (`agent_description` when the runtime names none); `input` the composed text: the subtask or the task query,
    then the predecessors' outputs, then the person's answer. `thread` holds earlier turns, oldest first.
    `timeout_seconds` is what is left for this attempt.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    run_uuid: str
    attempt: int
    agent_uuid: str
    agent_name: str
    runtime: Mapping[str, Any]
    instructions: str
    input: str
    query: str
    task_query: str
    user_input: str | None
    predecessors: Sequence[PredecessorOutput]
    input_files: Sequence[Any]
    thread_uuid: str
    thread: Sequence[Message]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What an attempt produced. `usage`: what the runtime counted, e.g. `input_tokens`, `output_tokens`, `model`."""

    output: str
    usage: Mapping[str, Any] = field(default_factory=dict)


class AgentFailure(Exception):
    """An attempt failed. The message is shown in the session agent's notes: readable, and without secrets.

    `retryable` says whether the same request may succeed later, `retry_after` (seconds) when the other side said so.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class AgentRuntime(Protocol):
    """Executes agents of one kind. Thread-safe: one instance serves all attempts of a process."""

    def run(self, request: AgentRequest) -> AgentResult:
        """Run one attempt to its end within `request.timeout_seconds`; raises `AgentFailure`."""


class Runtimes(Protocol):
    """Finds the runtime of a kind, loading it when it is first needed."""

    def find(self, kind: str) -> AgentRuntime:
        """The runtime for `kind`; raises `AgentFailure` (not retryable) that names the known kinds."""

    def wants_thread(self, kind: str) -> bool:
        """Whether runtimes of this kind use `AgentRequest.thread`, so that it is worth reading."""


class Queue(Protocol):
    """Carries wake-ups. Returns only when every message has been accepted."""

    def send(self, wakes: Sequence[Wake]) -> None:
        """Enqueue all of them, in batches; raises `Throttled` when the queue refuses some after retries."""


class Blobs(Protocol):
    """Keeps values that are too large for an item, under immutable keys."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`; storing the same key again is harmless."""

    def get(self, key: str) -> bytes:
        """The bytes stored under `key`; raises `KeyError` when there are none."""

    def delete_all(self, prefix: str) -> None:
        """Remove every key that begins with `prefix`; there may be none."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
