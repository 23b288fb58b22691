"""Cron expressions, Unix's and AWS's: what they mean, and their local times. Pure.

The library `cronsim` reads the fields and knows which days match. It does not iterate for us: it
leaves out what falls into a gap of `*/15 2 * * *` or `0 */2 * * *`, knows no years, and cannot
count.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from cronsim import CronSim

from ai_coordination_engine.domain.cron_fields import FIRST_YEAR, LAST_YEAR, Fields
from ai_coordination_engine.errors import BadUserInput

_DAY = timedelta(days=1)
_HOUR = 60  # minutes


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression: the times of a day on which it fires, and on which days that is.

    `interval` is the longest time between two of them within an hour, when the expression is one
    that goes on through a change of the clock: every hour, or with a step of minutes.
    """

    days: CronSim
    months: frozenset[int]
    years: frozenset[int]
    times: tuple[time, ...]
    hourly: bool
    interval: timedelta | None

    @classmethod
    def of(cls, fields: Fields) -> "Cron":
        """The meaning of fields that are right each for itself; raises `BadUserInput` when they
        never fire together.
        """
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

    def goes_on(self, shift: timedelta) -> bool:
        """Whether it goes on through a change of the clock by `shift`: its interval is no
        longer.
        """
        return self.interval is not None and self.interval <= shift

    def local_times(self, start: datetime) -> Iterator[datetime]:
        """The local times from `start` on, in order, to the end of `LAST_YEAR`; without a zone."""
        skipped = bisect_left(self.times, start.time())
        for day in self._days(start.date(), date(LAST_YEAR, 12, 31)):
            times = self.times[skipped:] if day == start.date() else self.times
            yield from (datetime.combine(day, each) for each in times)

    def count(self, after: datetime, until: datetime) -> int:
        """How many local times are after `after` and not after `until`; takes a step a day."""
        days = sum(1 for _ in self._days(after.date(), until.date() - _DAY))
        return days * len(self.times) + self._passed(until) - self._passed(after)

    def _passed(self, local: datetime) -> int:
        """How many times of its day have come by then."""
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
