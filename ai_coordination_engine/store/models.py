"""The six records as PynamoDB models: keys as DESIGN fixes them, attributes, no behaviour.

`Meta.table_name` is the part after the prefix; `Table` adds the prefix. Attributes below a comment
"engine" never reach the wire. `partition_key` is the tenant that owns the item.
"""

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    NumberAttribute,
    NumberSetAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.constants import NUMBER

from ai_coordination_engine.store.indexes import (
    Inbox,
    SessionsByStatus,
    SessionsByTenant,
    SessionsToWatch,
    TasksByTenant,
    TaskSchedulesByTenant,
    TaskSchedulesToFire,
)
from ai_coordination_engine.store.parent_keys import ParentKey, ShardedParentKey
from ai_coordination_engine.store.payload import Payload
from ai_coordination_engine.store.record import Record


class IntegerAttribute(Attribute[int]):
    """A whole number."""

    attr_type = NUMBER

    def serialize(self, value: int) -> str:
        """Digits."""
        return str(int(value))

    def deserialize(self, value: str) -> int:
        """The number."""
        return int(value)


class Coordination(Record):
    """Who the agents are."""

    class Meta:
        table_name = "coordinations"

    record_name = "coordination"
    endpoint_id = UnicodeAttribute(hash_key=True)  # the tenant, parts included
    coordination_uuid = UnicodeAttribute(range_key=True)
    coordination_name = UnicodeAttribute(null=True)
    coordination_description = Payload(null=True)
    agents = Payload(null=True)
    theme_uuid = UnicodeAttribute(null=True)


class Task(Record):
    """What the agents do and who waits for whom."""

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
    by_tenant = TasksByTenant()


class TaskSchedule(Record):
    """When a task starts."""

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
    # what its sessions start with
    task_query = Payload(null=True)
    input_files = Payload(null=True)
    user_id = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    by_tenant = TaskSchedulesByTenant()
    # engine: when its expression was set (epoch seconds; absent: when it was created): what a rate
    # counts from where there is no `start_at`
    counts_from = NumberAttribute(null=True)
    # engine: the next nominal time and, jitter included, when it fires (epoch seconds); absent: it
    # is not active
    next_fire_at = NumberAttribute(null=True)
    fire_at = NumberAttribute(null=True)
    fire = UnicodeAttribute(null=True)
    to_fire = TaskSchedulesToFire()
    # changes with every edit of when it fires: a message that was sent before is void
    revision = UnicodeAttribute(null=True)
    # engine: the latest nominal time that started a session (epoch seconds), and what became of all
    last_fire_at = NumberAttribute(null=True)
    run_count = IntegerAttribute(null=True)
    skipped_count = IntegerAttribute(null=True)
    missed_count = IntegerAttribute(null=True)
    # engine: nominal times (epoch seconds) that wait until nothing runs, at most `MAX_BUFFERED`
    buffered = NumberSetAttribute(null=True)
    # engine: the sessions that it started and that may still run; the latest that it started
    running = UnicodeSetAttribute(null=True)
    recent = UnicodeSetAttribute(null=True)
    # engine: why its latest time did not start a session: {code, message, until}, `until` in epoch
    # seconds
    why = Payload(null=True)


class Session(Record):
    """One execution."""

    class Meta:
        table_name = "sessions"

    record_name = "session"
    # not stored: its agent 0, where that was read with it
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
    by_tenant = SessionsByTenant()
    by_status = UnicodeAttribute(null=True)
    of_status = SessionsByStatus()
    # engine: the sinks (or counter shards of them) that are not terminal yet, and the number of
    # sinks in them
    open_sinks = NumberSetAttribute(null=True)
    open_sink_count = IntegerAttribute(null=True)
    plan_hash = UnicodeAttribute(null=True)  # what the session was planned from
    # whose agents count (absent: those of `nonce`): several starts of one uuid write agents, one
    # confirms the session
    incarnation = UnicodeAttribute(null=True)
    # there may be agents that do not count: until then (epoch seconds) somebody may write some; the
    # sweep removes them
    strays = NumberAttribute(null=True)
    # a sink failed, or was skipped because of a failure
    upstream_failed = BooleanAttribute(null=True)
    has_result = BooleanAttribute(null=True)  # one of several sinks has completed
    early = BooleanAttribute(null=True)  # its sinks may end before other agents do
    # engine: controls. `pause_token` names the current pause, `restart` the reset that is under way
    pause_token = UnicodeAttribute(null=True)
    paused_from = UnicodeAttribute(null=True)
    restart = Payload(null=True)
    epoch = IntegerAttribute(null=True)  # how often the session was set back (retry, rerun)
    # once it has ended and its agents were ended: [epoch, those (ordinals) whose attempts others
    # held; null: many] while they are ended turn by turn: [epoch, null, the ordinal of the agent
    # whose messages do that]
    agents_ended = Payload(null=True)
    # the latest control requests that were carried out
    control_keys = UnicodeSetAttribute(null=True)
    # those before them, once they were many
    older_control_keys = UnicodeSetAttribute(null=True)
    # engine: when the sweep looks at the session next (epoch seconds); absent: never, it has ended
    # or only waits
    watch = UnicodeAttribute(null=True)
    watch_at = NumberAttribute(null=True)
    # a wait is being ended: until then it is not given up
    watch_kept_until = NumberAttribute(null=True)
    outlived = BooleanAttribute(null=True)  # a question in it is watched, also once it has ended
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
        "sink_count",
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
    # engine: the unfinished predecessors (or counter shards of them) as ordinals; `in_degree` is
    # the number of predecessors
    ordinal = IntegerAttribute(null=True)
    # how often the agent was set back; its edges are named by it
    epoch = IntegerAttribute(null=True)
    # the epoch in which all that it made ready was sent again, but for those (ordinals) that others
    # held then
    handed_off = IntegerAttribute(null=True)
    held_after = NumberSetAttribute(null=True)
    unfinished = NumberSetAttribute(null=True)
    # join any or quorum: how many predecessors it still needs
    still_needed = IntegerAttribute(null=True)
    predecessors = Payload(null=True)
    # [[ordinal, its in_degree, its join, its condition], …]; the last two if not plain
    successors = Payload(null=True)
    # on a sink: how many sinks the session has; 0: asked outside a task
    sink_count = IntegerAttribute(null=True)
    counter_shards = IntegerAttribute(null=True)  # on a wide join: how many counter shards it has
    # an edge that it needs cannot pass
    unsatisfied = BooleanAttribute(null=True)
    upstream_failed = BooleanAttribute(null=True)  # skipped because of a failure, or about to be
    # the successors (agent uuids) that the action function chose; absent: all
    chosen = Payload(null=True)
    # engine: what the agent is, what it is asked, on which thread, by which rules; copied when the
    # session starts
    definition = Payload(null=True)
    query = Payload(null=True)
    task_query = Payload(null=True)
    input_files = Payload(null=True)
    thread_uuid = UnicodeAttribute(null=True)
    thread = Payload(null=True)
    rules = Payload(null=True)
    # engine: the lease. `run_uuid` names the current attempt and fences the others
    attempt = IntegerAttribute(null=True)
    run_uuid = UnicodeAttribute(null=True)
    # the uuid that the run of its first attempt was promised, until it begins
    first_run = UnicodeAttribute(null=True)
    lost_runs = Payload(null=True)  # earlier attempts and their runs, to be recorded by the next
    set_back = IntegerAttribute(null=True)  # the epoch in which it was set back; absent: never
    # how long a claim holds; absent: as the settings say
    lease_seconds = NumberAttribute(null=True)
    lease_until = NumberAttribute(null=True)
    lease_token = UnicodeAttribute(null=True)
    # engine: when the latest attempt began and ended (epoch seconds); what never began has no end
    # either
    started_at = NumberAttribute(null=True)
    ended_at = NumberAttribute(null=True)
    # engine: failed attempts, of the agent or of its fallback, and the end of the backoff (epoch
    # seconds)
    failures = IntegerAttribute(null=True)
    # engine: how often its answer was not what the schema asks, and what was wrong with the latest
    corrections = IntegerAttribute(null=True)
    correction = Payload(null=True)
    on_fallback = BooleanAttribute(null=True)
    not_before = NumberAttribute(null=True)
    # engine: why it stands still. `due_at` (epoch seconds) ends the wait for a person or a long job
    awaits_user = UnicodeAttribute(null=True)
    async_task_uuid = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    acting = BooleanAttribute(null=True)  # the agent has answered, its action function runs
    resumed = IntegerAttribute(null=True)  # how often somebody went on with this attempt
    paused = UnicodeAttribute(null=True)
    inbox = UnicodeAttribute(null=True)
    waits_since = UnicodeAttribute(null=True)
    waiting = Inbox()
    # engine: a map's number of elements once it is expanded; and of which map an element is
    mapped = IntegerAttribute(null=True)
    generation = IntegerAttribute(null=True)  # how often it was expanded
    elements_sent = BooleanAttribute(null=True)  # all elements are written and enqueued
    map_ordinal = IntegerAttribute(null=True)

    @property
    def session_key(self) -> tuple[str, str]:
        """The key of its session."""
        return self.coordination_uuid, self.session_uuid


class CounterShard(Record):
    """The unfinished edges that one counter shard of a wide join, or of a session's many sinks,
    holds: an internal item beside the session agents (`store.transitions.counter_shards`).
    """

    record_name = "counter shard"
    identity = ("partition_key", "coordination_uuid", "ordinal", "width")
    session_uuid = ParentKey(hash_key=True)
    session_agent_uuid = UnicodeAttribute(range_key=True)
    coordination_uuid = UnicodeAttribute(null=True)
    # names, with `epoch`, the edge from it to the join, or the sink that it is for the session
    ordinal = IntegerAttribute(null=True)
    epoch = IntegerAttribute(null=True)
    unfinished = NumberSetAttribute(null=True)
    in_degree = IntegerAttribute(null=True)  # how many they are
    width = IntegerAttribute(null=True)  # for how many predecessors it stands
    unsatisfied = BooleanAttribute(null=True)  # an edge that the join needs cannot pass
    upstream_failed = BooleanAttribute(null=True)  # because of a failure
    notes = Payload(null=True)  # which one


class SessionRun(Record):
    """One attempt, immutable."""

    class Meta:
        table_name = "session_runs"

    record_name = "session run"
    # by a client
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
    # engine: what the agent of the attempt is concluded from when its worker dies; a blob is the
    # session agent's own
    agent_output = Payload(null=True)
    # a failure that may pass, and after how many seconds the other side says
    retryable = BooleanAttribute(null=True)
    retry_after = NumberAttribute(null=True)

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
