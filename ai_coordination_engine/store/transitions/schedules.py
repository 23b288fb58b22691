"""What is due of the task schedules, and the state changes of one: each is one conditional write.

Every one of them holds for the schedule as it was read: its revision, its next time and how many
sessions it has started. Whoever is refused reads it again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from pynamodb.expressions.update import Action

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

MOST_DUE = 10_000  # schedules of a shard of which one sweep knows
_MOST_RUNNING = 100  # sessions of a schedule that are looked at


@dataclass(frozen=True, slots=True)
class Dealt:
    """What became of times of a schedule, which are epoch seconds. `started`: session uuids by
    nominal time; `running`: those before them that have not ended; `owed` and `settled`: times that
    a backfill has to start, and no longer; `why`: why the latest time did not start one, which a
    count leaves as it is unless it is given.
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
        """Whether times of the schedule are buffered after that."""
        return bool({*(seen.buffered or ()), *self.buffered} - {self.unbuffered})


class Schedules:
    """The transitions of the schedules of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._schedules = repository.table(TASK_SCHEDULE)
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    def due(self, before: float) -> list[TaskSchedule]:
        """The active schedules that fire before then (epoch seconds), at most `MOST_DUE` of each
        shard: keys, tenant, revision, `fire_at`, next and buffered times. One Query a shard and
        megabyte, of what is due alone.
        """
        looks = [partial(self._due, before, f"{shard:02d}") for shard in range(SHARDS)]
        return [each for found in self._repository.parallel.run(looks) for each in found]

    def _due(self, before: float, shard: str) -> list[TaskSchedule]:
        found: list[TaskSchedule] = []
        after: RawKey | None = None
        while len(found) < MOST_DUE:
            is_due = TaskSchedule.fire_at < before
            more, after = self._schedules.query_index(
                "to_fire", shard, after=after, range_condition=is_due
            )
            found += more
            if after is None:
                break
        return found

    def sessions(self, schedule: TaskSchedule) -> list[Session]:
        """The sessions that the schedule has started and that may run, as they are stored; those
        that were deleted are none. One BatchGetItem, or no call.
        """
        return self.sessions_of(schedule, schedule.running or ())

    def sessions_of(self, schedule: TaskSchedule, uuids: Collection[str]) -> list[Session]:
        """Those of these uuids that there are, as they are stored. One BatchGetItem per 100, or no
        call.
        """
        keys = [(schedule.coordination_uuid, uuid) for uuid in uuids]
        if not keys:
            return []
        found = self._sessions.get_many(schedule.partition_key, keys, consistent=True)
        return list(found.values())

    def advance(
        self, seen: TaskSchedule, following: datetime | None, dealt: Dealt
    ) -> Outcome[TaskSchedule]:
        """Times are dealt with, and `following` is the next one. While some are buffered the sweep
        looks each time it comes.
        """
        key = schedule_key(seen)
        next_time: dict[str, Any] = dict(firing_at(key, following, seen.jitter_seconds))
        if dealt.waiting(seen):
            next_time |= {"fire": fire_shard(key), "fire_at": self._clock.now().timestamp()}
        return self._write(rows.ADVANCE, seen, dealt, assignments(TaskSchedule, next_time))

    def complete(self, seen: TaskSchedule, dealt: Dealt) -> Outcome[TaskSchedule]:
        """Nothing is left to fire."""
        return self._write(rows.COMPLETE, seen, dealt)

    def pause_after_failure(self, seen: TaskSchedule, dealt: Dealt) -> Outcome[TaskSchedule]:
        """A session has failed: the time that has come does not start another one."""
        return self._write(rows.PAUSE_AFTER_FAILURE, seen, dealt)

    def count(self, seen: TaskSchedule, dealt: Dealt) -> Outcome[TaskSchedule]:
        """Sessions were started whose times are not the schedule's next one. What is buffered is
        looked at when the sweep comes.
        """
        at_once: list[Action] = []
        if dealt.buffered and seen.status == "active":
            at_once = [
                TaskSchedule.fire.set(fire_shard(schedule_key(seen))),
                TaskSchedule.fire_at.set(self._clock.now().timestamp()),
            ]
        return self._write(rows.COUNT, seen, dealt, at_once)

    def _write(
        self, row: Transition, seen: TaskSchedule, dealt: Dealt, actions: Sequence[Action] = ()
    ) -> Outcome[TaskSchedule]:
        is_said = row is not rows.COUNT or dealt.why is not None
        why = assignments(TaskSchedule, {"why": dealt.why}) if is_said else []
        buffering = _buffering(dealt) if "buffered" not in row.clears else []
        changes = [*actions, *_counting(seen, dealt), *buffering, *_owing(dealt), *why]
        needs = row_condition(row, TaskSchedule, {"seen": seen})
        try:
            written = self._schedules.update(
                seen.partition_key, seen.key, update(row, TaskSchedule, changes), needs
            )
        except Refused as refused:
            return Rejected(refused.old)
        return Applied(written)


def _counting(seen: TaskSchedule, dealt: Dealt) -> list[Action]:
    actions: list[Action] = [
        attribute.add(number)
        for attribute, number in (
            (TaskSchedule.run_count, len(dealt.started)),
            (TaskSchedule.skipped_count, dealt.skipped),
            (TaskSchedule.missed_count, dealt.missed),
        )
        if number
    ]
    started = dealt.started.values()
    running = sorted({*dealt.running, *started})[-_MOST_RUNNING:]  # the latest, by their times
    recent = remembered(seen, *started)
    values: dict[str, Any] = {"running": set(running) or None, "recent": recent or None}
    if dealt.by is not None:
        values["updated_by"] = dealt.by
    if dealt.started:
        values["last_fire_at"] = max(*dealt.started, seen.last_fire_at or 0)
    return [*actions, *assignments(TaskSchedule, values)]


def _buffering(dealt: Dealt) -> list[Action]:
    """Times are added or taken away one by one: whoever else does so loses none."""
    if dealt.unbuffered is not None:
        return [TaskSchedule.buffered.delete({dealt.unbuffered})]
    return [TaskSchedule.buffered.add(set(dealt.buffered))] if dealt.buffered else []


def _owing(dealt: Dealt) -> list[Action]:
    """As the buffered ones."""
    if dealt.settled:
        return [TaskSchedule.owed.delete(set(dealt.settled))]
    return [TaskSchedule.owed.add(set(dealt.owed))] if dealt.owed else []
