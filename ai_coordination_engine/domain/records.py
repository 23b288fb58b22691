"""The fields of the six records that clients can read or write. Each field is declared once, here.

A declaration determines: the arguments of `insertUpdate…` and of the list, the filter in the store,
the limits on the text, the field in the GraphQL type, and whether a fork copies the value. The
stored attribute is declared in `store.models`. Attributes that only the engine uses are declared
in `store.models` alone.
"""

from collections.abc import Iterator
from enum import Enum

from ai_coordination_engine.data_classes import dataclass


class Kind(Enum):
    """The type of a field's value."""

    TEXT = "a text"
    WHOLE = "a whole number"
    FLAG = "true or false"
    MOMENT = "a moment"
    JSON = "any JSON"
    JSON_LIST = "a list of any JSON"


class Filter(Enum):
    """How the argument of a list selects records."""

    PARENT = "those below this parent"
    EQUALS = "those whose value is this one"
    CONTAINS = "those whose text contains this one"
    ONE_OF = "those whose value is one of these"


@dataclass(frozen=True)
class Field:
    """One field of a record.

    `needed`: every write must give it. `filter`: how a list is filtered by it, if at all;
    `filtered_as`: the name of that argument, if it differs from the field's. `plain`: a text of at
    most `MAX_PLAIN` bytes. `never_empty`: it has at least one character that is not a space.
    `carried`: a fork of a session copies the value. `description`: the one in the schema, if
    `api.descriptions` has none.
    """

    name: str
    kind: Kind = Kind.TEXT
    needed: bool = False
    filter: Filter | None = None
    filtered_as: str | None = None
    plain: bool = False
    never_empty: bool = False
    carried: bool = False
    description: str | None = None


_BUDGET = (
    "What may be spent: `microUsd`, `tokens`, `onExceeded` (`fail`, `pause`, `fallback`) and `per`"
    " (`session`, `day`, `total`). Of a task it counts for one session, of a coordination for a UTC"
    " day."
)
UPDATED_BY = Field("updated_by", needed=True, plain=True, never_empty=True)
COORDINATION = (
    Field("coordination_uuid"),
    Field("coordination_name", filter=Filter.CONTAINS, plain=True, never_empty=True),
    Field("coordination_description", filter=Filter.CONTAINS),
    Field("agents", Kind.JSON_LIST),
    Field("budget", Kind.JSON, description=_BUDGET),
    Field("theme_uuid", plain=True),
    UPDATED_BY,
)
TASK = (
    Field("coordination_uuid", needed=True, filter=Filter.PARENT),
    Field("task_uuid"),
    Field("task_name", needed=True, filter=Filter.CONTAINS, plain=True, never_empty=True),
    Field("task_description", filter=Filter.CONTAINS),
    Field("initial_task_query", filter=Filter.CONTAINS),
    Field("subtask_queries", Kind.JSON_LIST),
    Field("agent_actions", Kind.JSON),
    Field("on_failure"),
    Field("placeholders"),
    Field(
        "plan",
        Kind.FLAG,
        description="Whether the coordination's `planning` agent plans each session, or else its"
        " `decompose` agent writes the subtasks; false by default.",
    ),
    Field(
        "plan_limits",
        Kind.JSON,
        description="Limits of a plan: `steps` (20), `depth` (6 consecutive steps), `map` (100"
        " elements) and `attempts` (3 requests to the planning agent).",
    ),
    Field(
        "plan_fallback",
        description="What happens without a valid plan: `fail` (default) fails the session,"
        " `static` runs the task's own subtasks and actions.",
    ),
    Field("budget", Kind.JSON, description=_BUDGET),
    Field(
        "expose_as",
        Kind.JSON,
        description="How other systems can start the task: `name`, `description`, `as` (`mcp`,"
        " `a2a`; both by default) and `inputSchema`; null (default): not at all.",
    ),
    UPDATED_BY,
)
TASK_SCHEDULE = (
    Field("task_uuid", needed=True, filter=Filter.PARENT),
    Field("schedule_uuid"),
    Field("coordination_uuid", filter=Filter.EQUALS),
    Field("schedule", plain=True, never_empty=True),
    Field(
        "timezone",
        plain=True,
        never_empty=True,
        description="The IANA name of the schedule's time zone; `UTC` by default.",
    ),
    Field(
        "start_at",
        Kind.MOMENT,
        description="The schedule does not fire before this time (whole seconds). A rate counts"
        " from it.",
    ),
    Field("end_at", Kind.MOMENT, description="The schedule does not fire after this time."),
    Field(
        "jitter_seconds",
        Kind.WHOLE,
        description="Each firing is delayed by up to this many seconds: 0 (default) to 86,400.",
    ),
    Field(
        "overlap_policy",
        description="What happens if an earlier session of the schedule has not ended when it is"
        " due: `skip` (default), `buffer_one`, `buffer_all`, `cancel_other` or `allow_all`.",
    ),
    Field(
        "catchup_window_seconds",
        Kind.WHOLE,
        description="A missed time still fires if it is at most this many seconds old: 60 by"
        " default; 0: missed times never fire.",
    ),
    Field(
        "max_runs",
        Kind.WHOLE,
        description="The schedule is `completed` after this many sessions; no limit by default.",
    ),
    Field(
        "pause_on_failure",
        Kind.FLAG,
        description="Whether the schedule is `paused` when one of its sessions fails; false by"
        " default.",
    ),
    Field("task_query"),
    Field("input_files", Kind.JSON_LIST),
    Field("user_id", plain=True),
    Field("status", filter=Filter.ONE_OF, filtered_as="statuses"),
    UPDATED_BY,
)
SESSION = (
    Field("coordination_uuid", needed=True, filter=Filter.PARENT),
    Field("session_uuid"),
    Field("task_uuid", filter=Filter.EQUALS, carried=True),
    Field("user_id", filter=Filter.EQUALS, plain=True, carried=True),
    Field("task_query", carried=True),
    Field("input_files", Kind.JSON_LIST, carried=True),
    Field("iteration_count", Kind.WHOLE),
    Field("subtask_queries", Kind.JSON_LIST, carried=True),
    Field("status", filter=Filter.ONE_OF, filtered_as="statuses"),
    Field("logs"),
    UPDATED_BY,
)
SESSION_AGENT = (
    Field("session_uuid", needed=True, filter=Filter.PARENT),
    Field("session_agent_uuid"),
    Field("coordination_uuid", filter=Filter.EQUALS),
    Field("agent_uuid", filter=Filter.EQUALS),
    Field("agent_action", Kind.JSON),
    Field("user_input"),
    Field("agent_input"),
    Field("agent_output"),
    Field("in_degree", Kind.WHOLE, filter=Filter.EQUALS),
    Field("state", filter=Filter.ONE_OF, filtered_as="states"),
    Field("notes"),
    UPDATED_BY,
)
SESSION_RUN = (
    Field("session_uuid", needed=True, filter=Filter.PARENT),
    Field("run_uuid", needed=True),
    Field("thread_uuid", needed=True, filter=Filter.EQUALS),
    Field("agent_uuid", needed=True, filter=Filter.EQUALS),
    Field("coordination_uuid", needed=True, filter=Filter.EQUALS),
    Field("async_task_uuid", needed=True),
    Field("session_agent_uuid"),
    UPDATED_BY,
)
RECORDS = (COORDINATION, TASK, TASK_SCHEDULE, SESSION, SESSION_AGENT, SESSION_RUN)
MAX_PLAIN = 4096
"""Bytes of a plain text."""


def filters(record: tuple[Field, ...]) -> Iterator[tuple[str, Field]]:
    """The fields by which a list can be filtered, each with the name of its argument."""
    return ((each.filtered_as or each.name, each) for each in record if each.filter is not None)


def carried(record: tuple[Field, ...]) -> list[str]:
    """The names of the fields that a fork copies from its source."""
    return [each.name for each in record if each.carried]


PLAIN = frozenset(each.name for record in RECORDS for each in record if each.plain)
NEVER_EMPTY = frozenset(each.name for record in RECORDS for each in record if each.never_empty)
