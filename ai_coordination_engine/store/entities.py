"""The six records as declarations: their parent, who guards their delete, and how a list narrows down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.store import session_status
from ai_coordination_engine.store.models import (
    Coordination,
    Record,
    Session,
    SessionAgent,
    SessionRun,
    Task,
    TaskSchedule,
)

Read = Callable[[str], Any]
"""Reads an attribute of a record, from its blob when it lives there."""
Filter = Callable[[Read, Any], bool]
_SHOWN = 200  # characters of a uuid in a message


def equals(name: str) -> Filter:
    """Keeps records whose attribute `name` is the value."""
    return lambda read, value: bool(read(name) == value)


def contains(name: str) -> Filter:
    """Keeps records whose text `name` contains the value."""
    return lambda read, value: value in (read(name) or "")


def one_of(name: str) -> Filter:
    """Keeps records whose attribute `name` is one of the values."""
    return lambda read, value: read(name) in value


def action(check: Callable[[Mapping[str, Any], Any], bool]) -> Filter:
    """Keeps session agents whose action passes `check`."""
    return lambda read, value: check(read("agent_action") or {}, value)


@dataclass(frozen=True)
class Entity:
    """One record: `parent` (None: the tenant itself), `guards` (the children that forbid a delete), `filters` by name.

    `newest_first` is the order of its lists; without it they go in order of creation. Without its hash key a list goes
    over `index`: its name, its hash attribute (whose value is the tenant) and its range attribute; `by_tenant` is the
    usual one. An index of `keys_only` names the rows, which are then read in batches. `derived` says what is written
    beside some values of a record under a key.
    """

    model: type[Record]
    parent: "Entity | None" = None
    filters: Mapping[str, Filter] = field(default_factory=dict)
    newest_first: bool = True
    by_tenant: bool = False
    keys_only: bool = False
    derived: Callable[[str, tuple[str, str], Mapping[str, Any]], dict[str, Any]] = lambda tenant, key, values: {}
    index: tuple[str, str, str] | None = None

    @property
    def name(self) -> str:
        """The record's name as people read it."""
        return self.model.record_name

    @property
    def guards(self) -> tuple["Entity", ...]:
        """The records that hang below this one."""
        return tuple(entity for entity in ENTITIES if entity.parent is self)

    def missing(self, key: tuple[str, str]) -> NotFound:
        """The error that says: there is no record under `key`, which holds what the caller named."""
        above = f' in the {self.parent.name} "{key[0][:_SHOWN]}"' if self.parent else ""
        return NotFound(f'There is no such {self.name}: "{key[1][:_SHOWN]}"{above}.')


COORDINATION = Entity(
    Coordination,
    filters={
        "coordination_name": contains("coordination_name"),
        "coordination_description": contains("coordination_description"),
    },
)
TASK = Entity(
    Task,
    parent=COORDINATION,
    by_tenant=True,
    filters={
        "task_name": contains("task_name"),
        "task_description": contains("task_description"),
        "initial_task_query": contains("initial_task_query"),
    },
)
TASK_SCHEDULE = Entity(
    TaskSchedule,
    parent=TASK,
    by_tenant=True,
    filters={"coordination_uuid": equals("coordination_uuid"), "statuses": one_of("status")},
)
SESSION = Entity(
    Session,
    parent=COORDINATION,
    by_tenant=True,
    keys_only=True,
    derived=session_status.derived,
    filters={"task_uuid": equals("task_uuid"), "user_id": equals("user_id"), "statuses": one_of("status")},
)
SESSION_AGENT = Entity(
    SessionAgent,
    parent=SESSION,
    newest_first=False,
    filters={
        "coordination_uuid": equals("coordination_uuid"),
        "agent_uuid": equals("agent_uuid"),
        "agent_name": lambda read, value: value in ((read("definition") or {}).get("agent_name") or ""),
        "primary_path": action(lambda found, value: bool(found.get("primary_path") == value)),
        "user_in_the_loop": action(lambda found, value: bool(found.get("user_in_the_loop") == value)),
        "predecessor": action(lambda found, value: value in found.get("predecessors", ())),
        "predecessors": one_of("agent_uuid"),
        "in_degree": equals("in_degree"),
        "states": one_of("state"),
    },
)
INBOX = replace(SESSION_AGENT, newest_first=True, index=("inbox", "inbox", "waits_since"))
"""Session agents that wait for a person, as a list of their own: no record, and nobody's child."""
SESSION_RUN = Entity(
    SessionRun,
    parent=SESSION,
    newest_first=False,
    filters={
        "coordination_uuid": equals("coordination_uuid"),
        "agent_uuid": equals("agent_uuid"),
        "thread_uuid": equals("thread_uuid"),
    },
)

ENTITIES: tuple[Entity, ...] = (COORDINATION, TASK, TASK_SCHEDULE, SESSION, SESSION_AGENT, SESSION_RUN)
