"""Compute what a client's edit of a task schedule changes in its times. Pure.

The API's write of a schedule (`api.scheduled`) is the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle.schedules import DUE, SCHEDULE_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.transition import row_by_hand
from ai_coordination_engine.domain.not_fired import NotFired, why
from ai_coordination_engine.domain.predicates import Differs, OneOf, Predicate, absent, equals
from ai_coordination_engine.domain.schedules import Timetable
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.records.schedule_times import nominal_time
from ai_coordination_engine.store.records.write_tokens import new_nonce

_TIMES = ("schedule", "timezone", "start_at", "end_at")
_DECIDING = (*_TIMES, "jitter_seconds", "max_runs")
_STOPPED = ("initial", "paused", "completed")
NOTHING_LEFT = "No time is left: the schedule is completed."
_COMPLETED: dict[str, Any] = {
    **dict.fromkeys((*DUE, "buffered")),
    "status": "completed",
    "why": why(NotFired.ENDED, NOTHING_LEFT),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit: the `given` arguments for a schedule that was read as `seen`.

    `seen` is None at first, to save the read. The edit then assumes that the schedule is not active
    and stores no other argument that decides on its times; `condition` checks that. If it does not
    hold, the refused write returns the stored schedule, which is `seen` for the second try.
    """

    given: Mapping[str, Any]
    seen: TaskSchedule | None
    now: datetime

    @property
    def condition(self) -> Predicate | None:
        """The condition on the stored schedule under which `values` are right; None: always."""
        if not self._decides:
            return None
        if self.seen is not None:
            as_seen = equals("status", self.seen.status)
            unedited = self.seen.revision
            return as_seen & (equals("revision", unedited) if unedited else absent("revision"))
        assumed = [name for name in _DECIDING if name not in self.given]
        if self.given.get("max_runs") is not None:
            assumed.append("run_count")
        needs: Predicate = OneOf("status", _STOPPED)
        if assumed:
            needs &= absent(*assumed)
        if self.given.get("schedule") is not None:  # else a rate goes on to count as it did
            needs &= absent("schedule") | Differs("schedule", self.given["schedule"])
        return needs

    def values(self) -> dict[str, Any]:
        """The attributes to write. Raises `BadUserInput` for invalid arguments, alone or together
        with the stored ones.
        """
        values = {**self.given, **self._cleared()}
        if not self._decides:
            return values
        times = self._timetable()
        if self._keeps and not self._changes("jitter_seconds") and self._runs_left:
            return values
        values["revision"] = new_nonce()
        if self._changes("schedule"):
            values["counts_from"] = self.now.timestamp() // 1
        if self._merged("status") == "active":
            values.update(self._next(times))
        return values

    @property
    def _decides(self) -> bool:
        is_started = self.given.get("status") == "active"
        return is_started or any(name in self.given for name in _DECIDING)

    @property
    def _keeps(self) -> bool:
        """Whether the schedule is and stays active, with the same times: the due time stays due."""
        seen = self.seen
        if seen is None or not (seen.next_fire_at or seen.buffered):
            return False
        stays = seen.status == self._merged("status") == "active"
        return stays and not any(map(self._changes, _TIMES))

    def _cleared(self) -> dict[str, str | None]:
        row = row_by_hand(SCHEDULE_TRANSITIONS, self.given.get("status"))
        if row is None or not row.clears:
            return {}
        return {**dict.fromkeys(row.clears), "revision": new_nonce()}

    def _timetable(self) -> Timetable | None:
        """The timetable after the edit; None without an expression."""
        expression = self._merged("schedule")
        start_at, end_at = self._merged("start_at"), self._merged("end_at")
        times = Timetable.of(
            expression or "@daily",
            counts_from=self._counts_from(),
            timezone=self._merged("timezone"),
            start_at=start_at,
            end_at=end_at,
        )
        return times if expression else None

    def _next(self, times: Timetable | None) -> dict[str, Any]:
        """The attributes for the next time of an active schedule, or for a completed one."""
        jitter = {"jitter_seconds": self._merged("jitter_seconds")}
        if times is None:
            return dict.fromkeys((*DUE, "buffered", "why"))
        if not self._runs_left:
            return _COMPLETED
        if self._keeps and self.seen is not None:  # what is buffered is looked at all the time
            due = {"next_fire_at": self.seen.next_fire_at}
            return {} if self.seen.buffered else {**jitter, **due}
        following = times.next_after(self.now)
        if following is None:
            return _COMPLETED
        fires = {"next_fire_at": following.timestamp(), "buffered": None, "why": None}
        return {**jitter, **fires}

    @property
    def _runs_left(self) -> bool:
        most = self._merged("max_runs")
        count = self.seen.run_count if self.seen is not None else None
        return most is None or (count or 0) < most

    def _counts_from(self) -> datetime:
        if self.seen is None or self._changes("schedule"):
            return self.now
        since = self.seen.counts_from
        return self.seen.created_at if since is None else nominal_time(since)

    def _changes(self, name: str) -> bool:
        stored = getattr(self.seen, name) if self.seen is not None else None
        return name in self.given and self.given[name] != stored

    def _merged(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        return getattr(self.seen, name) if self.seen is not None else None
