"""A time of a schedule has come: its session starts, then the schedule advances by one conditional
write.

The session's uuid follows from the schedule and the time, and a start may be repeated: whoever dies
between the two, or does it a second time, finds the session. A message counts while its time is the
schedule's next one, or a buffered one, and nobody has changed the schedule since; so what is
deleted, paused or edited meanwhile makes it harmless.

Whether an earlier session still runs is read from the sessions that the schedule has started and
that had not ended when it fired last. A time that has to wait for that is buffered: the schedule
then stays due, so that the sweep has somebody look each time it comes, and the first buffered time
starts when nothing runs.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ai_coordination_engine.domain.not_fired import NotFired, why
from ai_coordination_engine.domain.overlaps import Firing, firing
from ai_coordination_engine.domain.schedules import CATCHUP_WINDOW, CatchUp, session_uuid_of
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.scheduling.due import HORIZON, send_next
from ai_coordination_engine.engine.scheduling.earlier import Earlier, look_at_earlier, policy_of
from ai_coordination_engine.engine.scheduling.explain import WAITS
from ai_coordination_engine.engine.scheduling.starting import (
    cancel_all,
    count_started,
    start_session,
)
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.ports import Fire
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE
from ai_coordination_engine.store.records.schedule_times import (
    nominal_time,
    schedule_key,
    timetable,
)
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.schedules import Dealt

SOON = 50.0  # seconds: the sweep may come too late for what fires sooner
_LATE = 5.0  # seconds: what was sent so much after its time was not missed
_START_AGAIN = 15.0  # seconds, while another start of the session is not over
_TICK = timedelta(microseconds=1)


def fire(app: App, message: Fire) -> None:
    """Deal with the time of a message, unless that was done or the schedule was changed. Raises
    `Busy` when the message must be kept for later.
    """
    while (schedule := _find(app, message)) is not None:
        outcome = _deal(app, schedule, message)
        if outcome is None:  # it is still buffered
            send_next(app, schedule)
            return
        if isinstance(outcome, Applied):
            waits = schedule.buffered or outcome.record.buffered
            within = HORIZON if waits else SOON  # the sweep sends what is buffered alone
            send_next(app, outcome.record, within, message.sent_at)
            return


def give_up(app: App, message: Fire, reason: str) -> None:
    """A message cannot be worked off and goes to the dead-letter queue: its time is missed, and the
    schedule goes on. `reason` is shown to people: readable, and without secrets.
    """
    if (schedule := _find(app, message)) is not None:
        told = why(NotFired.MISSED, f"Its message is in the dead-letter queue: {reason}")
        dealt = Dealt(running=schedule.running or (), missed=1, why=told)
        _dealt_with(app, schedule, message.nominal, dealt)


def _find(app: App, message: Fire) -> TaskSchedule | None:
    """The schedule of a message whose time is still to be dealt with."""
    schedule = app.records.get(TASK_SCHEDULE, message.tenant, message.key, consistent=True)
    if schedule is None or schedule.status != "active":
        return None
    if (schedule.revision or "") != message.revision:
        return None
    waits = {schedule.next_fire_at, *(schedule.buffered or ())}
    return schedule if message.nominal in waits else None


# What becomes of a time


def _deal(app: App, schedule: TaskSchedule, message: Fire) -> Outcome[TaskSchedule] | None:
    """Deal with the time; None: it is buffered, and has to wait."""
    if _runs_are_over(schedule, schedule.run_count or 0):  # by hand, since its latest time
        return _advance(app, schedule, None, Dealt(running=schedule.running or ()))
    earlier = look_at_earlier(app, schedule)
    dealt = Dealt(running=earlier.running)
    if schedule.pause_on_failure and earlier.failed is not None:
        return _pause(app, schedule, dealt, f"Its session {earlier.failed} has failed.")
    if message.nominal != schedule.next_fire_at:
        is_waiting = bool(earlier.open)
        return None if is_waiting else _start(app, schedule, message.nominal, dealt)
    caught_up = _catch_up(schedule, message)
    if caught_up.missed:
        told = why(NotFired.MISSED, "It was due for longer than catchupWindowSeconds.")
        dealt = replace(dealt, missed=caught_up.missed, why=told)
        return _advance(app, schedule, caught_up.following, dealt)
    return _deal_beside(app, schedule, message.nominal, earlier, dealt)


def _catch_up(schedule: TaskSchedule, message: Fire) -> CatchUp:
    """What was missed when the message was sent. A time is as old as it has been due: its jitter
    does not count.
    """
    window = schedule.catchup_window_seconds
    window = CATCHUP_WINDOW if window is None else window
    before = nominal_time(message.nominal) - _TICK
    sent = nominal_time(message.sent_at - _LATE - (schedule.jitter_seconds or 0))
    return timetable(schedule).catch_up(before, sent, window)


def _deal_beside(
    app: App, schedule: TaskSchedule, nominal: int, earlier: Earlier, dealt: Dealt
) -> Outcome[TaskSchedule]:
    """Deal with a time beside the sessions before it."""
    running, waiting = len(earlier.running), len(schedule.buffered or ())
    match firing(policy_of(schedule), running=running, buffered=waiting):
        case Firing.START:
            return _start(app, schedule, nominal, dealt)
        case Firing.CANCEL_AND_START:
            return _start(app, schedule, nominal, dealt, cancels=earlier.open)
        case Firing.BUFFER:
            told = why(NotFired.OVERLAP_BUFFERED, WAITS)
            dealt = replace(dealt, buffered={nominal}, why=told)
        case Firing.SKIP:
            told = why(NotFired.OVERLAP_SKIPPED, "A session before it had not ended.")
            dealt = replace(dealt, skipped=1, why=told)
    return _dealt_with(app, schedule, nominal, dealt)


def _start(
    app: App,
    schedule: TaskSchedule,
    nominal: int,
    dealt: Dealt,
    *,
    cancels: Sequence[Session] = (),
) -> Outcome[TaskSchedule]:
    uuid = session_uuid_of(schedule_key(schedule), nominal_time(nominal))
    try:
        start_session(app, schedule, uuid)
    except Conflict as conflict:
        raise Busy(_START_AGAIN) from conflict
    except (BadUserInput, NotFound) as error:
        reason = f"The task could not start: {error.message}"
        if schedule.pause_on_failure:
            return _pause(app, schedule, dealt, reason)
        told = why(NotFired.TASK_INVALID, reason)
        return _dealt_with(app, schedule, nominal, replace(dealt, why=told))
    cancel_all(app, cancels)
    running = () if cancels else dealt.running
    started = replace(dealt, started={nominal: uuid}, running=running)
    outcome = _dealt_with(app, schedule, nominal, started)
    if isinstance(outcome, Rejected) and _was_edited(schedule, outcome.record):
        count_started(app, outcome.record, started.started)
    return outcome


def _was_edited(seen: TaskSchedule, now: TaskSchedule | None) -> bool:
    """Whether somebody changed the schedule: what was started still counts, nobody else does
    that.
    """
    return now is not None and (now.revision, now.status) != (seen.revision, seen.status)


# The schedule goes on


def _dealt_with(
    app: App, schedule: TaskSchedule, nominal: int, dealt: Dealt
) -> Outcome[TaskSchedule]:
    """The schedule without this time."""
    if nominal != schedule.next_fire_at:
        waits = schedule.next_fire_at
        following = None if waits is None else nominal_time(waits)
        return _advance(app, schedule, following, replace(dealt, unbuffered=nominal))
    return _advance(app, schedule, timetable(schedule).next_after(nominal_time(nominal)), dealt)


def _advance(
    app: App, schedule: TaskSchedule, following: datetime | None, dealt: Dealt
) -> Outcome[TaskSchedule]:
    """The schedule with its next time, or completed when nothing is left."""
    runs = (schedule.run_count or 0) + len(dealt.started)
    ended = "No time of it is left."
    if _runs_are_over(schedule, runs):
        ended = "It has started as many sessions as maxRuns says."
    elif following is not None or dealt.waiting(schedule):
        return app.schedules.advance(schedule, following, dealt)
    told = dealt.why or why(NotFired.ENDED, ended)
    return app.schedules.complete(schedule, replace(dealt, why=told))


def _runs_are_over(schedule: TaskSchedule, runs: int) -> bool:
    return schedule.max_runs is not None and runs >= schedule.max_runs


def _pause(app: App, schedule: TaskSchedule, dealt: Dealt, reason: str) -> Outcome[TaskSchedule]:
    told = why(NotFired.PAUSED_AFTER_FAILURE, reason)
    return app.schedules.pause_after_failure(schedule, replace(dealt, why=told))
