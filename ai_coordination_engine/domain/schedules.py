"""When a schedule fires, which missed times still fire, and the uuid of each session. Pure.

Arguments are datetimes with a time zone; results are in UTC. Nothing fires before 1970 or after
2199. `engine.scheduling` is the caller.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import derived_uuid
from ai_coordination_engine.domain.years import FIRST_YEAR, LAST_YEAR
from ai_coordination_engine.errors import BadUserInput

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ai_coordination_engine.domain.schedule_expressions import Times

DEFAULT_TIMEZONE = "UTC"
CATCHUP_WINDOW = 60  # seconds, where a schedule does not say
MAX_CATCHUP_WINDOW = 366 * 86_400  # seconds
MAX_JITTER = 86_400  # seconds
MAX_UPCOMING = 100  # times of one request
MAX_BACKFILL = 1_000  # times of one request
MAX_RECENT = 25  # sessions that a schedule remembers

_TICK = timedelta(microseconds=1)
_BEGINNING = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_END = datetime(LAST_YEAR, 12, 31, 23, 59, tzinfo=UTC)


class ScheduleKey(NamedTuple):
    """The unique key of a schedule. Its uuid alone is not: another task may use the same one."""

    partition_key: str
    task_uuid: str
    schedule_uuid: str


class CatchUp(NamedTuple):
    """What to do after an outage.

    `following`: the next time to fire, which may be overdue; None if there is none. `missed`: the
    number of times before it that are too old to fire.
    """

    following: datetime | None
    missed: int


@dataclass(frozen=True, slots=True)
class Timetable:
    """The times of a schedule, from `start_at` to `end_at`, both included."""

    times: "Times"
    zone: "ZoneInfo"
    start_at: datetime | None = None
    end_at: datetime | None = None

    @classmethod
    def of(
        cls,
        schedule: str,
        *,
        counts_from: datetime,
        timezone: str | None = None,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
    ) -> "Timetable":
        """The timetable of a schedule record. Raises `BadUserInput`.

        A rate counts from `start_at`, else from `counts_from`, cut to the second. A backfill may
        use times before that.
        """
        # the parser and its libraries would be a twentieth of every cold start
        from ai_coordination_engine.domain.schedule_expressions import parse  # noqa: PLC0415
        from ai_coordination_engine.domain.timezones import zone_named  # noqa: PLC0415

        zone = zone_named(DEFAULT_TIMEZONE if timezone is None else timezone)
        if start_at and end_at and end_at < start_at:
            raise BadUserInput(
                f"endAt {end_at.isoformat()} is before startAt {start_at.isoformat()}."
            )
        origin = start_at or counts_from.replace(microsecond=0)
        return cls(parse(schedule, zone, origin.astimezone(UTC)), zone, start_at, end_at)

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The times later than `instant`, in order, each once."""
        for each in self.times.after(self._from(instant)):
            if each > self._until(_END):
                return
            yield each

    def next_after(self, instant: datetime) -> datetime | None:
        """The first time later than `instant`; None if there is none."""
        return next(self.after(instant), None)

    def count(self, after: datetime, until: datetime) -> int:
        """The number of times later than `after` and not later than `until`.

        The work is at most one step for each day, however often the schedule fires.
        """
        first, last = self._from(after), self._until(until)
        return self.times.count(first, last) if first < last else 0

    def upcoming(self, instant: datetime, limit: int) -> list[str]:
        """The next times after `instant`, at most `limit` and at most `MAX_UPCOMING`.

        ISO 8601 with the offset of the schedule's zone.
        """
        times = islice(self.after(instant), max(0, min(limit, MAX_UPCOMING)))
        return [each.astimezone(self.zone).isoformat() for each in times]

    def catch_up(self, after: datetime, now: datetime, window_seconds: int) -> CatchUp:
        """What to fire next when all times up to `after` are done.

        Times that have been due for more than `window_seconds` are missed. Call this only for times
        for which no message was sent: with a window of 0, a message that is one second late would
        count as missed.
        """
        since = max(after, now - timedelta(seconds=window_seconds) - _TICK)
        return CatchUp(self.next_after(since), self.count(after, since))

    def backfill(self, first: datetime, last: datetime, now: datetime) -> list[datetime]:
        """The times from `first` to `last`, both included.

        Raises `BadUserInput` if the range is not in the past or has more than `MAX_BACKFILL` times.
        """
        if not first <= last <= now:
            raise BadUserInput(
                "from and to name a range of the past; from is not after to, and to is not in the"
                " future."
            )
        first = max(first, _BEGINNING)
        number = self.count(first - _TICK, last)
        if number > MAX_BACKFILL:
            raise BadUserInput(
                f"The range has {number} times; a backfill takes at most {MAX_BACKFILL}. Choose a"
                " shorter range."
            )
        return list(islice(self.after(first - _TICK), number))

    def _from(self, instant: datetime) -> datetime:
        instant = max(instant, _BEGINNING)
        before_start = max(self.start_at or _BEGINNING, _BEGINNING) - _TICK
        return min(max(instant, before_start), _END).astimezone(UTC)

    def _until(self, instant: datetime) -> datetime:
        return min(instant, self.end_at or _END, _END).astimezone(UTC)


def jittered(key: ScheduleKey, nominal: datetime, jitter_seconds: int) -> datetime:
    """When a nominal time fires: up to `jitter_seconds` later.

    The delay is computed from the key and the time, so that it is the same on each call.
    """
    digest = hashlib.sha256("\n".join([*key, _written(nominal)]).encode()).digest()
    return nominal + timedelta(seconds=int.from_bytes(digest[:8], "big") % (jitter_seconds + 1))


def session_uuid_of(key: ScheduleKey, nominal: datetime) -> str:
    """The uuid of the session that a nominal time starts.

    It is computed from the key and the time, so that firing twice finds the same session.
    """
    return derived_uuid(nominal, *key, _written(nominal))


def _written(nominal: datetime) -> str:
    return nominal.astimezone(UTC).isoformat()


def check_number(name: str, value: int, least: int, most: int) -> int:
    """Return `value` if it is within the limits; else raise `BadUserInput` that names them."""
    if not least <= value <= most:
        raise BadUserInput(f"{name} is {value}; it takes {least} to {most}.")
    return value
