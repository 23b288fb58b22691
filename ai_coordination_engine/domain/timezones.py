"""Time zones by their IANA name, and the instants of local times. Pure.

The rules are those of the distribution `tzdata`, not the machine's: all machines agree.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata

from ai_coordination_engine.errors import BadUserInput


@dataclass(frozen=True, slots=True)
class Moments:
    """When a local time is: `at` is its first instant, or the end of the gap that it falls into;
    `again` its second one; `shift` how far the clock is put forward or back there.
    """

    at: datetime
    again: datetime | None
    shift: timedelta

    @property
    def exists(self) -> bool:
        """Whether the clock shows that time."""
        return self.again is not None or not self.shift


@cache
def _names() -> dict[str, str]:
    """The names, by their lower case."""
    names = files(tzdata).joinpath("zones").read_text(encoding="ascii").split()
    return {name.lower(): name for name in names}


def zone_named(name: str) -> ZoneInfo:
    """The zone; raises `BadUserInput` when `name` is not exactly an IANA name."""
    names = _names()
    if names.get(name.lower()) == name:
        return _loaded(name)
    close = get_close_matches(name.lower()[:64], names, n=1, cutoff=0.8)
    hint = f"; did you mean {names[close[0]]}?" if close else "."
    raise BadUserInput(
        f"timezone {name[:100]!r} is unknown; it takes an IANA name such as Europe/Berlin or UTC"
        + hint
    )


@cache
def _loaded(name: str) -> ZoneInfo:
    with files(tzdata).joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clock shows then, without the zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    """How far the zone is ahead of UTC then."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def moments(local: datetime, zone: ZoneInfo) -> Moments:
    """When the clock shows `local` (without a zone), in UTC.

    `fold` 0 takes the offset before a transition and 1 the one after it (PEP 495), so that within a
    gap the first is the later one.
    """
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return Moments(first, None if first == second else second, second - first)
    return Moments(_transition(second, first, zone), None, first - second)


def _transition(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between the two from which the later one's offset holds, to the second."""
    new = offset(after, zone)
    seconds = range(int((after - before).total_seconds()))
    passed = bisect_left(
        seconds, True, key=lambda second: offset(before + timedelta(seconds=second), zone) == new
    )
    return before + timedelta(seconds=passed)
