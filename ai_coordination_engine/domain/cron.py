"""The local times of a cron expression, of Unix or AWS. Pure.

The library `cronsim` parses the fields and decides which days match. This module iterates over the
times itself, for three reasons: `cronsim` skips times that fall into a gap of the clock, has no
year field, and cannot count.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from cronsim import CronSim

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.cron_fields import Fields
from ai_coordination_engine.domain.years import FIRST_YEAR, LAST_YEAR
from ai_coordination_engine.errors import BadUserInput

_DAY = timedelta(days=1)
_HOUR = 60  # minutes


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression: the days on which it fires, and the times of each such day.

    `interval` is the longest time between two neighbouring minutes of an hour. It is set only if
    the expression means an interval: it fires in every hour, or its minutes have a step. It is None
    if the expression means fixed times of the day.
    """

    days: CronSim
    months: frozenset[int]
    years: frozenset[int]
    times: tuple[time, ...]
    hourly: bool
    interval: timedelta | None

    @classmethod
    def of(cls, fields: Fields) -> "Cron":
        """The expression with these fields; raises `BadUserInput` if it never fires."""
        sim = fields.parsed()
        made = sim and cls._of(sim, fields)
        if made and next(made.local_times(datetime(FIRST_YEAR, 1, 1)), None):
            return made
        raise BadUserInput(
            f"schedule {fields.text!r} never fires: no year has such a day in such a month."
        )

    @classmethod
    def _of(cls, sim: CronSim, fields: Fields) -> "Cron":
        hours, minutes = sorted(sim.hours), sorted(sim.minutes)
        hourly = len(hours) == 24
        following = [*minutes[1:], minutes[0] + _HOUR]
        pause = max(later - minute for minute, later in zip(minutes, following, strict=True))
        return cls(
            days=sim,
            months=frozenset(sim.months),
            years=fields.years,
            times=tuple(time(hour, minute) for hour in hours for minute in minutes),
            hourly=hourly,
            interval=timedelta(minutes=pause) if hourly or fields.steps_by_minutes else None,
        )

    def fires_during_shift(self, shift: timedelta) -> bool:
        """Whether it keeps its interval while the clock is changed by `shift`.

        True if it means an interval, and that is not longer than `shift`.
        """
        return self.interval is not None and self.interval <= shift

    def local_times(self, start: datetime) -> Iterator[datetime]:
        """The local times from `start` to the end of `LAST_YEAR`, in order, without a zone."""
        skipped = bisect_left(self.times, start.time())
        for day in self._days(start.date(), date(LAST_YEAR, 12, 31)):
            times = self.times[skipped:] if day == start.date() else self.times
            yield from (datetime.combine(day, each) for each in times)

    def count(self, after: datetime, until: datetime) -> int:
        """The number of local times later than `after` and not later than `until`.

        The work is one step for each day.
        """
        days = sum(1 for _ in self._days(after.date(), until.date() - _DAY))
        return days * len(self.times) + self._passed(until) - self._passed(after)

    def _passed(self, local: datetime) -> int:
        """The number of times of this day up to `local`, which is included."""
        day = local.date()
        return bisect_right(self.times, local.time()) if day in self._days(day, day) else 0

    def _days(self, first: date, last: date) -> Iterator[date]:
        day = first
        while day <= last:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
            elif day.month not in self.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
            else:
                if self.days.match_day(day):
                    yield day
                day += _DAY
