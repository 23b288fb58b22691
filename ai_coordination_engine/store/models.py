"""The six records as PynamoDB models: keys and attributes, no behaviour.

`Meta.table_name` is the part after the prefix; `Table` adds the prefix. Attributes below a comment
"engine" are never shown to clients. `partition_key` is the tenant that owns the item.
"""

from ai_coordination_engine.store.attributes import (
    BooleanAttribute,
    IntegerAttribute,
    NumberAttribute,
    NumberSetAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from ai_coordination_engine.store.budget_items import Reservation
from ai_coordination_engine.store.indexes import (
    Inbox,
    SessionsByStatus,
    SessionsByTenant,
    SessionsToWatch,
    TasksByTenant,
    TaskSchedulesByTenant,
    TaskSchedulesToFire,
    TasksExposed,
)
from ai_coordination_engine.store.parent_keys import ParentKey, ShardedParentKey
from ai_coordination_engine.store.payload import Payload
from ai_coordination_engine.store.record import Record


class Coordination(Record):
    """The agents that can work together."""

    class Meta:
        table_name = "coordinations"

    record_name = "coordination"
    endpoint_id = UnicodeAttribute(hash_key=True)  # the tenant, parts included
    coordination_uuid = UnicodeAttribute(range_key=True)
    coordination_name = UnicodeAttribute(null=True)
    coordination_description = Payload(null=True)
    agents = Payload(null=True)
    budget = Payload(null=True)
    theme_uuid = UnicodeAttribute(null=True)


class Task(Record):
    """A piece of work for the agents of a coordination: queries, and the edges between agents."""

    class Meta:
        table_name = "tasks"

    record_name = "task"
    coordination_uuid = ParentKey(hash_key=True)
    task_uuid = UnicodeAttribute(range_key=True)
    task_name = UnicodeAttribute(null=True)
    task_description = Payload(null=True)
    initial_task_query = Payload(null=True)
    subtask_queries = Payload(null=True)
    agent_actions = Payload(null=True)
    on_failure = UnicodeAttribute(null=True)
    placeholders = UnicodeAttribute(null=True)
    plan = BooleanAttribute(null=True)
    plan_limits = Payload(null=True)
    plan_fallback = UnicodeAttribute(null=True)
    expose_as = Payload(null=True)
    budget = Payload(null=True)
    by_tenant = TasksByTenant()
    # engine: the tenant, and its name with its uuid; absent if it is not exposed
    exposed = UnicodeAttribute(null=True)
    exposed_name = UnicodeAttribute(null=True)
    by_name = TasksExposed()


class TaskSchedule(Record):
    """The times at which a task starts, and what happened at the past ones."""

    class Meta:
        table_name = "task_schedules"

    record_name = "task schedule"
    task_uuid = ParentKey(hash_key=True)
    schedule_uuid = UnicodeAttribute(range_key=True)
    coordination_uuid = UnicodeAttribute(null=True)
    schedule = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(null=True)
    start_at = UTCDateTimeAttribute(null=True)
    end_at = UTCDateTimeAttribute(null=True)
    jitter_seconds = IntegerAttribute(null=True)
    overlap_policy = UnicodeAttribute(null=True)
    catchup_window_seconds = IntegerAttribute(null=True)
    max_runs = IntegerAttribute(null=True)
    pause_on_failure = BooleanAttribute(null=True)
    # given to the sessions that it starts
    task_query = Payload(null=True)
    input_files = Payload(null=True)
    user_id = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    by_tenant = TaskSchedulesByTenant()
    # engine: when its expression was set (epoch seconds; absent: when it was created). A rate
    # counts from it if there is no `start_at`
    counts_from = NumberAttribute(null=True)
    # engine: the next nominal time, and that time with jitter (epoch seconds); absent if it is not
    # active
    next_fire_at = NumberAttribute(null=True)
    fire_at = NumberAttribute(null=True)
    fire = UnicodeAttribute(null=True)
    to_fire = TaskSchedulesToFire()
    # changes with each edit of its times, which makes messages that were sent before void
    revision = UnicodeAttribute(null=True)
    # engine: the latest nominal time that started a session (epoch seconds), and counts of all
    # times
    last_fire_at = NumberAttribute(null=True)
    run_count = IntegerAttribute(null=True)
    skipped_count = IntegerAttribute(null=True)
    missed_count = IntegerAttribute(null=True)
    # engine: nominal times (epoch seconds) that wait for its sessions to end; at most
    # `MAX_BUFFERED`
    buffered = NumberSetAttribute(null=True)
    # engine: past times (epoch seconds) whose sessions a backfill still has to start and count
    owed = NumberSetAttribute(null=True)
    # engine: its sessions that may still run, and the latest sessions that it started
    running = UnicodeSetAttribute(null=True)
    recent = UnicodeSetAttribute(null=True)
    # engine: why its latest time did not start a session: {code, message, until (epoch seconds)}
    why = Payload(null=True)


class Session(Record):
    """One execution of a coordination."""

    class Meta:
        table_name = "sessions"

    record_name = "session"
    # not stored: its agent 0, if that was read together with the session
    first_agent: "SessionAgent | None" = None
    coordination_uuid = ShardedParentKey(hash_key=True)
    session_uuid = UnicodeAttribute(range_key=True)
    task_uuid = UnicodeAttribute(null=True)
    user_id = UnicodeAttribute(null=True)
    task_query = Payload(null=True)
    input_files = Payload(null=True)
    iteration_count = IntegerAttribute(null=True)
    subtask_queries = Payload(null=True)
    status = UnicodeAttribute(null=True)
    logs = Payload(null=True)
    served = Payload(null=True)  # what the protocol keeps by which another system has started it
    by_tenant = SessionsByTenant()
    by_status = UnicodeAttribute(null=True)
    of_status = SessionsByStatus()
    # engine: the ordinals of the sinks (or of their counter shards) that are not terminal yet, and
    # the number of sinks that these stand for
    open_sinks = NumberSetAttribute(null=True)
    open_sink_count = IntegerAttribute(null=True)
    plan_hash = UnicodeAttribute(null=True)  # a hash of what the session was planned from
    # engine: the trace of the caller that started it (`domain.trace_context`)
    trace = UnicodeAttribute(null=True)
    # the start whose agents count (absent: the one of `nonce`). Several starts with the same uuid
    # may write agents; one of them confirms the session
    incarnation = UnicodeAttribute(null=True)
    # agents that do not count may be written until this time (epoch seconds); then the sweep
    # removes them. Absent: there are none
    strays = NumberAttribute(null=True)
    # a sink failed, or was skipped because of a failure
    upstream_failed = BooleanAttribute(null=True)
    has_result = BooleanAttribute(null=True)  # at least one of its sinks has completed
    early = BooleanAttribute(null=True)  # its sinks may end before other agents do
    # engine: controls. `pause_token` names the current pause, `restart` the reset in progress
    pause_token = UnicodeAttribute(null=True)
    paused_from = UnicodeAttribute(null=True)
    restart = Payload(null=True)
    epoch = IntegerAttribute(null=True)  # how often the session was reset (retry, rerun)
    # once its agents were ended: [epoch, ordinals of the agents whose attempts workers held (null:
    # too many to list)]; while they are being ended in batches: [epoch, null, the ordinal of the
    # agent whose messages continue that]
    agents_ended = Payload(null=True)
    # the idempotency keys of the latest control requests that were carried out
    control_keys = UnicodeSetAttribute(null=True)
    # the keys before those, when `control_keys` became too long
    older_control_keys = UnicodeSetAttribute(null=True)
    # engine: when the sweep looks at the session next (epoch seconds); absent: never, because the
    # session has ended or only waits for a person or a job
    watch = UnicodeAttribute(null=True)
    watch_at = NumberAttribute(null=True)
    # the watch is kept at least until this time, because a wait is being ended
    watch_kept_until = NumberAttribute(null=True)
    # engine: an agent of it has asked a model, so that it costs something; what of that was counted
    # (`domain.accounts`), how often, and the epoch in which it was last
    metered = BooleanAttribute(null=True)
    counted = Payload(null=True)
    counted_times = IntegerAttribute(null=True)
    counted_epoch = IntegerAttribute(null=True)
    outlived = BooleanAttribute(null=True)  # a question in it stays watched after the session ended
    to_watch = SessionsToWatch()


class SessionAgent(Record):
    """The state of one agent in a session."""

    class Meta:
        table_name = "session_agents"

    record_name = "session agent"
    identity = (
        "partition_key",
        "coordination_uuid",
        "agent_uuid",
        "ordinal",
        "map_ordinal",
    )
    session_uuid = ParentKey(hash_key=True)
    session_agent_uuid = UnicodeAttribute(range_key=True)
    coordination_uuid = UnicodeAttribute(null=True)
    agent_uuid = UnicodeAttribute(null=True)
    agent_action = Payload(null=True)
    user_input = Payload(null=True)
    agent_input = Payload(null=True)
    agent_output = Payload(null=True)
    in_degree = IntegerAttribute(null=True)
    state = UnicodeAttribute(null=True)
    notes = Payload(null=True)
    # engine: its place in the graph
    ordinal = IntegerAttribute(null=True)
    # how often the agent was reset; part of the ids of its edges
    epoch = IntegerAttribute(null=True)
    # the epoch in which all successors that it made ready were enqueued again, except those
    # (ordinals) in `held_after`, which workers held at that time
    handed_off = IntegerAttribute(null=True)
    held_after = NumberSetAttribute(null=True)
    # the ordinals of its unfinished predecessors (or of their counter shards); `in_degree` is the
    # number of unfinished predecessors
    unfinished = NumberSetAttribute(null=True)
    # join "any" or "quorum": how many more predecessors must complete
    still_needed = IntegerAttribute(null=True)
    predecessors = Payload(null=True)
    # [[ordinal, its in_degree, its join, its condition], …]; the last two only if they are not the
    # defaults
    successors = Payload(null=True)
    # on a sink: how many sinks the session has; 0: the agent was added outside the task
    sink_count = IntegerAttribute(null=True)
    counter_shards = IntegerAttribute(null=True)  # on a wide join: how many counter shards it has
    # a predecessor that it needs did not complete, or a condition was false: it can never run
    unsatisfied = BooleanAttribute(null=True)
    upstream_failed = BooleanAttribute(null=True)  # it is, or will be, skipped because of a failure
    # the successors (agent uuids) that the action function chose; absent: all
    chosen = Payload(null=True)
    # of a planning agent: the plan that its session runs (`domain.plans`), once it is pinned
    plan = Payload(null=True)
    # engine: the agent's definition, query, thread and rules; copied when the session starts
    definition = Payload(null=True)
    # engine: the extra that its runtime needs: which worker's queue gets its messages
    needs = UnicodeAttribute(null=True)
    query = Payload(null=True)
    task_query = Payload(null=True)
    input_files = Payload(null=True)
    trace = UnicodeAttribute(null=True)  # of its session
    thread_uuid = UnicodeAttribute(null=True)
    thread = Payload(null=True)
    # engine: of a question that is routed: the ordinal of the agent that was asked first
    question = IntegerAttribute(null=True)
    # engine: it did not answer, but chose who does: {agent, reason, query} and the `ordinal` of the
    # session agent that goes on
    routed = Payload(null=True)
    went_on = BooleanAttribute(null=True)  # that one is written
    rules = Payload(null=True)
    # engine: the lease. `run_uuid` is the run of the current attempt; results of others are fenced
    attempt = IntegerAttribute(null=True)
    run_uuid = UnicodeAttribute(null=True)
    # the uuid that is reserved for the run of its first attempt, until that begins
    first_run = UnicodeAttribute(null=True)
    lost_runs = Payload(null=True)  # runs of lost attempts, which the next attempt records
    set_back = IntegerAttribute(null=True)  # the epoch in which it was reset; absent: never
    # the length of its lease; absent: the settings decide
    lease_seconds = NumberAttribute(null=True)
    lease_until = NumberAttribute(null=True)
    lease_token = UnicodeAttribute(null=True)
    # engine: when the latest attempt began and ended (epoch seconds); both absent if none began
    started_at = NumberAttribute(null=True)
    ended_at = NumberAttribute(null=True)
    # engine: it, or an agent before it, has asked a model
    metered = BooleanAttribute(null=True)
    # engine: the number of failed attempts (of the agent, or of its fallback once that runs), and
    # the end of the backoff (epoch seconds)
    failures = IntegerAttribute(null=True)
    # engine: how often in a row the settings did not allow it, although they once did
    refusals = IntegerAttribute(null=True)
    # engine: how often its answer was not what the schema asks, and what was wrong with the latest
    corrections = IntegerAttribute(null=True)
    correction = Payload(null=True)
    on_fallback = BooleanAttribute(null=True)
    not_before = NumberAttribute(null=True)
    # engine: the budget without room for its next attempt, in numbers (`attempt.budget_waits`)
    over_budget = Payload(null=True)
    # engine: what it waits for. The wait for a person or a long job ends at `due_at` (epoch
    # seconds)
    awaits_user = UnicodeAttribute(null=True)
    async_task_uuid = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    acting = BooleanAttribute(null=True)  # the agent has answered, its action function runs
    resumed = IntegerAttribute(null=True)  # how often a worker has taken this attempt over
    # engine: what its runtime asks a person (`engine.advance.asking`), and the answer
    asks = Payload(null=True)
    reply = Payload(null=True)
    # engine: which messages have brought its answers (their digests): none is taken twice
    answered_by = UnicodeSetAttribute(null=True)
    paused = UnicodeAttribute(null=True)
    inbox = UnicodeAttribute(null=True)
    waits_since = UnicodeAttribute(null=True)
    waiting = Inbox()
    # engine: on a map: the number of its elements, once it is expanded
    mapped = IntegerAttribute(null=True)
    generation = IntegerAttribute(null=True)  # how often it was expanded
    elements_sent = BooleanAttribute(null=True)  # all elements are written and enqueued
    map_ordinal = IntegerAttribute(null=True)  # on an element: the ordinal of its map
    # not stored: whether this worker makes the attempt, and then what it has reserved, if anything
    is_attempted_here: bool = False
    reservation: Reservation | None = None

    @property
    def session_key(self) -> tuple[str, str]:
        """The key of its session."""
        return self.coordination_uuid, self.session_uuid


class CounterShard(Record):
    """One counter shard: a part of the unfinished edges of a wide join, or of a session's sinks.

    It is an internal item in the table of session agents (`store.transitions.counter_shards`).
    """

    record_name = "counter shard"
    identity = ("partition_key", "coordination_uuid", "ordinal", "width")
    session_uuid = ParentKey(hash_key=True)
    session_agent_uuid = UnicodeAttribute(range_key=True)
    coordination_uuid = UnicodeAttribute(null=True)
    # with `epoch`, the id of its edge to the join, or of the sink that it stands for in the session
    ordinal = IntegerAttribute(null=True)
    epoch = IntegerAttribute(null=True)
    unfinished = NumberSetAttribute(null=True)
    in_degree = IntegerAttribute(null=True)  # the number of its unfinished edges
    width = IntegerAttribute(null=True)  # the number of predecessors that it stands for
    metered = BooleanAttribute(null=True)  # an agent before it has asked a model
    unsatisfied = BooleanAttribute(null=True)  # an edge that the join needs did not pass
    upstream_failed = BooleanAttribute(null=True)  # it did not pass because of a failure
    notes = Payload(null=True)  # which edge that is


class SessionRun(Record):
    """One attempt of a session agent; never changed."""

    class Meta:
        table_name = "session_runs"

    record_name = "session run"
    # compared for runs that a client writes
    identity = (
        "partition_key",
        "coordination_uuid",
        "session_agent_uuid",
        "updated_by",
        "confirmed",
    )
    session_uuid = ParentKey(hash_key=True)
    run_uuid = UnicodeAttribute(range_key=True)
    coordination_uuid = UnicodeAttribute(null=True)
    session_agent_uuid = UnicodeAttribute(null=True)
    thread_uuid = UnicodeAttribute(null=True)
    agent_uuid = UnicodeAttribute(null=True)
    async_task_uuid = UnicodeAttribute(null=True)
    async_task = Payload(null=True)
    # engine: the result of the attempt, for the case that its worker dies before it updates the
    # session agent. A blob belongs to the session agent
    agent_output = Payload(null=True)
    # whether the failure may be tried again, and after how many seconds, if the server said so
    retryable = BooleanAttribute(null=True)
    retry_after = NumberAttribute(null=True)
    final = BooleanAttribute(null=True)  # no fallback takes the agent's place
    epoch = IntegerAttribute(null=True)  # engine: the epoch of its agent
    # engine: details beside `async_task`, from the result of a lost attempt that came after its run
    late = Payload(null=True)

    @property
    def session_key(self) -> tuple[str, str]:
        """The key of its session."""
        return self.coordination_uuid, self.session_uuid


MODELS: tuple[type[Record], ...] = (
    Coordination,
    Task,
    TaskSchedule,
    Session,
    SessionAgent,
    SessionRun,
)
