"""Parse the expression of a schedule: `cron(…)` or a Unix cron line, `rate(…)`, or `at(…)`. Pure.

`domain.schedules.Timetable` is the caller. It limits the times to the schedule's window.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.cron import Cron
from ai_coordination_engine.domain.cron_fields import aws_fields, unix_fields, wrong
from ai_coordination_engine.domain.timezones import local_time, moments, offset
from ai_coordination_engine.domain.years import FIRST_YEAR, LAST_YEAR

MAX_EXPRESSION = 256  # characters

_DAY = timedelta(days=1)
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_LONGEST_RATE = timedelta(days=36_500)
_CALL = re.compile(r"(cron|rate|at)\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_RATE = re.compile(r"\s*([0-9]+)\s+([a-z]+)\s*", re.IGNORECASE)
_AT = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)\s*")


class Times(Protocol):
    """The times of an expression in a time zone."""

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The times later than `instant`, in order."""

    def count(self, after: datetime, until: datetime) -> int:
        """The number of times later than `after` and not later than `until`.

        The work is bounded: at most one step for each day in between.
        """


@dataclass(frozen=True, slots=True)
class _CronTimes:
    cron: Cron
    zone: ZoneInfo

    def after(self, instant: datetime) -> Iterator[datetime]:
        last = instant
        for each in self._merged(instant):
            if each > last:
                last = each
                yield each

    def _merged(self, instant: datetime) -> Iterator[datetime]:
        """The times from a little before `instant` on; an instant may come more than once.

        When the clock is put back, an hour is shown twice: its second times come after all of its
        first times.
        """
        # During the first pass of a repeated hour, the whole second pass is still to come.
        back = offset(instant - _DAY, self.zone) - offset(instant + _DAY, self.zone)
        start = local_time(instant, self.zone) - max(back, timedelta())
        again: list[datetime] = []
        for local in self.cron.local_times(start):
            found = moments(local, self.zone)
            while again and again[0] < found.at:
                yield again.pop(0)
            is_interval = bool(found.shift) and self.cron.fires_during_shift(found.shift)
            if found.again and is_interval:
                again.append(found.again)
            if found.exists or not (self.cron.hourly and is_interval):
                yield found.at
        yield from again

    def count(self, after: datetime, until: datetime) -> int:
        """Count by whole days; only days near a change of the clock are iterated over."""
        days = -((after - until) // _DAY)
        offsets = [offset(after + (day - 1) * _DAY, self.zone) for day in range(days + 3)]
        calm = [len(set(offsets[day : day + 4])) == 1 for day in range(days)]
        total = 0
        for is_calm, some in groupby(range(days), key=calm.__getitem__):
            run = list(some)
            start, end = after + run[0] * _DAY, min(after + (run[-1] + 1) * _DAY, until)
            if is_calm:
                total += self.cron.count(local_time(start, self.zone), local_time(end, self.zone))
            else:
                total += sum(1 for _ in takewhile(end.__ge__, self.after(start)))
        return total


@dataclass(frozen=True, slots=True)
class _RateTimes:
    interval: timedelta
    origin: datetime

    def after(self, instant: datetime) -> Iterator[datetime]:
        following = self.origin + self._passed(instant) * self.interval
        while following.year <= LAST_YEAR:
            following += self.interval
            yield following

    def count(self, after: datetime, until: datetime) -> int:
        return max(0, self._passed(until) - self._passed(after))

    def _passed(self, instant: datetime) -> int:
        return (instant - self.origin) // self.interval


@dataclass(frozen=True, slots=True)
class _OneTime:
    at: datetime

    def after(self, instant: datetime) -> Iterator[datetime]:
        if self.at > instant:
            yield self.at

    def count(self, after: datetime, until: datetime) -> int:
        return int(after < self.at <= until)


def parse(text: str, zone: ZoneInfo, origin: datetime) -> Times:
    """Parse an expression; a rate counts from `origin`.

    Raises `BadUserInput`, which names the invalid field and what it accepts.
    """
    text = text.strip()
    if len(text) > MAX_EXPRESSION:
        raise wrong(text, f"has {len(text)} characters; it takes at most {MAX_EXPRESSION}")
    if not text.isascii():
        raise wrong(text, "has characters beyond ASCII; see docs/schedules.md for what it takes")
    if text.upper().startswith(("TZ=", "CRON_TZ=")):
        raise wrong(text, "names a time zone; give that as timezone")
    call = _CALL.fullmatch(text)
    if not call:
        return _CronTimes(Cron.of(unix_fields(text)), zone)
    kind, inner = call[1].lower(), call[2]
    if kind == "rate":
        return _RateTimes(_interval(text, inner), origin)
    if kind == "at":
        return _OneTime(moments(_local(text, inner), zone).at)
    return _CronTimes(Cron.of(aws_fields(text, inner)), zone)


def _interval(text: str, inner: str) -> timedelta:
    found = _RATE.fullmatch(inner)
    number = min(int(found[1]), timedelta.max.days) if found else 0
    unit = found[2].lower() if found else ""
    if not found or not number or unit.removesuffix("s") not in _UNITS:
        takes = "a whole number from 1 and minutes, hours or days, as in rate(5 minutes)"
        raise wrong(text, f"the rate is {inner.strip()!r}; it takes {takes}")
    name = unit.removesuffix("s")
    expected = name if number == 1 else f"{name}s"
    if unit != expected:
        raise wrong(text, f"the unit is {unit!r}; after {found[1]} it is {expected!r}")
    if number * _UNITS[name] > _LONGEST_RATE:
        raise wrong(text, f"the rate is longer than {_LONGEST_RATE.days} days")
    return number * _UNITS[name]


def _local(text: str, inner: str) -> datetime:
    found = _AT.fullmatch(inner)
    if not found:
        takes = "a local time without a zone, as in at(2026-12-24T18:00); the zone is timezone"
        raise wrong(text, f"the time is {inner.strip()!r}; it takes {takes}")
    try:
        local = datetime.fromisoformat(found[1])
    except ValueError as error:
        raise wrong(text, f"there is no {found[1]}: {error}") from error
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise wrong(text, f"the year is {local.year}; it takes {FIRST_YEAR}-{LAST_YEAR}")
    return local
