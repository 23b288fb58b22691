"""The times of a task schedule as its record has them, and the sparse index of what fires next.

The index has few shards, for the sweep reads each every minute: a schedule is written there once a
time.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain.schedules import MAX_RECENT, ScheduleKey, Timetable, jittered
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import TaskSchedule

SHARDS = 2
NEVER: Mapping[str, None] = {"next_fire_at": None, "fire_at": None, "fire": None}
"""What is written to a schedule that does not fire."""


def schedule_key(schedule: TaskSchedule) -> ScheduleKey:
    """What tells the schedule from all others."""
    return ScheduleKey(schedule.partition_key, schedule.task_uuid, schedule.schedule_uuid)


def timetable(schedule: TaskSchedule) -> Timetable:
    """The times of a stored schedule. Raises `BadUserInput` where its expression or its zone is
    not one, which versions before took.
    """
    return Timetable.of(
        schedule.schedule or "",
        counts_from=counts_from(schedule),
        timezone=schedule.timezone,
        start_at=schedule.start_at,
        end_at=schedule.end_at,
    )


def counts_from(schedule: TaskSchedule) -> datetime:
    """When its expression was set: what a rate counts from where there is no `start_at`."""
    if schedule.counts_from is None:
        return schedule.created_at
    return nominal_time(schedule.counts_from)


def fire_shard(key: ScheduleKey) -> str:
    """The hash key of the index under which the schedule is found."""
    return f"{zlib.crc32(key.schedule_uuid.encode()) % SHARDS:02d}"


def firing_at(
    key: ScheduleKey, nominal: datetime | None, jitter_seconds: int | None
) -> Mapping[str, Any]:
    """What is written to a schedule that fires for this nominal time next; None: no more."""
    if nominal is None:
        return NEVER
    return {
        "next_fire_at": nominal.timestamp(),
        "fire_at": jittered(key, nominal, jitter_seconds or 0).timestamp(),
        "fire": fire_shard(key),
    }


def nominal_time(seconds: float) -> datetime:
    """The nominal time of a number that is stored."""
    return datetime.fromtimestamp(seconds, UTC)


def remembered(schedule: TaskSchedule, *session_uuids: str) -> set[str]:
    """The sessions that a schedule remembers once it has started these: the latest of them."""
    return {*sorted({*(schedule.recent or ()), *session_uuids})[-MAX_RECENT:]}


def derived(tenant: str, key: Key, values: Mapping[str, Any]) -> dict[str, Any]:
    """What is written beside `values` of a schedule: where the index has it. Who sets when it fires
    next says its jitter too.
    """
    if "next_fire_at" not in values:
        return {}
    seconds = values["next_fire_at"]
    nominal = None if seconds is None else nominal_time(seconds)
    return {**firing_at(ScheduleKey(tenant, *key), nominal, values.get("jitter_seconds"))}
