"""Stored schedules, and minutes that pass with a sweep in each."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.schedules import session_uuid_of
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.engine.scheduling.firing import fire
from ai_coordination_engine.ports import Fire
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import SESSION, TASK_SCHEDULE
from ai_coordination_engine.store.records.schedule_times import (
    firing_at,
    nominal_time,
    schedule_key,
    timetable,
)
from tests.kit.stage import TENANT, Stage


def scheduled(stage: Stage, task: tuple[str, str], expression: str, **fields: Any) -> TaskSchedule:
    """Create an active schedule, with its next time, for a task from `Stage.define`."""
    key = (task[1], new_uuid(stage.clock.now()))
    content = {
        "coordination_uuid": task[0],
        "schedule": expression,
        "status": "active",
        "revision": "first",
        "updated_by": "me",
        **fields,
    }
    made = stage.app.records.create(TASK_SCHEDULE, TENANT, key, lambda *_: content, parent_key=task)
    following = timetable(made).next_after(stage.clock.now())
    return changed(stage, made, **firing_at(schedule_key(made), following, made.jitter_seconds))


def changed(stage: Stage, schedule: TaskSchedule, /, **values: Any) -> TaskSchedule:
    """Set values of the schedule; return it."""
    attributes = TaskSchedule.get_attributes()
    actions = [
        attributes[name].remove() if value is None else attributes[name].set(value)
        for name, value in values.items()
    ]
    table = stage.looking.table(TASK_SCHEDULE)
    return table.update(TENANT, schedule.key, actions, TaskSchedule.status.exists())


def as_is(stage: Stage, schedule: TaskSchedule) -> TaskSchedule:
    """Return the schedule in its present state."""
    found = stage.looking.table(TASK_SCHEDULE).get(TENANT, schedule.key, consistent=True)
    assert found is not None
    return found


def message(schedule: TaskSchedule, sent_at: float | None = None) -> Fire:
    """Return the message for its next time."""
    nominal = int(schedule.next_fire_at)
    return Fire(TENANT, *schedule.key, nominal, schedule.revision, sent_at or nominal - 1)


def fire_next(stage: Stage, schedule: TaskSchedule) -> TaskSchedule:
    """Advance to its next time and fire; return the schedule."""
    now = as_is(stage, schedule)
    stage.clock.advance(max(now.next_fire_at - stage.clock.now().timestamp(), 0))
    fire(stage.app, message(now))
    return as_is(stage, schedule)


def work(stage: Stage) -> None:
    """Let a worker process all visible messages."""
    stage.drain(until=stage.clock.now().timestamp())


def uuid_at(schedule: TaskSchedule, time: float) -> str:
    """Return the uuid of the session for a nominal time."""
    return session_uuid_of(schedule_key(schedule), nominal_time(time))


def sessions(stage: Stage, schedule: TaskSchedule) -> list[Session]:
    """Return the sessions of its coordination, in order of their times."""
    rows = stage.looking.table(SESSION).query_all(
        TENANT, schedule.coordination_uuid, consistent=True
    )
    return sorted(rows, key=lambda each: str(each.session_uuid))


def times(stage: Stage, schedule: TaskSchedule) -> list[str]:
    """Return the nominal times of its sessions as HH:MM, read from their uuids."""
    stamps = [
        int(each.session_uuid.replace("-", "")[:12], 16) for each in sessions(stage, schedule)
    ]
    return [f"{datetime.fromtimestamp(each / 1000, UTC):%H:%M}" for each in stamps]


def counts(schedule: TaskSchedule) -> tuple[int, int, int]:
    """Return the numbers of started, skipped and missed times."""
    return schedule.run_count or 0, schedule.skipped_count or 0, schedule.missed_count or 0


def code(schedule: TaskSchedule) -> str | None:
    """Return why its latest time started no session."""
    return (schedule.why or {}).get("code")


def minutes(stage: Stage, count: int = 1) -> None:
    """Let so many minutes pass; in each, run the sweep and a worker for what it sends."""
    for _ in range(count):
        until = stage.clock.now().timestamp() + 60
        send_due(stage.app)
        stage.drain(until=until)
        stage.clock.advance(max(until - stage.clock.now().timestamp(), 0))


@contextmanager
def counted(stage: Stage) -> Iterator[dict[str, int]]:
    """Yield a map that receives the AWS calls made in the context, messages included."""
    made: dict[str, int] = {}
    before, sent = dict(stage.requests), len(stage.queue.sent) + len(stage.queue.fires)
    yield made
    made |= {
        name: count - before.get(name, 0)
        for name, count in stage.requests.items()
        if count > before.get(name, 0)
    }
    if messages := len(stage.queue.sent) + len(stage.queue.fires) - sent:
        made["send"] = messages
