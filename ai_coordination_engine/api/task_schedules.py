"""Write a task schedule: check its fields and compute when it fires next.

`resources.TASK_SCHEDULE` uses it in place of `crud.insert_update`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.api.content import Arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import Resource, insert_update
from ai_coordination_engine.domain.overlaps import OVERLAP_POLICIES
from ai_coordination_engine.domain.schedules import MAX_CATCHUP_WINDOW, MAX_JITTER, check_number
from ai_coordination_engine.domain.statuses import SCHEDULE_STATUSES, check_enum
from ai_coordination_engine.domain.years import FIRST_YEAR, LAST_YEAR
from ai_coordination_engine.engine.scheduling.due import send_next
from ai_coordination_engine.engine.scheduling.edits import NOTHING_LEFT, Edit
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.repository import Changed

_TRIES = 5  # of an edit that competes with others
_MAX_RUNS = 2**31 - 1
_MOMENTS = (("start_at", "startAt"), ("end_at", "endAt"))
_NUMBERS = (
    ("jitter_seconds", "jitterSeconds", 0, MAX_JITTER),
    ("catchup_window_seconds", "catchupWindowSeconds", 0, MAX_CATCHUP_WINDOW),
    ("max_runs", "maxRuns", 1, _MAX_RUNS),
)


def checked(given: Arguments) -> dict[str, Any]:
    """Return the fields in stored form, each checked on its own; raises `BadUserInput`."""
    values = dict(given)
    if "status" in values:
        if values["status"] is None:
            raise BadUserInput(
                f"status cannot be null; it takes one of: {', '.join(SCHEDULE_STATUSES)}."
            )
        check_enum("status", values["status"], SCHEDULE_STATUSES)
    if values.get("overlap_policy") is not None:
        check_enum("overlapPolicy", values["overlap_policy"], OVERLAP_POLICIES)
    for name, wire, least, most in _NUMBERS:
        if values.get(name) is not None:
            check_number(wire, values[name], least, most)
    for name, wire in _MOMENTS:
        if values.get(name) is not None:
            values[name] = _moment(wire, values[name])
    return values


def _moment(wire: str, value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise BadUserInput(
            f"{wire} {value.isoformat()} has no offset from UTC; write {value.isoformat()}Z, or for"
            f" example {value.isoformat()}+01:00."
        )
    if not FIRST_YEAR < value.year <= LAST_YEAR:
        raise BadUserInput(f"{wire} is in {value.year}; it takes {FIRST_YEAR + 1} to {LAST_YEAR}.")
    return value.astimezone(UTC).replace(microsecond=0)


def write(context: Context, resource: Resource, given: Arguments) -> TaskSchedule:
    """Create or update the schedule, together with its next time.

    An update that gives every field on which the times depend takes one call. For others, the first
    call is refused, and its error returns the stored schedule.
    """
    values, now = checked(given), context.app.clock.now()
    seen: TaskSchedule | None = None
    for _ in range(_TRIES):
        is_new: list[bool] = []
        try:
            schedule: TaskSchedule = insert_update(
                context, _edited(resource, seen, now, is_new), values
            )
        except Changed as changed:
            seen = changed.old
            continue
        send_next(context.app, schedule)
        was_active = seen is not None and seen.status == "active"
        _warn(context, schedule, values, is_new=any(is_new), was_active=was_active)
        return schedule
    raise Conflict("The schedule is being changed concurrently; retry.")


def _edited(
    resource: Resource, seen: TaskSchedule | None, now: datetime, is_new: list[bool]
) -> Resource:
    """Return the resource that writes an edit of the schedule as it was `seen`."""

    def content(
        context: Context, given: Arguments, parent: Record | None, new: bool
    ) -> Mapping[str, object]:
        is_new.append(new)
        given = {"status": "initial", **given} if new else given
        return Edit(given, None if new else seen, now).values()

    return replace(
        resource,
        content=content,
        update_condition=lambda given: (Edit(given, seen, now).condition, ""),
    )


def _warn(
    context: Context, schedule: TaskSchedule, given: Arguments, *, is_new: bool, was_active: bool
) -> None:
    if is_new and schedule.status == "initial":
        context.warn(
            "The schedule is initial and does not fire yet. Set its status to active with"
            " insertUpdateTaskSchedule."
        )
    if schedule.status == "active" and not schedule.schedule:
        context.warn("The schedule is active but has no expression (schedule): it does not fire.")
    was_to_fire = given.get("status", "active" if was_active else None) == "active"
    if was_to_fire and schedule.status == "completed":
        context.warn(NOTHING_LEFT)
