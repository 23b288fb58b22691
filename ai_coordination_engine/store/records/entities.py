"""The six records as declarations: their parent, who guards their delete, and how a list narrows
down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic

from ai_coordination_engine.domain import records
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
from ai_coordination_engine.store.records import schedule_times, session_status

Read = Callable[[str], Any]
"""Reads an attribute of a record, from its blob when it lives there."""
Filter = Callable[[Read, Any], bool]
_SHOWN = 200  # characters of a uuid in a message


_FILTERS: Mapping[records.Filter, Callable[[Any, Any], bool]] = {
    records.Filter.EQUALS: lambda stored, value: bool(stored == value),
    records.Filter.CONTAINS: lambda stored, value: value in (stored or ""),
    records.Filter.ONE_OF: lambda stored, value: stored in value,
}


def _filters(record: tuple[records.Field, ...]) -> dict[str, Filter]:
    """What the fields of a record narrow its lists down by; the parent is the list's key."""
    return {
        argument: partial(_passes, each.name, check)
        for argument, each in records.filters(record)
        if each.filter is not None and (check := _FILTERS.get(each.filter)) is not None
    }


def _passes(name: str, check: Callable[[Any, Any], bool], read: Read, value: Any) -> bool:
    return check(read(name), value)


def action(check: Callable[[Mapping[str, Any], Any], bool]) -> Filter:
    """Keeps session agents whose action passes `check`."""
    return lambda read, value: check(read("agent_action") or {}, value)


@dataclass(frozen=True)
class Entity(Generic[M]):
    """One record: `parent` (None: the tenant itself), `guards` (the children that forbid a delete),
    `filters` by name.

    `newest_first` is the order of its lists; without it they go in order of creation. Without its
    hash key a list goes over `index`: its name, its hash attribute (whose value is the tenant) and
    its range attribute; `by_tenant` is the usual one. An index of `keys_only` names the rows, which
    are then read in batches. `derived` says what is written beside some values of a record under a
    key.
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
        """The record's name as people read it."""
        return self.model.record_name

    @property
    def guards(self) -> tuple["Entity[Any]", ...]:
        """The records that hang below this one."""
        return tuple(entity for entity in ENTITIES if entity.parent is self)

    def missing(self, key: tuple[str, str]) -> NotFound:
        """The error that says: there is no record under `key`, which holds what the caller
        named.
        """
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
INBOX = replace(SESSION_AGENT, newest_first=True, index=("inbox", "inbox", "waits_since"))
"""Session agents that wait for a person, as a list of their own: no record, and nobody's child."""
COUNTER_SHARDS = Entity(CounterShard, parent=SESSION)
"""Internal items beside the session agents: no record, and nobody's child."""
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
