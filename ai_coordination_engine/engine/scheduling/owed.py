"""The sessions that a backfill has to start: as many within the request as there is time for, the
others by a worker.

A time is written to the schedule as owed before its session starts, and no longer is in the write
that counts it: a session counts once, whoever starts it. A message is sent before all of that, so
that whatever the request leaves behind, because it dies or has no more time, is found.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from ai_coordination_engine.domain.not_fired import NotFired, why
from ai_coordination_engine.domain.schedules import session_uuid_of
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.scheduling.starting import start_session
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.ports import Backfill
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE
from ai_coordination_engine.store.records.schedule_times import nominal_time, schedule_key
from ai_coordination_engine.store.transitions.outcome import Applied
from ai_coordination_engine.store.transitions.schedules import Dealt

_IN_TIME = 10.0  # seconds, of one request or message; an HTTP API waits for 30
_AFTERWARDS = 30.0  # seconds: the request is over then
_START_AGAIN = 15.0  # seconds, while another start of a session is not over


@dataclass
class Starts:
    """What became of times that were owed. `schedule`: as it is then, None when it was deleted;
    `refused`: why the task cannot start.
    """

    schedule: TaskSchedule | None
    sessions: dict[int, Session] = field(default_factory=dict)
    refused: BadUserInput | NotFound | None = None


def announce(app: App, schedule: TaskSchedule) -> None:
    """Have a worker look later whether the schedule owes sessions."""
    app.queue.send([_message(schedule)], delay=_AFTERWARDS)


def start_owed(app: App, schedule: TaskSchedule, times: Collection[int]) -> Starts:
    """Start the sessions of these times side by side while there is time, and count them. Once the
    task has been refused nothing is owed any more of these times.

    Raises `Conflict` where another start of one is under way, and whatever the backend raises: what
    has been started is counted, and the rest is still owed.
    """
    starts = Starts(schedule)
    until = app.clock.now().timestamp() + _IN_TIME

    def start(time: int) -> None:
        if starts.refused is not None or app.clock.now().timestamp() >= until:
            return
        uuid = session_uuid_of(schedule_key(schedule), nominal_time(time))
        try:
            starts.sessions[time] = start_session(app, schedule, uuid)
        except (BadUserInput, NotFound) as error:
            starts.refused = error

    try:
        app.records.parallel.beside([partial(start, time) for time in times])
    finally:
        starts.schedule = _settle(app, schedule, starts, times)
    return starts


def go_on(app: App, message: Backfill) -> None:
    """Start what a schedule still owes. Raises `Busy` when the message must be kept for later."""
    schedule = app.records.get(TASK_SCHEDULE, message.tenant, message.key, consistent=True)
    if schedule is None or not schedule.owed:
        return
    try:
        starts = start_owed(app, schedule, sorted(map(int, schedule.owed)))
    except Conflict as conflict:
        raise Busy(_START_AGAIN) from conflict
    if starts.schedule is not None and starts.schedule.owed:
        app.queue.send([message])


def _settle(
    app: App, schedule: TaskSchedule | None, starts: Starts, times: Collection[int]
) -> TaskSchedule | None:
    """Count what was started, each time once; the schedule as it is then."""
    settled = {*starts.sessions} if starts.refused is None else {*times}
    told = None
    if starts.refused is not None:
        reason = f"The task could not start: {starts.refused.message}"
        told = why(NotFired.TASK_INVALID, reason)
    while schedule is not None:
        mine = settled & {int(each) for each in schedule.owed or ()}
        if not mine:
            break
        started = {each: starts.sessions[each].session_uuid for each in mine & {*starts.sessions}}
        running = schedule.running or ()
        dealt = Dealt(started=started, running=running, settled=mine, why=told)
        outcome = app.schedules.count(schedule, dealt)
        if isinstance(outcome, Applied):
            return outcome.record
        schedule = outcome.record
    return schedule


def _message(schedule: TaskSchedule) -> Backfill:
    return Backfill(schedule.partition_key, schedule.task_uuid, schedule.schedule_uuid)
