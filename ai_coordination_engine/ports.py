"""What the engine needs from the world, as protocols; `adapters` implement them, tests fake
them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Wake:
    """A message that says "this session agent may have work": delivered at least once, in any
    order.

    `epoch` says how often the agent had been set back when the message was sent: a dead letter
    means the agent as it was then.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    epoch: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The key of the session agent."""
        return self.session_uuid, self.session_agent_uuid


@dataclass(frozen=True, slots=True)
class Fire:
    """A message that says "this time of a schedule has come": delivered at least once, in any
    order.

    It counts while the schedule has this `revision`, which changes with every edit, and the
    `nominal` time (epoch seconds) is still to be dealt with. `sent_at` (epoch seconds) tells a time
    that was missed from a message that is late: the first is made up for within the schedule's
    window only.
    """

    tenant: str
    task_uuid: str
    schedule_uuid: str
    nominal: int
    revision: str
    sent_at: float

    @property
    def key(self) -> tuple[str, str]:
        """The key of the schedule."""
        return self.task_uuid, self.schedule_uuid


QueueMessage = Wake | Fire


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

    `runtime` is the agent's `runtime` object (snake_case keys, `kind` always present);
    `instructions` its standing orders (`agent_description` when the runtime names none); `input`
    the composed text: the subtask or the task query, then the predecessors' outputs, then the
    person's answer. `thread` holds earlier turns, oldest first. `timeout_seconds` is what is left
    for this attempt. `run_uuid` names the attempt; `idempotency_key` is the same for all attempts
    of the agent, until somebody has it run again. The engine gives every field; the defaults are
    for tests of agent functions.
    """

    tenant: str = ""
    session_uuid: str = ""
    session_agent_uuid: str = ""
    run_uuid: str = ""
    attempt: int = 1
    agent_uuid: str = ""
    agent_name: str = ""
    runtime: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    input: str = ""
    query: str = ""
    task_query: str = ""
    user_input: str | None = None
    predecessors: Sequence[PredecessorOutput] = ()
    input_files: Sequence[Any] = ()
    thread_uuid: str = ""
    thread: Sequence[Message] = ()
    timeout_seconds: float = 60.0
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What an attempt produced. `usage`: what the runtime counted, e.g. `input_tokens`,
    `output_tokens`, `model`.

    With an `async_task_uuid` the answer is "pending": a long job goes on elsewhere, and
    `completeAsyncTask` brings its output. It must be heard of within `heartbeat_seconds` (None: the
    policy's, or the setting's).
    """

    output: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    async_task_uuid: str | None = None
    heartbeat_seconds: float | None = None


class AgentFailure(Exception):
    """An attempt failed. The message is shown in the session agent's notes: readable, and without
    secrets. Half surrogates in it (of names of files, say), which UTF-8 cannot carry, become `?`.

    `retryable` says whether the same request may succeed later, `retry_after` (seconds) when the
    other side said so. `error_class` is what a policy's `retryOn` names: one of
    `domain.policies.ERROR_CLASSES`.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        error_class: str = "error",
    ) -> None:
        self.message = str(message).encode("utf-8", "replace").decode()
        super().__init__(self.message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.error_class = error_class


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What an action function is given: the agent's answer, and the agents (uuids) that wait for
    it. The engine gives every field; the defaults are for tests of action functions.
    """

    tenant: str = ""
    session_uuid: str = ""
    session_agent_uuid: str = ""
    agent_uuid: str = ""
    agent_name: str = ""
    output: str = ""
    task_query: str = ""
    successors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action function decides: another output (None: as it was), the successors to go on
    with (None: all).
    """

    output: str | None = None
    successors: Sequence[str] | None = None


class AgentRuntime(Protocol):
    """Executes agents of one kind. Thread-safe: one instance serves all attempts of a process."""

    def run(self, request: AgentRequest) -> AgentResult:
        """Run one attempt to its end within `request.timeout_seconds`; raises `AgentFailure`."""


class Runtimes(Protocol):
    """Finds the runtime of a kind, loading it when it is first needed."""

    def find(self, kind: str) -> AgentRuntime:
        """The runtime for `kind`; raises `AgentFailure` (not retryable) that names the known
        kinds.
        """

    def wants_thread(self, kind: str) -> bool:
        """Whether runtimes of this kind use `AgentRequest.thread`, so that it is worth reading."""


class ActionFunctions(Protocol):
    """Runs the functions that the operator allows after an agent has answered."""

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        """Run the function of that name; raises `AgentFailure`, also when it is not allowed."""


class AllowList(Protocol):
    """What the settings of the workers allow, asked before anything runs. An answer names the
    setting to change.
    """

    def of_runtime(self, runtime: Mapping[str, Any] | None) -> str | None:
        """Why an agent with this runtime fails (None: with the default one), or None when it does
        not.
        """

    def of_action(self, module_name: str, function_name: str) -> str | None:
        """Why this action function does not run, or None when it does."""

    def problems(self) -> Iterator[str]:
        """A line for each setting that cannot work, whatever records name."""


class Queue(Protocol):
    """Carries messages. Returns only when every one has been accepted."""

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Enqueue all of them, in batches, to be seen after `delay` seconds (900 at most; more is
        cut).

        Raises `Throttled` when the queue refuses some after retries.
        """

    def dead_letter(self, wake: Wake) -> None:
        """Put a wake-up among the dead letters, where an operator finds it; raises `NotFound` where
        there is no such queue.
        """


class Blobs(Protocol):
    """Keeps values that are too large for an item, under immutable keys."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`; storing the same key again is harmless."""

    def get(self, key: str) -> bytes:
        """The bytes stored under `key`; raises `KeyError` when there are none."""

    def delete_all(self, prefix: str) -> None:
        """Remove every key that begins with `prefix`; there may be none."""


class SecretUnavailable(Exception):
    """A secret cannot be read. The message names the reason and never the secret's value."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Secrets(Protocol):
    """Reads secrets by reference, when they are needed. Thread-safe."""

    def value(self, name: str, *, previous: bool = False, max_age: float | None = None) -> str:
        """The text of the secret called `name` (an ARN or a name), or the one before its last
        rotation.

        It may be some minutes old, or `max_age` seconds at most. Raises `SecretUnavailable`.
        """


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""

    def wait(self, seconds: float, until: Event | None) -> None:
        """Return after so many seconds, or as soon as `until` is set."""
