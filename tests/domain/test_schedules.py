"""When schedules fire. The times of the tables are worked out by hand, in UTC."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from uuid import UUID

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ai_coordination_engine.domain.schedules import (
    CatchUp,
    ScheduleKey,
    Timetable,
    check_number,
    jittered,
    session_uuid_of,
)
from ai_coordination_engine.domain.timezones import zone_named
from ai_coordination_engine.errors import BadUserInput

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
THURSDAY = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEY = ScheduleKey("acme", "task", "daily")
HOUR = 3600


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}Z")


def timetable(schedule: str, timezone: str | None = None, **window: datetime) -> Timetable:
    return Timetable.of(schedule, timezone=timezone, counts_from=THURSDAY, **window)


def times(table: Timetable, after: datetime, number: int) -> list[str]:
    return [each.isoformat()[:16] for each in islice(table.after(after), number)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 9 * * MON-FRI", "2026-11-27T09:00 2026-11-30T09:00"),
        ("0 9 * * 1-5", "2026-11-27T09:00 2026-11-30T09:00"),
        ("0 9 * * 0", "2026-11-29T09:00 2026-12-06T09:00"),
        ("0 9 * * 7", "2026-11-29T09:00 2026-12-06T09:00"),
        ("0 9 * * sat-sun", "2026-11-28T09:00 2026-11-29T09:00 2026-12-05T09:00"),
        ("0 9 * * MON/2", "2026-11-27T09:00 2026-11-30T09:00 2026-12-02T09:00"),
        ("0 9 * * MON#2", "2026-12-14T09:00 2027-01-11T09:00"),
        ("0 9 * * 5L", "2026-11-27T09:00 2026-12-25T09:00"),
        ("0 9 * * FRIL", "2026-11-27T09:00 2026-12-25T09:00"),
        ("0 9 L * *", "2026-11-30T09:00 2026-12-31T09:00"),
        ("0 9 LW * *", "2026-11-30T09:00 2026-12-31T09:00 2027-01-29T09:00"),
        ("0 9 13 * FRI", "2026-11-27T09:00 2026-12-04T09:00 2026-12-11T09:00 2026-12-13T09:00"),
        ("0 9 13 JAN,MAR *", "2027-01-13T09:00 2027-03-13T09:00"),
        ("10-20/5,50 12 * * *", "2026-11-26T12:10 2026-11-26T12:15 2026-11-26T12:20"),
        ("5/20 12 * * *", "2026-11-26T12:05 2026-11-26T12:25 2026-11-26T12:45 2026-11-27T12:05"),
        ("0 0 29 2 *", "2028-02-29T00:00 2032-02-29T00:00"),
        ("0 0 * 2 MON#5", "2044-02-29T00:00"),
        ("@hourly", "2026-11-26T13:00 2026-11-26T14:00"),
        ("@daily", "2026-11-27T00:00 2026-11-28T00:00"),
        ("@midnight", "2026-11-27T00:00"),
        ("@Weekly", "2026-11-29T00:00 2026-12-06T00:00"),
        ("@monthly", "2026-12-01T00:00 2027-01-01T00:00"),
        ("@yearly", "2027-01-01T00:00 2028-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
        ("cron(0 9 ? * 2-6 *)", "2026-11-27T09:00 2026-11-30T09:00"),
        ("cron(0 9 ? * MON-FRI *)", "2026-11-27T09:00 2026-11-30T09:00"),
        ("cron(0 9 ? * 1 *)", "2026-11-29T09:00 2026-12-06T09:00"),
        ("cron(0 9 ? * 7 *)", "2026-11-28T09:00 2026-12-05T09:00"),
        ("cron(0 9 ? * 2/2 *)", "2026-11-27T09:00 2026-11-30T09:00 2026-12-02T09:00"),
        ("cron(0 9 ? * L *)", "2026-11-28T09:00 2026-12-05T09:00"),
        ("cron(0 9 ? * 6L *)", "2026-11-27T09:00 2026-12-25T09:00"),
        ("cron(0 9 ? * 3#2 *)", "2026-12-08T09:00 2027-01-12T09:00"),
        ("cron(0 9 ? * MON 2028)", "2028-01-03T09:00 2028-01-10T09:00"),
        ("cron(0 9 L 1 ? 2027-2031/2)", "2027-01-31T09:00 2029-01-31T09:00 2031-01-31T09:00"),
        ("cron( 0/20 12 * * ? 2026,2199 )", "2026-11-26T12:20 2026-11-26T12:40 2026-11-27T12:00"),
        ("cron(0 9 1 1 ? */10)", "2030-01-01T09:00 2040-01-01T09:00"),
        ("cron(0 9 1 1 ? 2029/5)", "2029-01-01T09:00 2034-01-01T09:00"),
        ("rate(1 minute)", "2026-11-26T12:01 2026-11-26T12:02"),
        ("rate(5 minutes)", "2026-11-26T12:05 2026-11-26T12:10"),
        ("rate(36 hours)", "2026-11-28T00:00 2026-11-29T12:00"),
        ("Rate( 1  day )", "2026-11-27T12:00 2026-11-28T12:00"),
        ("at(2026-12-24T18:00)", "2026-12-24T18:00"),
        ("at(2026-11-26T12:00:01)", "2026-11-26T12:00"),
        ("at(2026-11-26T12:00)", ""),
        ("cron(0 9 * * ? 2025)", ""),
    ],
)
def test_an_expression_fires_at(schedule: str, expected: str) -> None:
    wanted = expected.split()
    assert times(timetable(schedule), THURSDAY, max(1, len(wanted))) == wanted


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        # Berlin: on March 29th 02:00 is 03:00 (01:00 UTC); on October 25th 03:00 is 02:00 (01:00)
        ("30 2 * * *", BERLIN, "03-28T00:00", "03-28T01:30 03-29T01:00 03-30T00:30"),
        ("0,30 2 * * *", BERLIN, "03-28T12:00", "03-29T01:00 03-30T00:00 03-30T00:30"),
        ("0 2,3 * * *", BERLIN, "03-28T12:00", "03-29T01:00 03-30T00:00 03-30T01:00"),
        ("30 2-3 * * *", BERLIN, "03-28T12:00", "03-29T01:00 03-29T01:30 03-30T00:30"),
        ("*/15 2 * * *", BERLIN, "03-28T12:00", "03-29T01:00 03-30T00:00 03-30T00:15"),
        ("0 */2 * * *", BERLIN, "03-28T22:30", "03-28T23:00 03-29T01:00 03-29T02:00"),
        ("0 * * * *", BERLIN, "03-28T23:30", "03-29T00:00 03-29T01:00 03-29T02:00"),
        ("7 * * * *", BERLIN, "03-28T23:30", "03-29T00:07 03-29T01:07 03-29T02:07"),
        ("*/30 * * * *", BERLIN, "03-29T00:00", "03-29T00:30 03-29T01:00 03-29T01:30"),
        ("30 2 * * *", BERLIN, "10-24T12:00", "10-25T00:30 10-26T01:30"),
        ("30 2 * * *", BERLIN, "10-25T00:30", "10-26T01:30"),
        ("0 */2 * * *", BERLIN, "10-24T23:30", "10-25T00:00 10-25T03:00"),
        ("0 * * * *", BERLIN, "10-24T23:30", "10-25T00:00 10-25T01:00 10-25T02:00"),
        (
            "*/30 1-2 * * *",
            BERLIN,
            "10-24T22:30",
            "10-24T23:00 10-24T23:30 10-25T00:00 10-25T00:30 10-25T01:00 10-25T01:30 10-26T00:00",
        ),
        ("*/30 * * * *", BERLIN, "10-25T00:30", "10-25T01:00 10-25T01:30 10-25T02:00"),
        ("cron(30 2 ? * SUN *)", BERLIN, "03-28T12:00", "03-29T01:00 04-05T00:30"),
        ("at(2026-03-29T02:30)", BERLIN, "03-28T12:00", "03-29T01:00"),
        ("at(2026-10-25T02:30)", BERLIN, "03-28T12:00", "10-25T00:30"),
        ("rate(1 day)", BERLIN, "03-28T12:00", "03-29T12:00 03-30T12:00"),
        # New York: on March 8th 02:00 is 03:00 (07:00 UTC); on November 1st 02:00 is 01:00 (06:00)
        ("30 2 * * *", NEW_YORK, "03-07T12:00", "03-08T07:00 03-09T06:30"),
        ("*/20 * * * *", NEW_YORK, "03-08T06:20", "03-08T06:40 03-08T07:00 03-08T07:20"),
        ("30 1 * * *", NEW_YORK, "10-31T12:00", "11-01T05:30 11-02T06:30"),
        ("30 * * * *", NEW_YORK, "11-01T05:00", "11-01T05:30 11-01T06:30 11-01T07:30"),
        (
            "*/30 * * * *",
            NEW_YORK,
            "11-01T05:00",
            "11-01T05:30 11-01T06:00 11-01T06:30 11-01T07:00",
        ),
        # Lord Howe: on October 4th 02:00 is 02:30 (15:30 UTC); on April 5th 02:00 is 01:30 (15:00)
        ("15 2 * * *", LORD_HOWE, "10-03T00:00", "10-03T15:30 10-04T15:15"),
        ("0 * * * *", LORD_HOWE, "10-03T14:00", "10-03T14:30 10-03T15:30 10-03T16:00"),
        ("*/30 * * * *", LORD_HOWE, "10-03T14:59", "10-03T15:00 10-03T15:30 10-03T16:00"),
        ("45 1 * * *", LORD_HOWE, "04-04T00:00", "04-04T14:45 04-05T15:15"),
        ("45 * * * *", LORD_HOWE, "04-04T14:00", "04-04T14:45 04-04T16:15"),
        (
            "*/15 * * * *",
            LORD_HOWE,
            "04-04T14:30",
            "04-04T14:45 04-04T15:00 04-04T15:15 04-04T15:30",
        ),
        # Beirut's gap is at midnight
        ("0 0 * * *", "Asia/Beirut", "03-28T12:00", "03-28T22:00 03-29T21:00"),
    ],
)
def test_the_clock_changes(schedule: str, zone: str, after: str, expected: str) -> None:
    wanted = [f"2026-{each}" for each in expected.split()]
    assert times(timetable(schedule, zone), at(f"2026-{after}"), len(wanted)) == wanted


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("61 9 * * *", "the minute is '61'; it takes 0-59"),
        ("-1 9 * * *", "the minute is '-1'; it takes 0-59"),
        ("30-10 9 * * *", "the minute is '30-10'; it takes 0-59"),
        ("*/0 9 * * *", r"the minute is '\*/0'; a step is 1-59"),
        ("*/90 * * * *", r"the minute is '\*/90'; a step is 1-59, longer intervals take rate"),
        ("1,,2 9 * * *", "the minute is '1,,2'; it takes 0-59"),
        ("0 24 * * *", "the hour is '24'; it takes 0-23"),
        ("0 9 0 * *", "the day of month is '0'; it takes 1-31"),
        ("0 9 32 * *", "the day of month is '32'; it takes 1-31"),
        ("0 9 L/2 * *", "the day of month is 'L/2'; it takes 1-31"),
        ("0 9 15W * *", "the day of month is '15W': W, the nearest weekday, is not supported"),
        ("0 9 1,W * *", "the day of month is '1,W': W, the nearest weekday, is not supported"),
        ("0 9 * 13 *", "the month is '13'; it takes 1-12 or JAN-DEC"),
        ("0 9 * FOO *", "the month is 'FOO'; it takes 1-12 or JAN-DEC"),
        ("0 9 * * 8", "the day of week is '8'; it takes 0-7"),
        ("0 9 * * FUN", "the day of week is 'FUN'; it takes 0-7"),
        ("0 9 * * FRI-MON", "the day of week is 'FRI-MON'; it takes 0-7"),
        ("0 9 * * MON#6", "the day of week is 'MON#6'; it takes 0-7"),
        ("0 9 * * L", "the day of week is 'L'; it takes 0-7"),
        ("0 9 ? * MON", r"\? is for cron"),
        ("* * * *", "has 4 fields; it takes 5: minute, hour, day of month, month and day of week"),
        ("", "has 0 fields; it takes 5"),
        ("soon", "has 1 field; it takes 5"),
        ("0 0 9 * * *", "has 6 fields; it takes five: seconds are not supported"),
        ("@reboot", "a name is one of @hourly, @daily"),
        ("@every 5m", r"for an interval, rate\(…\)"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "names a time zone; give that as timezone"),
        ("٣ 9 * * *", "characters beyond ASCII"),
        ("0," * 200 + "0 9 * * *", "has 409 characters; it takes at most 256"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("cron(0 0 29 2 ? 2027)", "never fires"),
        ("cron(* * * *)", "has 4 fields; it takes 6: .* and year"),
        ("cron(0 9 * * MON *)", r"one of day of month and day of week is \?"),
        ("cron(0 9 ? * ? *)", r"one of day of month and day of week is \?"),
        ("cron(0 9 ? * 0 *)", r"the day of week is '0'; it takes 1-7 \(1 is Sunday\)"),
        ("cron(0 9 ? * 8 *)", "the day of week is '8'; it takes 1-7"),
        ("cron(0 9 3W * ? *)", "W, the nearest weekday, is not supported"),
        ("cron(0 9 * * ? 1969)", "the year is '1969'; it takes 1970-2199"),
        ("cron(0 9 * * ? 2030-2028)", "the year is '2030-2028'; it takes 1970-2199"),
        ("cron(0 9 * * ? 2026/0)", "the year is '2026/0'; it takes 1970-2199"),
        ("cron(0 9 * * ? *-2030)", r"the year is '\*-2030'; it takes 1970-2199"),
        ("cron(0 9 * * ? 0)", "the year is '0'; it takes 1970-2199"),
        ("cron(0 9 * * ? MMXX)", "the year is 'MMXX'; it takes 1970-2199"),
        ("rate(0 minutes)", "the rate is '0 minutes'; it takes a whole number from 1"),
        ("rate(-1 minutes)", "the rate is '-1 minutes'"),
        ("rate(1.5 hours)", "the rate is '1.5 hours'"),
        ("rate(5)", "the rate is '5'"),
        ("rate(5 seconds)", "the rate is '5 seconds'; it takes .* minutes, hours or days"),
        ("rate(1 minutes)", "the unit is 'minutes'; after 1 it is 'minute'"),
        ("rate(5 minute)", "the unit is 'minute'; after 5 it is 'minutes'"),
        ("rate(999999999 days)", "longer than 36500 days"),
        (f"rate({10**14} days)", "longer than 36500 days"),
        (f"rate({10**14} day)", f"the unit is 'day'; after {10**14} it is 'days'"),
        ("at(2020)", r"the time is '2020'; it takes a local time .* at\(2026-12-24T18:00\)"),
        ("at(2026-12-24T18:00Z)", "the time is '2026-12-24T18:00Z'; it takes a local time"),
        ("at(2026-02-30T10:00)", "there is no 2026-02-30T10:00"),
        ("at(1969-01-01T00:00)", "the year is 1969; it takes 1970-2199"),
        ("every(5 minutes)", "has 2 fields; it takes 5"),
    ],
)
def test_a_wrong_expression_names_the_field_and_what_it_takes(schedule: str, message: str) -> None:
    with pytest.raises(BadUserInput, match=message) as error:
        timetable(schedule)
    assert error.value.message.startswith(f"schedule {schedule[:100]!r}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Mars/Olympus", "Europe/Berlin or UTC."),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Europe/Berlim", "did you mean Europe/Berlin"),
        ("Europe", "Berlin or UTC."),
        ("", "Berlin or UTC."),
        ("../etc/passwd", "Berlin or UTC."),
        ("+02:00", "Berlin or UTC."),
        ("localtime", "Berlin or UTC."),
    ],
)
def test_a_timezone_is_an_iana_name(name: str, hint: str) -> None:
    with pytest.raises(BadUserInput, match=hint) as error:
        timetable("@daily", name)
    assert error.value.message.startswith(f"timezone {name!r} is unknown")


def test_what_comes_next_is_shown_with_the_offset_of_the_zone() -> None:
    table = timetable("30 2 * * *", BERLIN)
    assert table.upcoming(at("2026-03-28T00:00"), 2) == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
    ]
    assert timetable("@daily").upcoming(THURSDAY, 1) == ["2026-11-27T00:00:00+00:00"]
    assert [len(table.upcoming(THURSDAY, limit)) for limit in (-1, 0, 100, 10_000)] == [
        0,
        0,
        100,
        100,
    ]


def test_a_window_includes_both_its_ends() -> None:
    window = {"start_at": at("2026-12-01T09:00"), "end_at": at("2026-12-03T09:00")}
    table = timetable("0 9 * * *", **window)
    days = ["2026-12-01T09:00", "2026-12-02T09:00", "2026-12-03T09:00"]
    assert times(table, THURSDAY, 9) == days
    assert times(table, at("2026-12-01T09:00"), 9) == days[1:]
    assert table.next_after(at("2026-12-03T09:00")) is None
    assert table.count(THURSDAY, at("2027-01-01T00:00")) == 3
    with pytest.raises(BadUserInput, match=r"endAt .* is before startAt"):
        timetable("0 9 * * *", start_at=window["end_at"], end_at=window["start_at"])


def test_a_rate_counts_from_its_start_or_else_from_the_second_of_its_creation() -> None:
    started = timetable("rate(7 hours)", start_at=at("2026-12-01T10:30"))
    assert times(started, THURSDAY, 2) == ["2026-12-01T10:30", "2026-12-01T17:30"]
    created = Timetable.of("rate(7 hours)", counts_from=THURSDAY.replace(second=3, microsecond=9))
    assert created.next_after(THURSDAY) == THURSDAY.replace(second=3)
    assert created.next_after(THURSDAY.replace(second=3, microsecond=9)) == at(
        "2026-11-26T19:00:03"
    )


def test_instants_beyond_the_horizon_are_no_fault() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for schedule in ("@yearly", "rate(3650 days)", "at(2199-12-31T00:00)"):
        table = timetable(schedule, start_at=first, end_at=last)
        assert table.next_after(last) is None
        assert table.next_after(first)
        assert table.count(last, first) == 0
        assert table.count(first, last) == sum(1 for _ in table.after(first))


DAYS_OUT = at("2026-11-26T09:30")  # after three days of outage since `LAST`
LAST = at("2026-11-23T09:00")


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (0, CatchUp(at("2026-11-26T10:00"), 72)),
        (60, CatchUp(at("2026-11-26T10:00"), 72)),
        (1799, CatchUp(at("2026-11-26T10:00"), 72)),
        (1800, CatchUp(at("2026-11-26T09:00"), 71)),
        (24 * HOUR, CatchUp(at("2026-11-25T10:00"), 48)),
        (72 * HOUR, CatchUp(at("2026-11-23T10:00"), 0)),
        (366 * 24 * HOUR, CatchUp(at("2026-11-23T10:00"), 0)),
    ],
)
def test_times_within_the_window_are_made_up_for_and_older_ones_are_counted(
    window: int, expected: CatchUp
) -> None:
    assert timetable("0 * * * *").catch_up(LAST, DAYS_OUT, window) == expected


def test_making_up_ends_with_the_schedule() -> None:
    table = timetable("0 * * * *", end_at=at("2026-11-24T09:00"))
    assert table.catch_up(LAST, DAYS_OUT, 60) == CatchUp(None, 24)


def test_years_of_outage_are_counted_and_not_walked_through() -> None:
    table = timetable("* * * * *", BERLIN)
    now = at("2031-11-23T09:00")
    assert table.catch_up(LAST, now, 60) == CatchUp(
        at("2031-11-23T08:59"), (now - LAST) // timedelta(minutes=1) - 2
    )


def test_a_backfill_has_each_time_of_a_range_of_the_past() -> None:
    table = timetable("rate(12 hours)")
    first = at("2026-11-24T12:00")
    assert [each.isoformat()[5:16] for each in table.backfill(first, THURSDAY, THURSDAY)] == [
        "11-24T12:00",
        "11-25T00:00",
        "11-25T12:00",
        "11-26T00:00",
        "11-26T12:00",
    ]
    minutes = timetable("* * * * *")
    most = THURSDAY - timedelta(minutes=999)
    assert len(minutes.backfill(most, THURSDAY, THURSDAY)) == 1000
    with pytest.raises(BadUserInput, match="has 1001 times; a backfill takes at most 1000"):
        minutes.backfill(most - timedelta(minutes=1), THURSDAY, THURSDAY)
    for wrong in ((THURSDAY, first), (first, THURSDAY + timedelta(seconds=1))):
        with pytest.raises(BadUserInput, match="a range of the past"):
            table.backfill(*wrong, THURSDAY)


@pytest.mark.parametrize("offset", [-14, 0, 14])
def test_a_backfill_may_begin_before_all_times(offset: int) -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=offset)))
    last = datetime(1970, 1, 1, 2, tzinfo=UTC)
    assert timetable("@hourly").backfill(first, last, last) == [
        datetime(1970, 1, 1, hour, tzinfo=UTC) for hour in (1, 2)
    ]


def test_jitter_is_the_same_for_the_same_time_and_spreads_schedules() -> None:
    others = [ScheduleKey("acme", "task", f"s{number}") for number in range(200)]
    delays = [(jittered(key, THURSDAY, 9) - THURSDAY).total_seconds() for key in others]
    assert set(delays) == set(range(10))
    assert delays == [(jittered(key, THURSDAY, 9) - THURSDAY).total_seconds() for key in others]
    assert jittered(KEY, THURSDAY, 0) == THURSDAY


def test_each_time_of_each_schedule_has_its_session() -> None:
    keys = [KEY, *(KEY._replace(**{name: "other"}) for name in KEY._fields)]
    keys += [ScheduleKey("a", "b", "c\nd"), ScheduleKey("a", "b\nc", "d")]
    made = {
        session_uuid_of(key, THURSDAY + timedelta(seconds=pause))
        for key in keys
        for pause in (0, 1)
    }
    assert len(made) == 2 * len(keys)
    berlin = THURSDAY.astimezone(zone_named(BERLIN))
    assert session_uuid_of(KEY, berlin) == session_uuid_of(KEY, THURSDAY)
    uuid = UUID(session_uuid_of(KEY, THURSDAY))
    assert (uuid.version, uuid.int >> 80) == (7, int(THURSDAY.timestamp() * 1000))


def test_numbers_have_limits() -> None:
    assert check_number("jitterSeconds", 60, 0, 60) == 60
    with pytest.raises(BadUserInput, match="jitterSeconds is 61; it takes 0 to 60"):
        check_number("jitterSeconds", 61, 0, 60)


ZONES = st.sampled_from(
    ["UTC", BERLIN, NEW_YORK, LORD_HOWE, "Asia/Beirut", "Africa/Casablanca", "Pacific/Apia"]
)
INSTANTS = st.datetimes(datetime(2008, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def field(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.lists(numbers, min_size=2, max_size=4).map(lambda some: ",".join(map(str, some))),
        st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}"),
        st.integers(1, most).map(lambda step: f"*/{step}"),
    )


CRONS = st.tuples(field(0, 59), field(0, 23), st.just("*"), st.just("*"), field(0, 6)).map(" ".join)
SCHEDULES = st.one_of(CRONS, st.integers(2, 5000).map(lambda number: f"rate({number} minutes)"))


@settings(deadline=None)
@given(SCHEDULES, ZONES, INSTANTS)
def test_times_increase_and_go_on_from_each_of_them(
    schedule: str, zone: str, after: datetime
) -> None:
    table = timetable(schedule, zone)
    found = list(islice(table.after(after), 40))
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    assert [table.next_after(each) for each in found[:-1]] == found[1:]
    assert table.count(after, found[-1]) == 40


PIECES = st.sampled_from(
    [*"0123456789*/-,LW#?@ T:()", "MON", "SUN", "JAN", "cron(", "rate(", "at("]
)
FIELDS = st.lists(PIECES, max_size=4).map("".join)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(max_size=20),
        st.lists(FIELDS, max_size=7).map(" ".join),
        st.lists(FIELDS, min_size=6, max_size=6).map(lambda six: f"cron({' '.join(six)})"),
        FIELDS.map(lambda rate: f"rate({rate} days)"),
        FIELDS.map(lambda time: f"at(2026-12-{time})"),
    )
)
def test_any_text_is_an_expression_or_wrong_input(schedule: str) -> None:
    try:
        table = timetable(schedule)
    except BadUserInput:
        return
    assert table.next_after(at("1970-01-01T00:00")) is not None


CHANGES = st.sampled_from(
    [
        (BERLIN, at("2026-03-29T01:00")),
        (BERLIN, at("2026-10-25T01:00")),
        (NEW_YORK, at("2026-03-08T07:00")),
        (NEW_YORK, at("2026-11-01T06:00")),
        (LORD_HOWE, at("2026-10-03T15:30")),
        (LORD_HOWE, at("2026-04-04T15:00")),
        ("Asia/Beirut", at("2026-03-28T22:00")),
        ("Pacific/Apia", at("2011-12-30T10:00")),
    ]
)


@settings(deadline=None)
@example("30 2 * * *", (BERLIN, at("2026-10-25T01:00")), 0, 1)  # the second 02:07 to 03:07
@given(CRONS, CHANGES, st.integers(-36, 36), st.integers(1, 72))
def test_counting_agrees_with_going_through_a_change_of_the_clock(
    schedule: str, change: tuple[str, datetime], hours: int, length: int
) -> None:
    zone, instant = change
    after = instant + timedelta(hours=hours, minutes=7)
    until = after + timedelta(hours=length)
    table = timetable(schedule, zone)
    found = [each for each in islice(table.after(after), 60 * length + 1) if each <= until]
    assert table.count(after, until) == len(found)
    assert found == sorted(set(found))
    for each in found[:5]:
        assert table.next_after(each - timedelta(microseconds=1)) == each


@settings(deadline=None)
@given(st.integers(0, 59), st.sets(st.integers(0, 23), min_size=1, max_size=4), CHANGES)
def test_times_of_the_clock_are_those_of_the_library(
    minute: int, hours: set[int], change: tuple[str, datetime]
) -> None:
    zone, instant = change
    schedule = f"{minute} {','.join(map(str, hours))} * * *"
    start = (instant - timedelta(days=2)).astimezone(zone_named(zone))
    theirs = [each.astimezone(UTC) for each in islice(CronSim(schedule, start), 12)]
    ours = list(islice(timetable(schedule, zone).after(start), 12))
    assert ours[:8] == [each for each, _ in zip(dict.fromkeys(theirs), range(8), strict=False)]
