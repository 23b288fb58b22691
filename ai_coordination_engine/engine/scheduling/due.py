"""Find the schedules that are due within the next minute, and send a delayed message for each.

The sweep calls `send_due` every minute. It sends the times that are due before the next sweep, and
some seconds beyond; a time that is sent twice does no harm. A message contains the time at which it
was sent. A time counts as missed only if its message was sent too late, not if the queue is slow.
"""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from ai_coordination_engine.domain.schedules import jittered
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.ports import Fire
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.records.schedule_times import nominal_time, schedule_key

SWEPT_EVERY = 60.0  # seconds
_TO_SPARE = 1.25  # a factor: the sweep is not always on time
HORIZON = SWEPT_EVERY * _TO_SPARE
_AT_ONCE = 500  # messages that are sent with the same delay; it is computed again for the next ones


def send_due(app: App, every: float = SWEPT_EVERY) -> int:
    """Send a message for each time that is due before the next call; return how many.

    `every`: the seconds between two calls. A buffered time is always due: its message checks if an
    earlier session still runs. Delays are whole seconds, so a time fires less than a second late,
    and on time if this is called at the beginning of a second.
    """
    sent = 0
    for page in app.schedules.due(app.clock.now().timestamp() + every * _TO_SPARE):
        due = [each for each in page if each.buffered or each.next_fire_at is not None]
        sent_at = app.clock.now().timestamp()
        _send(app, [(each.fire_at, _fire(each, earliest(each), sent_at)) for each in due])
        sent += len(due)
    return sent


def earliest(schedule: TaskSchedule) -> float:
    """The nominal time to fire first (epoch seconds): a buffered one, else the next one."""
    return min(schedule.buffered or [schedule.next_fire_at])


def send_next(
    app: App, schedule: TaskSchedule, within: float = HORIZON, sent_at: float | None = None
) -> None:
    """Send the next time of a schedule if it fires within so many seconds, before the next sweep.

    Call it after each write that changes when a schedule fires. If the time is later, no request is
    made. `sent_at`: when the message was sent that led to this call; missed times count from then.
    """
    if schedule.status != "active" or schedule.next_fire_at is None:
        return
    now = app.clock.now().timestamp()
    nominal = nominal_time(schedule.next_fire_at)
    fires = jittered(schedule_key(schedule), nominal, schedule.jitter_seconds or 0).timestamp()
    if fires < now + within:
        sent = now if sent_at is None else sent_at
        _send(app, [(fires, _fire(schedule, schedule.next_fire_at, sent))])


def _fire(schedule: TaskSchedule, nominal: float, sent_at: float) -> Fire:
    return Fire(
        schedule.partition_key,
        schedule.task_uuid,
        schedule.schedule_uuid,
        nominal=int(nominal),
        revision=schedule.revision or "",
        sent_at=sent_at,
    )


def _send(app: App, due: Iterable[tuple[float, Fire]]) -> None:
    for fires, group in groupby(sorted(due, key=itemgetter(0)), key=itemgetter(0)):
        messages = [message for _, message in group]
        for start in range(0, len(messages), _AT_ONCE):
            delay = max(fires - app.clock.now().timestamp(), 0)
            app.queue.send(messages[start : start + _AT_ONCE], delay=delay)
