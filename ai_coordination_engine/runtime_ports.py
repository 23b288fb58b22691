"""Protocols for what runs agents and actions, with their requests and results.

As in `ports`, `adapters` implements them, and the tests have one fake for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, runtime_checkable

from ai_coordination_engine.data_classes import dataclass


@dataclass(frozen=True, slots=True)
class PredecessorOutput:
    """The output of one predecessor."""

    agent_uuid: str
    agent_name: str
    output: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread; `role` is `user` or `assistant`."""

    role: str
    content: str


def no_delta(text: str) -> None:
    """Nobody watches the text of an agent."""


JOB_OF_QUESTION = "async_task_uuid"
"""The key in the state of a question that names the long job which asks."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a runtime asks a person before its agent can go on.

    `text` is what the person reads; `answer_schema` is the JSON Schema to which the answer must
    conform (None: any text). `details` is JSON for programs that show the question, for example
    the tool calls to approve. `state` is JSON that the engine stores and gives back with the
    answer; nobody else reads it. If a long job asks, `state` names it (`JOB_OF_QUESTION`): it is
    cancelled if nobody waits for the answer any more.
    """

    text: str
    answer_schema: Mapping[str, Any] | None = None
    state: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resumed:
    """An answered question of the agent: the `state` that was stored with it, and the `answer`, as
    the person wrote it.
    """

    state: Any
    answer: str


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """All that a runtime needs to run one attempt of one agent.

    - `runtime`: the agent's `runtime` object, keys in snake_case; `kind` is always present.
    - `instructions`: the runtime's `instructions`, or else the agent's description.
    - `input`: the composed text: the subtask or the task query, the predecessors' outputs, and the
      person's answer.
    - `thread`: the earlier messages of the thread, oldest first.
    - `timeout_seconds`: the time that is left for this attempt.
    - `run_uuid`: identifies the attempt.
    - `idempotency_key`: the same for all attempts of the agent, until the agent is run again on
      request.
    - `output_schema`: the JSON Schema to which the answer must conform, or None for any text. The
      instructions contain it too.
    - `lost_runs`: the run uuids of the attempts right before this one that were lost, oldest first.
      They may have reached the other side.
    - `resumed`: the question that the agent has asked, and its answer; None before it has asked.
      All attempts from then on have it, until the agent asks again or is run again on request.
    - `correction`: what was wrong with the previous answer when the agent is asked once more. The
      input ends with it.
    - `traceparent` and `tracestate` (W3C Trace Context): what the attempt sends to the services
      that it calls, so that their spans are below its own; empty if there is no trace. The same for
      all deliveries of one attempt.
    - `max_tokens`: where a budget applies, the output that is reserved for a request; who asks a
      model asks for no more. None: no budget applies, or nobody knows what the agent uses.
    - `on_delta`: an agent may call it with each part of its answer while it writes it, so that
      people who watch see it. It never raises. The answer is what the agent returns.

    The engine sets every field. The defaults exist for tests of agent functions.
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
    output_schema: Mapping[str, Any] | None = None
    resumed: Resumed | None = None
    correction: str | None = None
    lost_runs: Sequence[str] = ()
    traceparent: str = ""
    tracestate: str = ""
    max_tokens: int | None = None
    on_delta: Callable[[str], None] = field(default=no_delta, compare=False, repr=False)

    @property
    def is_watched(self) -> bool:
        """Whether somebody may watch the text while it is written."""
        return self.on_delta is not no_delta


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the agent that calls it: `deps` of its pydantic-ai `RunContext`.

    `idempotency_key` is that of the call: the same when a later attempt of the agent repeats the
    call with the same arguments. `traceparent` and `tracestate` are the attempt's place in a trace.
    """

    tenant: str = ""
    session_uuid: str = ""
    session_agent_uuid: str = ""
    agent_uuid: str = ""
    agent_name: str = ""
    run_uuid: str = ""
    attempt: int = 1
    idempotency_key: str = ""
    traceparent: str = ""
    tracestate: str = ""


@dataclass(frozen=True, slots=True)
class AgentResult:
    """The result of an attempt.

    `usage` holds what the runtime counted, by the names of `domain.usage`: `input_tokens`,
    `output_tokens`, `model` and others.

    When `async_task_uuid` is set, the result is still pending: a long job goes on elsewhere and
    reports its output with `completeAsyncTask`. The job must send a heartbeat within
    `heartbeat_seconds`; None means the value of the agent's policy, or else of the setting.

    `look_seconds`: the engine also calls the runtime's `look` after so many seconds, and then at
    growing intervals, in case the report is lost. None: it does not, and the job's own reports
    count.

    When `question` is set, the attempt ends without an output: a person is asked, and another
    attempt goes on with the answer (`AgentRequest.resumed`).

    `tool_calls`: the tools that the agent called, in order: mappings with `name`, `started_at`
    (ISO 8601), `duration_ms`, `outcome` (completed, failed, denied or asked), and the `arguments`
    and the `result` as JSON. The run keeps them, cut to a limited size.
    """

    output: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    async_task_uuid: str | None = None
    heartbeat_seconds: float | None = None
    look_seconds: float | None = None
    question: Question | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()


class AgentFailure(Exception):
    """An attempt failed.

    The message appears in the session agent's `notes`, so it must be readable and contain no
    secrets. Characters that UTF-8 cannot encode (lone surrogates, for example from file names)
    become `?`.

    `retryable` says whether the same request may succeed later. `retry_after` is the wait in
    seconds that the other side asked for. `error_class` is one of `domain.policies.ERROR_CLASSES`;
    a policy's `retryOn` refers to it. `usage`: what the attempt is known to have used, and
    `tool_calls`, as in `AgentResult`. `final`: no fallback takes the agent's place.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        error_class: str = "error",
        usage: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        final: bool = False,
    ) -> None:
        self.message = str(message).encode("utf-8", "replace").decode()
        super().__init__(self.message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.error_class = error_class
        self.usage: Mapping[str, Any] = usage or {}
        self.tool_calls = tool_calls
        self.final = final


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """The request to an action function.

    `output` is the agent's output; `successors` are the uuids of the agents that wait for it. The
    engine sets every field. The defaults exist for tests of action functions.
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
    """The decision of an action function.

    `output` replaces the agent's output; None keeps it. `successors` are the agent uuids that
    continue; None means all of them.
    """

    output: str | None = None
    successors: Sequence[str] | None = None


class AgentRuntime(Protocol):
    """Runs agents of one kind. Thread-safe: one instance serves all attempts of a process."""

    def run(self, request: AgentRequest) -> AgentResult:
        """Run one attempt to its end within `request.timeout_seconds`; raises `AgentFailure`."""


@runtime_checkable
class FollowsJobs(Protocol):
    """A runtime that can look at its long jobs, and cancel them. Thread-safe.

    The requests of both have no inputs: only who asks, for which attempt, and its `runtime`.
    """

    def look(
        self, request: AgentRequest, async_task_uuid: str
    ) -> AgentResult | AgentFailure | None:
        """Return the result of a job that has ended, or its failure; None while it goes on.

        Raises `AgentFailure` if the job cannot be looked at; a final one ends it.
        """

    def cancel(self, request: AgentRequest, async_task_uuid: str) -> None:
        """Ask for the end of a job; nothing for one that has ended. Raises `AgentFailure`."""


class Runtimes(Protocol):
    """Finds the runtime of a kind and loads it on first use."""

    def find(self, kind: str) -> AgentRuntime:
        """Return the runtime for `kind`.

        Raises `AgentFailure` (not retryable) for an unknown kind; the message lists the known
        kinds.
        """

    def wants_thread(self, kind: str) -> bool:
        """Return whether runtimes of this kind use `AgentRequest.thread`; if not, none is read."""


class ActionFunctions(Protocol):
    """Runs action functions that the operator allows, after an agent has produced its output."""

    def run(self, module_name: str, function_name: str, request: ActionRequest) -> ActionResult:
        """Run the named function; raises `AgentFailure` when it fails or is not allowed."""
