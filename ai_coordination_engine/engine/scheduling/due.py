"""What is due: each time within the coming minute becomes a message with the exact delay.

The sweep looks every minute and sends what is due before it comes again, with some seconds to
spare; a time is sent twice now and then, which is harmless. What is sent after its time was missed:
the message says when it was sent, so that a queue that is slow makes nobody miss a time.
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
_TO_SPARE = 1.25  # of that: the sweep is not always on time
HORIZON = SWEPT_EVERY * _TO_SPARE
_AT_ONCE = 500  # messages that are sent with one delay: sending many takes time


def send_due(app: App, every: float = SWEPT_EVERY) -> int:
    """Send every time that is due before this comes again, `every` so many seconds; how many. A
    time that is buffered is always due: the message has somebody look whether its schedule still
    runs.

    A delay is whole seconds, so that a time fires less than a second late; and at once where this
    is called at the beginning of a second.
    """
    found = app.schedules.due(app.clock.now().timestamp() + every * _TO_SPARE)
    due = [each for each in found if each.buffered or each.next_fire_at is not None]
    sent_at = app.clock.now().timestamp()
    _send(app, [(each.fire_at, _fire(each, earliest(each), sent_at)) for each in due])
    return len(due)


def earliest(schedule: TaskSchedule) -> float:
    """The nominal time to be dealt with first (epoch seconds): a buffered one, else the next."""
    return min(schedule.buffered or [schedule.next_fire_at])


def send_next(
    app: App, schedule: TaskSchedule, within: float = HORIZON, sent_at: float | None = None
) -> None:
    """Send the next time of a schedule when it fires within so many seconds: before the sweep is
    sure to see it. Whoever changes when a schedule fires calls this after the write; no call to
    the queue, otherwise.

    `sent_at`: what follows from a message that was sent then is made up for as of then.
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
