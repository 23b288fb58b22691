"""The times of a stored task schedule, and the keys of the sparse index by next firing.

The index has few shards, because the sweep reads all of them every minute. A schedule is written to
it once for each time.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain.schedules import MAX_RECENT, ScheduleKey, Timetable, jittered
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import TaskSchedule

SHARDS = 2
NEVER: Mapping[str, None] = {"next_fire_at": None, "fire_at": None, "fire": None}
"""The attributes of a schedule that does not fire."""


def schedule_key(schedule: TaskSchedule) -> ScheduleKey:
    """The unique key of the schedule."""
    return ScheduleKey(schedule.partition_key, schedule.task_uuid, schedule.schedule_uuid)


def timetable(schedule: TaskSchedule) -> Timetable:
    """The times of a stored schedule.

    Raises `BadUserInput` if it has no expression, or if its expression or zone is invalid:
    versions before 0.1.0 stored any text.
    """
    if not schedule.schedule:
        raise BadUserInput(
            "The schedule has no expression; set schedule, for example to 0 9 * * MON-FRI."
        )
    return Timetable.of(
        schedule.schedule,
        counts_from=counts_from(schedule),
        timezone=schedule.timezone,
        start_at=schedule.start_at,
        end_at=schedule.end_at,
    )


def counts_from(schedule: TaskSchedule) -> datetime:
    """When the expression was set. A rate counts from it if there is no `start_at`."""
    if schedule.counts_from is None:
        return schedule.created_at
    return nominal_time(schedule.counts_from)


def fire_shard(key: ScheduleKey) -> str:
    """The hash key of the schedule in the index."""
    return f"{zlib.crc32(key.schedule_uuid.encode()) % SHARDS:02d}"


def firing_at(
    key: ScheduleKey, nominal: datetime | None, jitter_seconds: int | None
) -> Mapping[str, Any]:
    """The attributes of a schedule that fires for this nominal time next; None: never again."""
    if nominal is None:
        return NEVER
    return {
        "next_fire_at": nominal.timestamp(),
        "fire_at": jittered(key, nominal, jitter_seconds or 0).timestamp(),
        "fire": fire_shard(key),
    }


def nominal_time(seconds: float) -> datetime:
    """The nominal time from its stored form (epoch seconds)."""
    return datetime.fromtimestamp(seconds, UTC)


def remembered(schedule: TaskSchedule, *session_uuids: str) -> set[str]:
    """The new value of `recent` once the schedule has started these sessions: the latest ones."""
    return {*sorted({*(schedule.recent or ()), *session_uuids})[-MAX_RECENT:]}


def derived(tenant: str, key: Key, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that must be written together with `values` of a schedule.

    If `values` sets `next_fire_at`, it must also have the schedule's `jitter_seconds`.
    """
    if "next_fire_at" not in values:
        return {}
    seconds = values["next_fire_at"]
    nominal = None if seconds is None else nominal_time(seconds)
    return {**firing_at(ScheduleKey(tenant, *key), nominal, values.get("jitter_seconds"))}
