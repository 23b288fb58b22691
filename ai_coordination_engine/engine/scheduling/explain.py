"""Explain why a task schedule does not fire now: a code for programs, a message for people. Pure.

The API field `whyNotFired` is the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.records.schedule_times import nominal_time, timetable

WAITS = "It starts when no session of it runs."


class WhyNotFired(NamedTuple):
    """The reason.

    `until`: the latest time at which it fires if nothing is changed; None if a time waits for a
    session to end, or it does not fire.
    """

    code: str
    message: str
    until: datetime | None = None


def why_not_fired(
    schedule: TaskSchedule, kept: Mapping[str, Any] | None, now: datetime
) -> WhyNotFired:
    """The reason why a schedule does not fire; `kept`: the reason stored for its latest time."""
    wrong = _wrong(schedule)
    if wrong is not None:
        return WhyNotFired("SCHEDULE_INVALID", wrong)
    if kept is None and schedule.buffered:
        return WhyNotFired("OVERLAP_BUFFERED", WAITS)
    if kept is not None:
        until = None if schedule.buffered else kept.get("until") or schedule.fire_at
        return WhyNotFired(
            kept["code"], kept["message"], None if until is None else nominal_time(until)
        )
    if schedule.status == "completed":
        return WhyNotFired("ENDED", "The schedule is completed; with the status active it fires.")
    if schedule.status != "active":
        words = f"The schedule is {schedule.status}; with the status active it fires."
        return WhyNotFired("NOT_ACTIVE", words)
    return _of_active(schedule, now)


def _of_active(schedule: TaskSchedule, now: datetime) -> WhyNotFired:
    if schedule.fire_at is None:  # an earlier version stored it
        words = "The schedule has no next time; set its status to active once more."
        return WhyNotFired("NOT_SCHEDULED", words)
    due = nominal_time(schedule.fire_at)
    shown = due.astimezone(timetable(schedule).zone).isoformat(timespec="seconds")
    if due > now:
        return WhyNotFired("NOT_YET", f"It fires next at {shown}.", due)
    return WhyNotFired("DUE", f"It is due since {shown} and fires within a minute.", due)


def _wrong(schedule: TaskSchedule) -> str | None:
    """What is wrong with the expression or the zone of a schedule; None if nothing is.

    Earlier versions stored any text.
    """
    try:
        timetable(schedule)
    except BadUserInput as error:
        return error.message
    return None
