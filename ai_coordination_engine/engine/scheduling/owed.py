"""Start the sessions of a backfill: some during the request, the rest by a worker.

`by_hand.backfill` and `engine.work` are the callers. A time is written to the schedule as owed
before its session starts. The write that counts the session removes it, so each session counts
once. A message to a worker is sent before all of that; it finds the times that the request did not
start because it died or ran out of time.
"""

from collections.abc import Collection
from dataclasses import field
from functools import partial

from ai_coordination_engine.data_classes import dataclass
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
from ai_coordination_engine.store.transitions.schedules import Handled

_IN_TIME = 10.0  # seconds in which one request or message may begin starts; HTTP APIs wait for 30
_AFTERWARDS = 30.0  # seconds until the worker looks: the request has ended by then
_START_AGAIN = 15.0  # seconds until the next try, while another start of a session is in progress


@dataclass
class Starts:
    """The result of starting owed times.

    `schedule`: its new state; None if it was deleted. `sessions`: by nominal time. `refused`: the
    error if the task cannot start.
    """

    schedule: TaskSchedule | None
    sessions: dict[int, Session] = field(default_factory=dict)
    refused: BadUserInput | NotFound | None = None


def announce(app: App, schedule: TaskSchedule) -> None:
    """Send the message with which a worker later starts the times that are still owed."""
    app.queue.send([_message(schedule)], delay=_AFTERWARDS)


def start_owed(app: App, schedule: TaskSchedule, times: Collection[int]) -> Starts:
    """Start the sessions of these times, several at once, while there is time, and count them.

    If the task cannot start, none of these times is owed any more. Raises `Conflict` if another
    start of one of the sessions is in progress, and the errors of the backend; the sessions that
    were started are counted then, and the rest is still owed.
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
    """Start the owed times of a schedule. Raises `Busy` if the message must be kept for later."""
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
    """Count the sessions that were started, each once; return the schedule as it is then."""
    settled = {*starts.sessions} if starts.refused is None else {*times}
    not_fired = None
    if starts.refused is not None:
        reason = f"The task could not start: {starts.refused.message}"
        not_fired = why(NotFired.TASK_INVALID, reason)
    while schedule is not None:
        mine = settled & {int(each) for each in schedule.owed or ()}
        if not mine:
            break
        started = {each: starts.sessions[each].session_uuid for each in mine & {*starts.sessions}}
        running = schedule.running or ()
        handled = Handled(started=started, running=running, settled=mine, why=not_fired)
        outcome = app.schedules.count(schedule, handled)
        if isinstance(outcome, Applied):
            return outcome.record
        schedule = outcome.record
    return schedule


def _message(schedule: TaskSchedule) -> Backfill:
    return Backfill(schedule.partition_key, schedule.task_uuid, schedule.schedule_uuid)
