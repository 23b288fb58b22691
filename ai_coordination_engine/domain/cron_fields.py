"""Parse the fields of a cron expression. Pure.

Each field is checked on its own, so that an error names the field that is wrong. An expression of
five fields follows Unix (crontab(5)). The six fields of `cron(…)` follow AWS ("Schedule types in
EventBridge Scheduler"): weekdays count from 1, exactly one of the two day fields is `?`, and the
last field is the year.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.years import FIRST_YEAR, LAST_YEAR
from ai_coordination_engine.errors import BadUserInput

YEARS = frozenset(range(FIRST_YEAR, LAST_YEAR + 1))

_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_YEARS = re.compile(r"(?:\*|([0-9]{4})(?:-([0-9]{4}))?)(?:/([1-9][0-9]{0,2}))?")
_WEEKDAY = "([0-7]|[A-Z]{3})"
_SOME_WEEKDAYS = re.compile(rf"{_WEEKDAY}(?:-{_WEEKDAY})?(/[0-9]+)?")
_ONE_WEEKDAY = re.compile(rf"{_WEEKDAY}(L|#[1-5])")


class _Field(NamedTuple):
    name: str
    takes: str
    longest_step: int
    alone: str = ""  # a template: an expression in which only this field is not `*`


_OF_A_MONTH = "{}L (the last Friday of the month) or {}#2 (the second Monday)"
_UNIX = (
    _Field("minute", "0-59", 59, "{} * * * *"),
    _Field("hour", "0-23", 23, "* {} * * *"),
    _Field("day of month", "1-31, L (the last) or LW (the last of MON-FRI)", 31, "* * {} * *"),
    _Field("month", "1-12 or JAN-DEC", 12, "* * * {} *"),
    _Field(
        "day of week",
        f"0-7 (0 and 7 are Sunday), SUN-SAT, {_OF_A_MONTH.format(5, 1)}",
        7,
        "* * * * {}",
    ),
)
_AWS = (
    *_UNIX[:4],
    _Field(
        "day of week",
        f"1-7 (1 is Sunday), SUN-SAT, L (Saturday), {_OF_A_MONTH.format(6, 2)}",
        7,
        "* * * * {}",
    ),
    _Field("year", f"{FIRST_YEAR}-{LAST_YEAR}", LAST_YEAR - FIRST_YEAR),
)


@dataclass(frozen=True, slots=True)
class Fields:
    """An expression in which each field is valid; `unix` is the form that `cronsim` takes."""

    text: str
    unix: str
    years: frozenset[int] = YEARS

    @property
    def steps_by_minutes(self) -> bool:
        """Whether the minutes are an interval (`*`, `*/15`) and not fixed minutes (`0,30`)."""
        minutes = self.unix.split()[0]
        return minutes.startswith("*") or "/" in minutes

    def parsed(self) -> CronSim | None:
        """The parsed expression; None if no month has such a day."""
        try:
            return CronSim(self.unix, datetime(FIRST_YEAR, 1, 1))
        except CronSimError:
            return None


def unix_fields(text: str) -> Fields:
    """Parse a Unix expression such as `0 9 * * MON-FRI` or `@daily`. Raises `BadUserInput`."""
    if text.startswith("@") and text.lower() not in _NICKNAMES:
        raise wrong(text, f"a name is one of {', '.join(_NICKNAMES)}; for an interval, rate(…)")
    given = _NICKNAMES.get(text.lower(), text).upper().split()
    if len(given) == 6:
        why = "has 6 fields; it takes five: seconds are not supported, and a year takes cron(…)"
        raise wrong(text, why)
    _check_count(text, given, _UNIX)
    if "?" in text:
        raise wrong(text, "? is for cron(…); write *")
    for field, value in zip(_UNIX[:4], given[:4], strict=True):
        _check(text, field, value, value)
    return Fields(text, " ".join([*given[:4], _weekdays(text, _UNIX[4], given[4], first=0)]))


def aws_fields(text: str, inner: str) -> Fields:
    """Parse an AWS expression, `cron(inner)`; `text` is the whole of it. Raises `BadUserInput`."""
    given = inner.upper().split()
    _check_count(text, given, _AWS)
    *others, day, month, weekday, year = given
    if (day == "?") == (weekday == "?"):
        raise wrong(text, "one of day of month and day of week is ?, the other one is not")
    others += ["*" if day == "?" else day, month]
    for field, value in zip(_AWS[:4], others, strict=True):
        _check(text, field, value, value)
    weekday = "*" if weekday == "?" else _weekdays(text, _AWS[4], weekday, first=1)
    return Fields(text, " ".join([*others, weekday]), _years(text, _AWS[5], year))


def wrong(text: str, why: str) -> BadUserInput:
    """The error for an invalid expression; `why` says what is wrong with it."""
    return BadUserInput(f"schedule {text[:100]!r}: {why}.")


def _check_count(text: str, given: Sequence[str], fields: Sequence[_Field]) -> None:
    if len(given) != len(fields):
        *names, last = (field.name for field in fields)
        raise wrong(
            text,
            f"has {len(given)} field{'' if len(given) == 1 else 's'}; it takes {len(fields)}:"
            f" {', '.join(names)} and {last}",
        )


def _not_taken(text: str, field: _Field, value: str) -> BadUserInput:
    example = "*, lists (1,2), ranges (1-5) and steps (*/5)".replace("1,2", "1,3")
    return wrong(text, f"the {field.name} is {value!r}; it takes {field.takes}, {example}")


def _check(text: str, field: _Field, value: str, shown: str) -> None:
    """Raise `BadUserInput` if the library rejects this value; `shown` is what the user wrote."""
    for term in value.split(","):
        _check_term(text, field, term, shown)
    try:
        CronSim(field.alone.format(value), datetime(FIRST_YEAR, 1, 1))
    except CronSimError as error:
        raise _not_taken(text, field, shown) from error


def _check_term(text: str, field: _Field, term: str, shown: str) -> None:
    """Raise `BadUserInput` for a term that the library misreads, or rejects without a reason."""
    if field.name == "day of month" and "W" in term and term != "LW":
        why = f"the day of month is {shown!r}: W, the nearest weekday, is not supported"
        raise wrong(text, why)
    base, slash, step = term.partition("/")
    if slash and base in ("L", "LW"):
        raise _not_taken(text, field, shown)
    if step.isdigit() and int(step) not in range(1, field.longest_step + 1):
        why = f"a step is 1-{field.longest_step}, longer intervals take rate(…)"
        raise wrong(text, f"the {field.name} is {shown!r}; {why}")


def _weekdays(text: str, field: _Field, value: str, *, first: int) -> str:
    """The weekdays in the form that `cronsim` takes; `first` is the user's number of Sunday."""
    terms = [_weekday_term(term, first) for term in value.split(",")]
    if None in terms:
        raise _not_taken(text, field, value)
    unix = ",".join(filter(None, terms))
    _check(text, field, unix, value)
    return unix


def _weekday_term(term: str, first: int) -> str | None:
    """One term of the weekdays, with Unix's numbers; None if it is invalid."""
    if term.startswith("*"):
        return term
    if term == "L" and first:
        return "6"
    if one := _ONE_WEEKDAY.fullmatch(term):
        number = _weekday(one[1], first)
        return None if number is None else f"{number}{one[2]}"
    some = _SOME_WEEKDAYS.fullmatch(term)
    return _range_of_weekdays(some[1], some[2], some[3] or "", first) if some else None


def _range_of_weekdays(start: str, end: str | None, step: str, first: int) -> str | None:
    """A range of weekdays, which may end on Sunday; None if it is invalid.

    A single day with a step (`MON/2`) goes on until Saturday.
    """
    begin, last = _weekday(start, first), _weekday(end or start, first)
    if begin is None or last is None:
        return None
    if step and not end:
        last = 6
    if last == 0 < begin:
        last = 7
    return f"{begin}-{last}{step}"


def _weekday(value: str, first: int) -> int | None:
    if value in _WEEKDAYS:
        return _WEEKDAYS.index(value)
    if value.isdigit() and int(value) >= first:
        return int(value) - first
    return None


def _years(text: str, field: _Field, value: str) -> frozenset[int]:
    chosen = [_some_years(term) for term in value.split(",")]
    if not all(some and YEARS.issuperset(some) for some in chosen):
        raise _not_taken(text, field, value)
    return frozenset().union(*chosen)


def _some_years(term: str) -> range:
    """The years of one term; empty if the term is invalid."""
    found = _YEARS.fullmatch(term)
    if not found:
        return range(0)
    start, end, step = found.groups()
    first = int(start or FIRST_YEAR)
    last = first if start and not step else LAST_YEAR
    return range(first, int(end or last) + 1, int(step or 1))
