"""The records of the API. Generated from the schema by `make client`: do not edit."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import SkipValidation

from ai_coordination_engine.client.model import Json, Model

TaskScheduleStatus = Annotated[Literal["initial", "active", "paused", "completed"], SkipValidation]
"""The status of a task schedule."""


OverlapPolicy = Annotated[
    Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"], SkipValidation
]
"""What happens at a time of a schedule while an earlier session of it runs."""


SessionStatus = Annotated[
    Literal[
        "initial",
        "dispatched",
        "in_progress",
        "active",
        "in_transit",
        "paused",
        "completed",
        "failed",
        "timeout",
        "cancelled",
    ],
    SkipValidation,
]
"""The status of a session."""


SessionAgentState = Annotated[
    Literal[
        "initial",
        "pending",
        "executing",
        "wait_for_user_input",
        "completed",
        "failed",
        "skipped",
        "cancelled",
    ],
    SkipValidation,
]
"""The state of a session agent."""


SessionAgentPhase = Annotated[
    Literal[
        "waiting for predecessors",
        "unsatisfied",
        "ready",
        "asking",
        "backoff",
        "waiting for a budget",
        "executing",
        "acting",
        "action due",
        "lease expired",
        "waiting for a long job",
        "map expanding",
        "waiting for elements",
        "waiting for a person",
        "paused",
        "executing by hand",
        "ended",
    ],
    SkipValidation,
]
"""What a session agent is doing, or waits for."""


WhyNotRunningCode = Annotated[
    Literal[
        "EXECUTING",
        "LEASE_EXPIRED",
        "ACTING",
        "WAITS_FOR_PREDECESSORS",
        "WAITS_FOR_ELEMENTS",
        "WAITS_FOR_USER",
        "WAITS_FOR_ASYNC_TASK",
        "WAITS_FOR_BUDGET",
        "BACKOFF",
        "PAUSED",
        "WAITS_FOR_WORKER",
        "WAITS_FOR_SETTINGS",
        "WAITS_FOR_BACKEND",
        "INTERNAL_ERROR",
        "RESTARTING",
        "SESSION_ENDED",
        "NOT_PLANNED",
        "COMPLETED",
        "FAILED",
        "SKIPPED",
        "CANCELLED",
    ],
    SkipValidation,
]
"""Why a session agent does not run."""


SessionRunStatus = Annotated[
    Literal["completed", "failed", "lost", "asked", "pending", "expired"], SkipValidation
]
"""How an attempt ended."""


ErrorClass = Annotated[
    Literal[
        "timeout",
        "rate_limit",
        "unavailable",
        "invalid_request",
        "invalid_output",
        "error",
        "lost",
        "not_allowed",
        "budget",
    ],
    SkipValidation,
]
"""The class of the error of an attempt."""


class Coordination(Model):
    """A set of agents that can work together, and how each of them is run."""

    fragment: ClassVar[str] = """
fragment Coordination on CoordinationType { id endpointId partId partitionKey
  coordinationUuid coordinationName coordinationDescription agents budget themeUuid updatedBy
  createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    endpoint_id: str
    """The endpoint id of the tenant."""

    part_id: str | None
    """The part id of the tenant; null when the tenant has no part."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    coordination_uuid: str
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_name: str | None
    """The display name: at most 4,096 bytes."""

    coordination_description: str | None
    """A description for people."""

    agents: list[Json] | None
    """The agents. Keys: `agentUuid` (required), `agentName`, `agentDescription`, `agentType`, `runtime`, `policy`."""

    budget: Json
    """What may be spent: `microUsd`, `tokens`, `onExceeded` (`fail`, `pause`, `fallback`) and `per` (`session`, `day`, `total`). Of a task it counts for one session, of a coordination for a UTC day."""

    theme_uuid: str | None
    """The theme in which a frontend shows the coordination."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class Task(Model):
    """Work for the agents of a coordination: the question for each agent, and the order in which they run."""

    fragment: ClassVar[str] = """
fragment Task on TaskType { id taskUuid coordinationUuid endpointId partitionKey taskName
  taskDescription initialTaskQuery subtaskQueries agentActions onFailure placeholders budget
  plan planLimits planFallback exposeAs updatedBy createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    task_uuid: str
    """The task's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_uuid: str
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    endpoint_id: str
    """The endpoint id of the tenant."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    task_name: str | None
    """The display name: at most 4,096 bytes."""

    task_description: str | None
    """A description for people."""

    initial_task_query: str | None
    """The query of a session that is started without a `taskQuery`."""

    subtask_queries: list[Json] | None
    """The question for each agent, with the keys `agentUuid` and `subtaskQuery`. An agent may have several."""

    agent_actions: Json
    """By agent uuid, how the agent runs: `predecessors`, `userInTheLoop`, `join`, `conditions`, `map`, `policy` and others."""

    on_failure: str | None
    """`fail_fast` (default): a failed agent fails the session at once. `continue`: other branches finish first."""

    placeholders: str | None
    """What happens to a placeholder without a value: `warn` (default) warns, `strict` is an error."""

    budget: Json
    """What may be spent: `microUsd`, `tokens`, `onExceeded` (`fail`, `pause`, `fallback`) and `per` (`session`, `day`, `total`). Of a task it counts for one session, of a coordination for a UTC day."""

    plan: bool | None
    """Whether the coordination's `planning` agent plans each session, or else its `decompose` agent writes the subtasks; false by default."""

    plan_limits: Json
    """Limits of a plan: `steps` (20), `depth` (6 consecutive steps), `map` (100 elements) and `attempts` (3 requests to the planning agent)."""

    plan_fallback: str | None
    """What happens without a valid plan: `fail` (default) fails the session, `static` runs the task's own subtasks and actions."""

    expose_as: Json
    """How other systems can start the task: `name`, `description`, `as` (`mcp`, `a2a`; both by default) and `inputSchema`; null (default): not at all."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class TaskSchedule(Model):
    """The times at which a task is started."""

    fragment: ClassVar[str] = """
fragment TaskSchedule on TaskScheduleType { id scheduleUuid taskUuid coordinationUuid
  endpointId partitionKey schedule status timezone startAt endAt jitterSeconds overlapPolicy
  catchupWindowSeconds maxRuns pauseOnFailure taskQuery inputFiles userId nextFireAt
  lastFireAt runCount skippedCount missedCount updatedBy createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    schedule_uuid: str
    """The schedule's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    task_uuid: str
    """The task's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_uuid: str | None
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    endpoint_id: str
    """The endpoint id of the tenant."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    schedule: str | None
    """The expression of its times, such as `0 9 * * MON-FRI` or `rate(1 day)`."""

    status: TaskScheduleStatus
    """One of initial, active, paused, completed. The schedule fires while it is active."""

    timezone: str | None
    """The IANA name of the schedule's time zone; `UTC` by default."""

    start_at: datetime | None
    """The schedule does not fire before this time (whole seconds). A rate counts from it."""

    end_at: datetime | None
    """The schedule does not fire after this time."""

    jitter_seconds: int | None
    """Each firing is delayed by up to this many seconds: 0 (default) to 86,400."""

    overlap_policy: OverlapPolicy | None
    """What happens if an earlier session of the schedule has not ended when it is due: `skip` (default), `buffer_one`, `buffer_all`, `cancel_other` or `allow_all`."""

    catchup_window_seconds: int | None
    """A missed time still fires if it is at most this many seconds old: 60 by default; 0: missed times never fire."""

    max_runs: int | None
    """The schedule is `completed` after this many sessions; no limit by default."""

    pause_on_failure: bool | None
    """Whether the schedule is `paused` when one of its sessions fails; false by default."""

    task_query: str | None
    """The query of its sessions: a text or a JSON object; null: the task's `initialTaskQuery`."""

    input_files: list[Json] | None
    """Files or references for the agents of its sessions."""

    user_id: str | None
    """The user for whom its sessions start; null when none was given."""

    next_fire_at: datetime | None
    """The next time, without jitter; null while the schedule is not active."""

    last_fire_at: datetime | None
    """The latest time that started a session; null before the first."""

    run_count: int | None
    """The number of sessions that it has started."""

    skipped_count: int | None
    """The number of times skipped because a session had not ended."""

    missed_count: int | None
    """The number of times that were missed while the engine did not run, and not caught up."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class Session(Model):
    """One execution of a task, or one conversation with an agent."""

    fragment: ClassVar[str] = """
fragment Session on SessionType { id sessionUuid coordinationUuid taskUuid userId endpointId
  partitionKey taskQuery inputFiles iterationCount subtaskQueries status logs updatedBy
  createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    session_uuid: str
    """The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_uuid: str
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    task_uuid: str | None
    """The task from which the session was started; null when there was none."""

    user_id: str | None
    """The user who started it, as given by the client; null when none was given."""

    endpoint_id: str
    """The endpoint id of the tenant."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    task_query: str | None
    """The query of the session: a text, or a JSON object whose keys fill placeholders."""

    input_files: list[Json] | None
    """Files or references for all agents of the session, in any form."""

    iteration_count: int | None
    """A number for the client's own use; the engine does not change it."""

    subtask_queries: list[Json] | None
    """The question for each agent, with the keys `agentUuid` and `subtaskQuery`. An agent may have several."""

    status: SessionStatus
    """One of initial, dispatched, in_progress, active, in_transit, paused, completed, failed, timeout, cancelled. The last four are final."""

    logs: str | None
    """Why the session failed, or a client's notes; null when there are none."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class SessionAgent(Model):
    """One agent in a session: its input, output and state."""

    fragment: ClassVar[str] = """
fragment SessionAgent on SessionAgentType { id sessionAgentUuid sessionUuid coordinationUuid
  agentUuid agentName agentAction userInput question agentOutput inDegree state phase notes
  attempt startedAt endedAt dueAt notBefore leaseUntil mapIndex mapSessionAgentUuid updatedBy
  createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    session_agent_uuid: str
    """The session agent's uuid; the same agent has a different one in every session."""

    session_uuid: str
    """The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_uuid: str | None
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    agent_uuid: str | None
    """The agent's uuid in its coordination."""

    agent_name: str | None
    """The name of the agent when the session started; null when it has none."""

    agent_action: Json
    """How the agent runs: `predecessors`, `primaryPath`, `userInTheLoop`, `actionFunction` and others."""

    user_input: str | None
    """The person's answer; null until it is given, and when no person is asked."""

    question: Json
    """What the agent's runtime asks a person now: `id`, `text`, `answerSchema`, and `details` such as the tool calls to approve. Null when it asks nothing: the `agentAction` says what a person is asked before the agent begins."""

    agent_output: str | None
    """The output of the agent as a text; null until it has one."""

    in_degree: int | None
    """The number of predecessors that have not ended."""

    state: SessionAgentState
    """One of initial, pending, executing, wait_for_user_input, completed, failed, skipped, cancelled. The last four are final."""

    phase: SessionAgentPhase | None
    """What the agent is doing, or what it waits for while it is pending: one of the phases of `docs/states.md`, such as `backoff`."""

    notes: str | None
    """Why the agent failed or was skipped, in words; null when there is no such reason."""

    attempt: int | None
    """The number of the latest attempt, from 1; null before the first."""

    started_at: datetime | None
    """When the latest attempt began; null before the first attempt, and after a reset (such as `retrySession`) until the next one. A map starts when its elements have ended."""

    ended_at: datetime | None
    """When the latest attempt ended; null while it runs and before the first attempt."""

    due_at: datetime | None
    """When the wait for a person or a long job times out; null when it does not wait or has no timeout."""

    not_before: datetime | None
    """The earliest time of the next attempt; null when there is no such limit."""

    lease_until: datetime | None
    """When the lease of the worker that runs the attempt expires; null when no attempt runs."""

    map_index: int | None
    """The position in the list of its map, from 0; null when the agent is not an element of a map."""

    map_session_agent_uuid: str | None
    """The session agent of the map; null when the agent is not an element of a map."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class SessionRun(Model):
    """One attempt of a session agent. A run never changes."""

    fragment: ClassVar[str] = """
fragment SessionRun on SessionRunType { id runUuid sessionUuid coordinationUuid
  sessionAgentUuid threadUuid agentUuid endpointId partitionKey asyncTaskUuid status attempt
  startedAt endedAt error errorClass inputTokens outputTokens totalTokens cachedTokens
  cacheWriteTokens reasoningTokens requests model provider costMicroUsd priceVersion toolCalls
  updatedBy createdAt updatedAt }
"""

    id: str
    """The record's id: opaque, stable, and unique among the records of all types. `node` finds the record by it."""

    run_uuid: str
    """The run's uuid. The engine creates it when an attempt begins."""

    session_uuid: str
    """The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    coordination_uuid: str | None
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    session_agent_uuid: str | None
    """The session agent that made the attempt; null when a client wrote the run without it."""

    thread_uuid: str | None
    """The thread (a conversation within the session) to which the run belongs."""

    agent_uuid: str | None
    """The agent that ran: the session agent's own agent, or its fallback."""

    endpoint_id: str
    """The endpoint id of the tenant."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    async_task_uuid: str | None
    """The uuid of the long job that did the work. While the job runs, `completeAsyncTask` takes this uuid."""

    status: SessionRunStatus | None
    """One of completed, failed, lost (the worker died), asked (a person was asked; another attempt goes on with the answer), pending (a long job is running), expired (the long job sent no heartbeat in time); null when a client wrote the run."""

    attempt: int | None
    """The number of the attempt, from 1; null when a client wrote the run."""

    started_at: datetime | None
    """When the attempt began; null when it was lost or a client wrote the run."""

    ended_at: datetime | None
    """When the attempt ended; null while a long job is running, and when it was lost."""

    error: str | None
    """Why the attempt failed, in words; null when it did not fail."""

    error_class: ErrorClass | None
    """The class of the error: timeout, rate_limit, unavailable, invalid_output, invalid_request, not_allowed, lost or error; null when the attempt did not fail."""

    input_tokens: int | None
    """The tokens that the model read, cached ones included; null when the runtime did not count them."""

    output_tokens: int | None
    """The tokens that the model wrote, those of its reasoning included; null when the runtime did not count them."""

    total_tokens: int | None
    """The sum of all tokens; null when the runtime did not count them."""

    cached_tokens: int | None
    """Those of `inputTokens` that were read from a cache."""

    cache_write_tokens: int | None
    """Those of `inputTokens` that were written into a cache."""

    reasoning_tokens: int | None
    """Those of `outputTokens` in which the model reasoned."""

    requests: int | None
    """How often the model was asked."""

    model: str | None
    """The model that answered; null when the runtime did not name it."""

    provider: str | None
    """Who is paid for the model: its name, or the host of its API."""

    cost_micro_usd: int | None
    """What the attempt cost, in millionths of a dollar; null when the usage or its price is not known."""

    price_version: str | None
    """The version of the prices by which the cost was computed."""

    tool_calls: list[Json] | None
    """The tools that the agent called, in order: `name`, `outcome` (completed, failed, denied, asked), `startedAt`, `durationMs`, `arguments` and `result`, cut to a limited size; null when it called none."""

    updated_by: str | None
    """Who made the latest change, as given by the client; `engine` for a change by the engine."""

    created_at: datetime
    """When the record was created."""

    updated_at: datetime
    """When the record was last changed."""


class SessionCount(Model):
    """The number of sessions with one status."""

    fragment: ClassVar[str] = """
fragment SessionCount on SessionCountType { status count isLowerBound }
"""

    status: SessionStatus
    """The status. `in_progress` includes `dispatched`; this one has no number."""

    count: int
    """The number of sessions."""

    is_lower_bound: bool
    """Whether there may be more: nothing is counted beyond `bound`."""


class WaitingCount(Model):
    """The number of sessions in which an agent waits for a person."""

    fragment: ClassVar[str] = """
fragment WaitingCount on WaitingCountType { count isLowerBound }
"""

    count: int
    """The number of sessions."""

    is_lower_bound: bool
    """Whether there may be more: nothing is counted beyond `bound`."""


class SessionCounts(Model):
    """How many sessions the tenant has."""

    fragment: ClassVar[str] = """
fragment SessionCounts on SessionCountsType { byStatus { status count isLowerBound }
  waitsForPerson { count isLowerBound } bound }
"""

    by_status: list[SessionCount] | None
    """The numbers by status, in the order of a session's life."""

    waits_for_person: WaitingCount | None
    """Those in which an agent waits for a person, among the sessions of the 1,000 latest questions."""

    bound: int | None
    """The number up to which the sessions of a status are counted."""


class UsageByDay(Model):
    """What one agent used of one model on one day."""

    fragment: ClassVar[str] = """
fragment UsageByDay on UsageByDayType { day coordinationUuid agentUuid model microUsd
  inputTokens outputTokens unpricedRuns cachedTokens reasoningTokens requests toolCalls runs
  failedRuns }
"""

    day: str | None
    """The day in UTC, for example 2026-11-26."""

    coordination_uuid: str | None
    """The coordination's uuid."""

    agent_uuid: str | None
    """The agent's uuid."""

    model: str | None
    """The model; `unknown` if the runtime did not name it, and `other` for all further ones of a day with more than 100."""

    micro_usd: float | None
    """Millionths of a dollar, of the attempts that have a price; null if none has one."""

    input_tokens: float | None
    """The tokens that models read, as far as they are known."""

    output_tokens: float | None
    """The tokens that models wrote, as far as they are known."""

    unpriced_runs: int | None
    """The attempts whose cost is not known: their model has no price, or their tokens are unknown."""

    cached_tokens: float | None
    """Those of `inputTokens` that were read from a cache."""

    reasoning_tokens: float | None
    """Those of `outputTokens` in which models reasoned."""

    requests: float | None
    """How often models were asked."""

    tool_calls: float | None
    """How often tools were called."""

    runs: float | None
    """The attempts that asked a model."""

    failed_runs: float | None
    """Those of them that did not complete."""


class Plan(Model):
    """The dry run of a task: what a start would do. Agents are named by their uuids."""

    fragment: ClassVar[str] = """
fragment Plan on PlanType { layers width criticalPath agentCalls modelCalls warnings tokens
  costMicroUsd }
"""

    layers: list[list[str]] | None
    """The order: an agent is in the layer after its last predecessor, once for each of its subtasks."""

    width: int | None
    """The number of session agents in the largest layer."""

    critical_path: list[str] | None
    """The longest chain of agents, the first of them first."""

    agent_calls: Json
    """The number of calls by agent if no attempt fails; null for a map, which calls its agent once for each element."""

    model_calls: Json
    """The number of calls by model."""

    warnings: list[str] | None
    """The warnings; each begins with its place in the task."""

    tokens: Json
    """The tokens: `low`, `expected` and `high`, from what the same agents have used before; null where that is not known, and a warning says why."""

    cost_micro_usd: Json
    """The cost in millionths of a dollar: `low`, `expected` and `high`, from what the same agents have used before; null where that is not known, and a warning says why."""


class ProcedureTaskSession(Model):
    """A session that was started from a task."""

    fragment: ClassVar[str] = """
fragment ProcedureTaskSession on ProcedureTaskSessionType { coordinationUuid sessionUuid
  taskUuid userId taskQuery partitionKey }
"""

    coordination_uuid: str
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    session_uuid: str
    """The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    task_uuid: str
    """The task's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    user_id: str | None
    """The user who started it, as given by the client; null when none was given."""

    task_query: str | None
    """The query of the session: a text, or a JSON object whose keys fill placeholders."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""


class AskOperationHub(Model):
    """The uuids under which the answer to a question will be found."""

    fragment: ClassVar[str] = """
fragment AskOperationHub on AskOperationHubType { runUuid threadUuid agentUuid asyncTaskUuid
  sessionUuid sessionAgentUuid coordinationUuid partitionKey updatedAt }
"""

    run_uuid: str
    """The uuid of the run that will hold the answer."""

    thread_uuid: str
    """The thread (a conversation within the session) to which the run belongs."""

    agent_uuid: str
    """The agent's uuid in its coordination."""

    async_task_uuid: str | None
    """The uuid of the long job that did the work. While the job runs, `completeAsyncTask` takes this uuid."""

    session_uuid: str
    """The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    session_agent_uuid: str
    """The session agent's uuid; the same agent has a different one in every session."""

    coordination_uuid: str
    """The coordination's uuid: 1 to 256 printable bytes, given by the client or made by the server."""

    partition_key: str
    """The tenant: `endpointId`, or `endpointId#partId`."""

    updated_at: datetime | None
    """When the record was last changed."""


class CompleteAsyncTask(Model):
    """The result of `completeAsyncTask`."""

    ok: bool | None
    """Always true; a failure is an error instead."""

    session_agent: SessionAgent | None
    """The session agent that waited for the job; null when it no longer exists."""


class RunTaskSchedule(Model):
    """The result of `runTaskSchedule`."""

    task_schedule: TaskSchedule | None
    """The record after the change."""

    sessions: list[Session] | None
    """The sessions of these times."""


class BackfillTaskSchedule(Model):
    """The result of `backfillTaskSchedule`."""

    task_schedule: TaskSchedule | None
    """The record after the change."""

    sessions: list[Session] | None
    """The sessions of these times."""


class AgentOutput(Model):
    """A part of the text that an agent writes."""

    fragment: ClassVar[str] = """
fragment AgentOutput on AgentOutputType { delta done attempt }
"""

    delta: str
    """The text since the answer before; empty when there is none."""

    done: bool
    """Whether the agent has ended: no more text follows."""

    attempt: int | None
    """The attempt that writes the text; when it changes, the text begins anew. Null before the first attempt."""
