"""Declare the six entities: parent, children that prevent a deletion, filters and order of lists.

The CRUD operations, the lists and the guards work from these declarations.
"""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import partial
from typing import Any, Generic

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import records
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.store.models import (
    Coordination,
    CounterShard,
    Session,
    SessionAgent,
    SessionRun,
    Task,
    TaskSchedule,
)
from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.records import exposed_keys, schedule_times, session_status

Read = Callable[[str], Any]
"""(attribute name) → its value, which may be read from a blob."""
Filter = Callable[[Read, Any], bool]
_SHOWN = 200  # characters of a uuid in a message


_FILTERS: Mapping[records.Filter, Callable[[Any, Any], bool]] = {
    records.Filter.EQUALS: lambda stored, value: bool(stored == value),
    records.Filter.CONTAINS: lambda stored, value: value in (stored or ""),
    records.Filter.ONE_OF: lambda stored, value: stored in value,
}


def _filters(record: tuple[records.Field, ...]) -> dict[str, Filter]:
    """The filters of a record's lists by argument; the parent is a key, not a filter."""
    return {
        argument: partial(_passes, each.name, check)
        for argument, each in records.filters(record)
        if each.filter is not None and (check := _FILTERS.get(each.filter)) is not None
    }


def _passes(name: str, check: Callable[[Any, Any], bool], read: Read, value: Any) -> bool:
    return check(read(name), value)


def action(check: Callable[[Mapping[str, Any], Any], bool]) -> Filter:
    """A filter that keeps session agents whose action passes `check`."""
    return lambda read, value: check(read("agent_action") or {}, value)


@dataclass(frozen=True)
class Entity(Generic[M]):
    """The declaration of one kind of record.

    `parent`: None means the tenant. `filters`: by the name of the list's argument. `newest_first`:
    the order of its lists; else the oldest come first. `index`: the index for lists without a
    parent, as (name, hash attribute, range attribute); the value of the hash attribute is the
    tenant. `by_tenant`: it has the index "by_tenant". `keys_only`: that index has keys only, and
    the rows are read in batches. `derived`: (tenant, key, values) → the attributes that must be
    written together with these values.
    """

    model: type[M]
    parent: "Entity[Any] | None" = None
    filters: Mapping[str, Filter] = field(default_factory=dict)
    newest_first: bool = True
    by_tenant: bool = False
    keys_only: bool = False
    derived: Callable[[str, tuple[str, str], Mapping[str, Any]], dict[str, Any]] = (
        lambda tenant, key, values: {}
    )
    index: tuple[str, str, str] | None = None

    @property
    def name(self) -> str:
        """The record's name for messages."""
        return self.model.record_name

    @property
    def guards(self) -> tuple["Entity[Any]", ...]:
        """The entities below this one; one record of them prevents a deletion."""
        return tuple(entity for entity in ENTITIES if entity.parent is self)

    def missing(self, key: tuple[str, str]) -> NotFound:
        """The error for a `key`, as named by the caller, under which there is no record."""
        above = f' in the {self.parent.name} "{key[0][:_SHOWN]}"' if self.parent else ""
        return NotFound(f'There is no such {self.name}: "{key[1][:_SHOWN]}"{above}.')


COORDINATION = Entity(
    Coordination,
    filters=_filters(records.COORDINATION),
)
TASK = Entity(
    Task,
    parent=COORDINATION,
    by_tenant=True,
    derived=exposed_keys.derived,
    filters=_filters(records.TASK),
)
TASK_SCHEDULE = Entity(
    TaskSchedule,
    parent=TASK,
    by_tenant=True,
    derived=schedule_times.derived,
    filters=_filters(records.TASK_SCHEDULE),
)
SESSION = Entity(
    Session,
    parent=COORDINATION,
    by_tenant=True,
    keys_only=True,
    derived=session_status.derived,
    filters=_filters(records.SESSION),
)
SERVED_SESSION = replace(
    SESSION,
    filters={
        **SESSION.filters,
        "task_uuids": lambda read, value: read("task_uuid") in value,
        "context_id": lambda read, value: (
            value in ((read("served") or {}).get("context_id"), read("session_uuid"))
        ),
        # an agent of an open session may have changed since
        "changed_since": lambda read, value: (
            read("status") in OPEN_SESSION_STATUSES or (read("updated_at") or value) >= value
        ),
    },
)
"""The sessions that other systems see."""
SESSION_AGENT = Entity(
    SessionAgent,
    parent=SESSION,
    newest_first=False,
    filters={
        **_filters(records.SESSION_AGENT),
        "agent_name": (
            lambda read, value: value in ((read("definition") or {}).get("agent_name") or "")
        ),
        "primary_path": action(lambda found, value: bool(found.get("primary_path") == value)),
        "user_in_the_loop": action(
            lambda found, value: bool(found.get("user_in_the_loop") == value)
        ),
        "predecessor": action(lambda found, value: value in found.get("predecessors", ())),
        "predecessors": lambda read, value: read("agent_uuid") in value,
    },
)
INBOX = replace(
    SESSION_AGENT,
    newest_first=True,
    index=("inbox", "inbox", "waits_since"),
    filters={
        **SESSION_AGENT.filters,
        "session_uuid_prefix": partial(_passes, "session_uuid", str.startswith),
        "session_agent_uuid_prefix": partial(_passes, "session_agent_uuid", str.startswith),
    },
)
"""The inbox: a list of the session agents that wait for a person. Not one of the six entities."""
COUNTER_SHARDS = Entity(CounterShard, parent=SESSION)
"""Internal items in the table of session agents. Not one of the six entities."""
SESSION_RUN = Entity(
    SessionRun,
    parent=SESSION,
    newest_first=False,
    filters=_filters(records.SESSION_RUN),
)

ENTITIES: tuple[Entity[Any], ...] = (
    COORDINATION,
    TASK,
    TASK_SCHEDULE,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
)
