"""Fire a time of a schedule: start its session, then advance the schedule by one conditional write.

`engine.work` calls `fire` for each message. The session's uuid is computed from the schedule and
the time. So a repeated message, or one after a crash between the two steps, finds the session that
was started. A message has an effect only while its time is the schedule's next one or a buffered
one, and the schedule was not changed since: deleting, pausing or editing the schedule makes old
messages harmless.

To see if an earlier session still runs, the sessions that the schedule has started, and that were
open when it fired last, are read. A time that must wait for such a session is buffered. The
schedule then stays due, so each sweep sends a message, and the first buffered time starts when no
session runs.
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
from ai_coordination_engine.store.transitions.schedules import Handled

SOON = 50.0  # seconds; the sweep may come too late for a time that fires sooner
_LATE = 5.0  # seconds; a message that was sent this much after its time is not late
_START_AGAIN = 15.0  # seconds until the next try, while another start of the session is in progress
_TICK = timedelta(microseconds=1)


def fire(app: App, message: Fire) -> None:
    """Fire the time of a message, unless that is done or the schedule was changed.

    Raises `Busy` if the message must be kept for later.
    """
    while (schedule := _find(app, message)) is not None:
        outcome = _handle(app, schedule, message)
        if outcome is None:  # it is still buffered
            send_next(app, schedule)
            return
        if isinstance(outcome, Applied):
            waits = schedule.buffered or outcome.record.buffered
            within = HORIZON if waits else SOON  # the sweep sends only the buffered time
            send_next(app, outcome.record, within, message.sent_at)
            return


def give_up(app: App, message: Fire, reason: str) -> None:
    """Count the time of a message that goes to the dead-letter queue as missed; the schedule
    continues.

    `reason` is shown to people: it must be readable and free of secrets.
    """
    if (schedule := _find(app, message)) is not None:
        not_fired = why(NotFired.MISSED, f"Its message is in the dead-letter queue: {reason}")
        handled = Handled(running=schedule.running or (), missed=1, why=not_fired)
        _advance_past(app, schedule, message.nominal, handled)


def _find(app: App, message: Fire) -> TaskSchedule | None:
    """The schedule of a message; None if the time is done or the schedule was changed."""
    schedule = app.records.get(TASK_SCHEDULE, message.tenant, message.key, consistent=True)
    if schedule is None or schedule.status != "active":
        return None
    if (schedule.revision or "") != message.revision:
        return None
    waits = {schedule.next_fire_at, *(schedule.buffered or ())}
    return schedule if message.nominal in waits else None


# One time


def _handle(app: App, schedule: TaskSchedule, message: Fire) -> Outcome[TaskSchedule] | None:
    """Decide about the time and do it. None: it is buffered and must still wait."""
    if _runs_are_over(schedule, schedule.run_count or 0):  # a client has started the last ones
        return _advance(app, schedule, None, Handled(running=schedule.running or ()))
    earlier = look_at_earlier(app, schedule)
    handled = Handled(running=earlier.running)
    if schedule.pause_on_failure and earlier.failed is not None:
        return _pause(app, schedule, handled, f"Its session {earlier.failed} has failed.")
    if message.nominal != schedule.next_fire_at:
        is_waiting = bool(earlier.open)
        return None if is_waiting else _start(app, schedule, message.nominal, handled)
    caught_up = _catch_up(schedule, message)
    if caught_up.missed:
        not_fired = why(NotFired.MISSED, "It was due for longer than catchupWindowSeconds.")
        handled = replace(handled, missed=caught_up.missed, why=not_fired)
        return _advance(app, schedule, caught_up.following, handled)
    return _handle_overlap(app, schedule, message.nominal, earlier, handled)


def _catch_up(schedule: TaskSchedule, message: Fire) -> CatchUp:
    """The times that were missed when the message was sent.

    The age of a time does not include its jitter.
    """
    window = schedule.catchup_window_seconds
    window = CATCHUP_WINDOW if window is None else window
    before = nominal_time(message.nominal) - _TICK
    sent = nominal_time(message.sent_at - _LATE - (schedule.jitter_seconds or 0))
    return timetable(schedule).catch_up(before, sent, window)


def _handle_overlap(
    app: App, schedule: TaskSchedule, nominal: int, earlier: Earlier, handled: Handled
) -> Outcome[TaskSchedule]:
    """Decide about a time by the overlap policy, and do it."""
    running, waiting = len(earlier.running), len(schedule.buffered or ())
    match firing(policy_of(schedule), running=running, buffered=waiting):
        case Firing.START:
            return _start(app, schedule, nominal, handled)
        case Firing.CANCEL_AND_START:
            return _start(app, schedule, nominal, handled, cancels=earlier.open)
        case Firing.BUFFER:
            not_fired = why(NotFired.OVERLAP_BUFFERED, WAITS)
            handled = replace(handled, buffered={nominal}, why=not_fired)
        case Firing.SKIP:
            not_fired = why(NotFired.OVERLAP_SKIPPED, "A session before it had not ended.")
            handled = replace(handled, skipped=1, why=not_fired)
    return _advance_past(app, schedule, nominal, handled)


def _start(
    app: App,
    schedule: TaskSchedule,
    nominal: int,
    handled: Handled,
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
            return _pause(app, schedule, handled, reason)
        not_fired = why(NotFired.TASK_INVALID, reason)
        return _advance_past(app, schedule, nominal, replace(handled, why=not_fired))
    cancel_all(app, cancels)
    running = () if cancels else handled.running
    started = replace(handled, started={nominal: uuid}, running=running)
    outcome = _advance_past(app, schedule, nominal, started)
    if isinstance(outcome, Rejected) and _was_edited(schedule, outcome.record):
        count_started(app, outcome.record, started.started)
    return outcome


def _was_edited(seen: TaskSchedule, now: TaskSchedule | None) -> bool:
    """Whether a client has changed the schedule. The session that was started must be counted then:
    no other message does it.
    """
    return now is not None and (now.revision, now.status) != (seen.revision, seen.status)


# The next time of the schedule


def _advance_past(
    app: App, schedule: TaskSchedule, nominal: int, handled: Handled
) -> Outcome[TaskSchedule]:
    """Write that this time is done; the next time stays, or follows."""
    if nominal != schedule.next_fire_at:
        waits = schedule.next_fire_at
        following = None if waits is None else nominal_time(waits)
        return _advance(app, schedule, following, replace(handled, unbuffered=nominal))
    return _advance(app, schedule, timetable(schedule).next_after(nominal_time(nominal)), handled)


def _advance(
    app: App, schedule: TaskSchedule, following: datetime | None, handled: Handled
) -> Outcome[TaskSchedule]:
    """Write the next time, or complete the schedule if no time is left."""
    runs = (schedule.run_count or 0) + len(handled.started)
    ended = "No time of it is left."
    if _runs_are_over(schedule, runs):
        ended = "It has started as many sessions as maxRuns says."
    elif following is not None or handled.waiting(schedule):
        return app.schedules.advance(schedule, following, handled)
    not_fired = handled.why or why(NotFired.ENDED, ended)
    return app.schedules.complete(schedule, replace(handled, why=not_fired))


def _runs_are_over(schedule: TaskSchedule, runs: int) -> bool:
    return schedule.max_runs is not None and runs >= schedule.max_runs


def _pause(
    app: App, schedule: TaskSchedule, handled: Handled, reason: str
) -> Outcome[TaskSchedule]:
    not_fired = why(NotFired.PAUSED_AFTER_FAILURE, reason)
    return app.schedules.pause_after_failure(schedule, replace(handled, why=not_fired))
