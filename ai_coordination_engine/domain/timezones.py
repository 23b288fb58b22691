"""Find time zones by their IANA name, and convert local times to instants. Pure.

The rules come from the package `tzdata`, not from the machine, so that all machines agree.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import BadUserInput


@dataclass(frozen=True, slots=True)
class Moments:
    """The instants (UTC) at which a clock shows a local time.

    `at`: the first instant. If the clock skips the time, it is the end of the gap. `again`: the
    second instant, if the clock is put back and shows the time twice. `shift`: how far the clock is
    put forward or back there; zero for an ordinary time.
    """

    at: datetime
    again: datetime | None
    shift: timedelta

    @property
    def exists(self) -> bool:
        """Whether the clock shows the time; false in a gap."""
        return self.again is not None or not self.shift


@cache
def _names() -> dict[str, str]:
    """The IANA names by their lower-case form."""
    names = files(tzdata).joinpath("zones").read_text(encoding="ascii").split()
    return {name.lower(): name for name in names}


def zone_named(name: str) -> ZoneInfo:
    """The zone with this name; raises `BadUserInput` if it is not exactly an IANA name."""
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
    """The local time of an instant, without the zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    """How far the zone is ahead of UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def moments(local: datetime, zone: ZoneInfo) -> Moments:
    """The instants at which the clock of `zone` shows `local`, which has no zone.

    Source: PEP 495. `fold=0` uses the offset before a transition, `fold=1` the one after it. Within
    a gap, `fold=0` therefore gives the later instant.
    """
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return Moments(first, None if first == second else second, second - first)
    return Moments(_transition(second, first, zone), None, first - second)


def _transition(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second between two instants at which the offset changes to that of `after`."""
    new = offset(after, zone)
    seconds = range(int((after - before).total_seconds()))
    passed = bisect_left(
        seconds, True, key=lambda second: offset(before + timedelta(seconds=second), zone) == new
    )
    return before + timedelta(seconds=passed)
