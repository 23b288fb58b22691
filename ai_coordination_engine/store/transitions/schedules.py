"""Read the task schedules that are due, and write their transitions: each is one conditional write.

A transition requires that revision, next time and number of sessions are as they were read. If it
is rejected, the caller reads the schedule again. `engine.scheduling` is the caller.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import partial
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle import schedules as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import SESSION, TASK_SCHEDULE
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.schedule_times import (
    SHARDS,
    fire_shard,
    firing_at,
    remembered,
    schedule_key,
)
from ai_coordination_engine.store.tables.items import RawKey
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.rows import assignments, row_condition, update

_MOST_RUNNING = 100  # sessions in `TaskSchedule.running`, at most


@dataclass(frozen=True, slots=True)
class Handled:
    """What was done with times of a schedule; all times are nominal, in epoch seconds.

    `started`: session uuids by time. `running`: the earlier sessions that have not ended. `skipped`
    and `missed`: numbers of times. `buffered` and `unbuffered`: times that wait from now on, and
    the one that no longer waits. `owed` and `settled`: times that a backfill must start, and those
    that are done. `why`: the reason why the latest time started no session; `count` keeps the
    stored one if it is None. `by`: the person who asked for it.
    """

    started: Mapping[int, str] = field(default_factory=dict)
    running: Collection[str] = ()
    skipped: int = 0
    missed: int = 0
    buffered: Collection[int] = ()
    unbuffered: int | None = None
    owed: Collection[int] = ()
    settled: Collection[int] = ()
    why: Mapping[str, Any] | None = None
    by: str | None = None

    def waiting(self, seen: TaskSchedule) -> bool:
        """Whether times of the schedule are buffered after this write."""
        return bool({*(seen.buffered or ()), *self.buffered} - {self.unbuffered})


class Schedules:
    """The transitions of the schedules of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._schedules = repository.table(TASK_SCHEDULE)
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    def due(self, before: float) -> Iterator[list[TaskSchedule]]:
        """Yield the active schedules that fire before a time (epoch seconds), in pages, earliest
        first.

        They have only keys, tenant, revision, `fire_at`, next and buffered times. One Query per
        shard and megabyte; only due ones are read.
        """
        is_due = TaskSchedule.fire_at < before
        left: dict[str, RawKey | None] = {f"{shard:02d}": None for shard in range(SHARDS)}
        while left:
            pages = self._repository.parallel.run(
                [
                    partial(
                        self._schedules.query_index,
                        *("to_fire", shard),
                        after=after,
                        range_condition=is_due,
                    )
                    for shard, after in left.items()
                ]
            )
            yield [each for found, _ in pages for each in found]
            following = zip(left, (after for _, after in pages), strict=True)
            left = {shard: after for shard, after in following if after is not None}

    def sessions(self, schedule: TaskSchedule) -> list[Session]:
        """The stored sessions of the schedule that may run, without deleted ones.

        One BatchGetItem; no call if there are none.
        """
        return self.sessions_of(schedule, schedule.running or ())

    def sessions_of(self, schedule: TaskSchedule, uuids: Collection[str]) -> list[Session]:
        """The stored sessions with these uuids that exist. One BatchGetItem per 100; no call
        without uuids.
        """
        keys = [(schedule.coordination_uuid, uuid) for uuid in uuids]
        if not keys:
            return []
        found = self._sessions.get_many(schedule.partition_key, keys, consistent=True)
        return list(found.values())

    def advance(
        self, seen: TaskSchedule, following: datetime | None, handled: Handled
    ) -> Outcome[TaskSchedule]:
        """Record what was done; `following` is the next time. While times are buffered, the
        schedule stays due for each sweep.
        """
        key = schedule_key(seen)
        next_time: dict[str, Any] = dict(firing_at(key, following, seen.jitter_seconds))
        if handled.waiting(seen):
            next_time |= {"fire": fire_shard(key), "fire_at": self._clock.now().timestamp()}
        return self._write(rows.ADVANCE, seen, handled, assignments(TaskSchedule, next_time))

    def complete(self, seen: TaskSchedule, handled: Handled) -> Outcome[TaskSchedule]:
        """Complete the schedule: no time is left."""
        return self._write(rows.COMPLETE, seen, handled)

    def pause_after_failure(self, seen: TaskSchedule, handled: Handled) -> Outcome[TaskSchedule]:
        """Pause the schedule, because a session failed or the task cannot start."""
        return self._write(rows.PAUSE_AFTER_FAILURE, seen, handled)

    def count(self, seen: TaskSchedule, handled: Handled) -> Outcome[TaskSchedule]:
        """Record sessions whose times are not the schedule's next one. If times are buffered, the
        schedule becomes due for the next sweep.
        """
        at_once: list[Action] = []
        if handled.buffered and seen.status == "active":
            at_once = [
                TaskSchedule.fire.set(fire_shard(schedule_key(seen))),
                TaskSchedule.fire_at.set(self._clock.now().timestamp()),
            ]
        return self._write(rows.COUNT, seen, handled, at_once)

    def _write(
        self, row: Transition, seen: TaskSchedule, handled: Handled, actions: Sequence[Action] = ()
    ) -> Outcome[TaskSchedule]:
        is_said = row is not rows.COUNT or handled.why is not None
        why = assignments(TaskSchedule, {"why": handled.why}) if is_said else []
        buffering = _buffering(handled) if "buffered" not in row.clears else []
        changes = [*actions, *_counting(seen, handled), *buffering, *_owing(handled), *why]
        needs = row_condition(row, TaskSchedule, {"seen": seen})
        try:
            written = self._schedules.update(
                seen.partition_key, seen.key, update(row, TaskSchedule, changes), needs
            )
        except Refused as refused:
            return Rejected(refused.old)
        return Applied(written)


def _counting(seen: TaskSchedule, handled: Handled) -> list[Action]:
    actions: list[Action] = [
        attribute.add(number)
        for attribute, number in (
            (TaskSchedule.run_count, len(handled.started)),
            (TaskSchedule.skipped_count, handled.skipped),
            (TaskSchedule.missed_count, handled.missed),
        )
        if number
    ]
    started = handled.started.values()
    running = sorted({*handled.running, *started})[-_MOST_RUNNING:]  # the latest, by their times
    recent = remembered(seen, *started)
    values: dict[str, Any] = {"running": set(running) or None, "recent": recent or None}
    if handled.by is not None:
        values["updated_by"] = handled.by
    if handled.started:
        values["last_fire_at"] = max(*handled.started, seen.last_fire_at or 0)
    return [*actions, *assignments(TaskSchedule, values)]


def _buffering(handled: Handled) -> list[Action]:
    """Add or remove single times, so that concurrent writes do not lose any."""
    if handled.unbuffered is not None:
        return [TaskSchedule.buffered.delete({handled.unbuffered})]
    return [TaskSchedule.buffered.add(set(handled.buffered))] if handled.buffered else []


def _owing(handled: Handled) -> list[Action]:
    """Add or remove owed times, like buffered ones."""
    if handled.settled:
        return [TaskSchedule.owed.delete(set(handled.settled))]
    return [TaskSchedule.owed.add(set(handled.owed))] if handled.owed else []
