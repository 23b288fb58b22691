"""What becomes of a time beside the sessions before it, after an outage, and with a task that
cannot start.
"""

from datetime import datetime, timedelta

import pytest

from ai_coordination_engine.domain.overlaps import MAX_BUFFERED
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling.by_hand import run_now
from ai_coordination_engine.engine.scheduling.firing import fire, give_up
from ai_coordination_engine.store.models import Session, Task, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK
from tests.kit.controls import cancel, pause
from tests.kit.fakes import failing
from tests.kit.schedules import (
    as_is,
    changed,
    code,
    counts,
    fire_next,
    message,
    minutes,
    scheduled,
    sessions,
    uuid_at,
    work,
)
from tests.kit.stage import TENANT, Stage, stage_of

DAY = 86_400
POLICIES = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def task(stage: Stage) -> tuple[str, str]:
    return stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}})


def at(schedule: TaskSchedule, number: int) -> str:
    """The uuid of the session of its `number`-th time, every minute."""
    return uuid_at(schedule, schedule.next_fire_at + 60 * number)


def in_minutes(stage: Stage, count: int) -> datetime:
    return stage.clock.now() + timedelta(minutes=count)


# Overlap


@pytest.mark.parametrize("before", ["running", "paused"])
@pytest.mark.parametrize(
    ("policy", "expected", "buffered", "open_ones", "said"),
    [
        ("skip", (1, 2, 0), [], [0], "OVERLAP_SKIPPED"),
        ("buffer_one", (1, 1, 0), [1], [0], "OVERLAP_SKIPPED"),
        ("buffer_all", (1, 0, 0), [1, 2], [0], "OVERLAP_BUFFERED"),
        ("cancel_other", (3, 0, 0), [], [2], None),
        ("allow_all", (3, 0, 0), [], [0, 1, 2], None),
    ],
)
def test_times_beside_a_session_that_has_not_ended(
    stage: Stage,
    task: tuple[str, str],
    before: str,
    policy: str,
    expected: tuple[int, int, int],
    buffered: list[int],
    open_ones: list[int],
    said: str | None,
) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)", overlap_policy=policy)
    fire_next(stage, schedule)
    work(stage)
    (session,) = sessions(stage, schedule)
    if before == "paused":
        pause(stage, session)
    for _ in range(2):
        now = fire_next(stage, schedule)
        work(stage)
    assert (counts(now), code(now)) == (expected, said)
    first = schedule.next_fire_at
    assert sorted(now.buffered or ()) == [first + 60 * number for number in buffered]
    assert now.running == {at(schedule, number) for number in open_ones}
    still_open = {
        each.session_uuid for each in sessions(stage, schedule) if each.status != "cancelled"
    }
    assert still_open == now.running


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("end", ["failed", "cancelled", "completed", "deleted"])
def test_a_session_that_has_ended_holds_no_time_back(
    stage: Stage, task: tuple[str, str], policy: str, end: str
) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)", overlap_policy=policy)
    fire_next(stage, schedule)
    (session,) = sessions(stage, schedule)
    table = stage.looking.tables[Session]
    if end == "deleted":
        table.delete(session.partition_key, session.key, None)
    else:
        table.update(session.partition_key, session.key, [Session.status.set(end)], None)
    now = fire_next(stage, schedule)
    assert counts(now) == (2, 0, 0)
    kept = {at(schedule, 0), at(schedule, 1)} if policy == "allow_all" else {at(schedule, 1)}
    assert (now.running, now.buffered) == (kept, None)


def test_a_buffered_time_starts_once_nothing_runs_beside_the_next_ones(
    stage: Stage, task: tuple[str, str]
) -> None:
    """The schedule stays due: the sweep has somebody look, and the next times fire on time."""
    schedule = scheduled(stage, task, "rate(3 minutes)", overlap_policy="buffer_one")
    first = schedule.next_fire_at
    stage.clock.advance(20)
    minutes(stage, 8)
    now = as_is(stage, schedule)
    assert (now.buffered, now.next_fire_at) == ({first + 180}, first + 360)
    assert now.fire_at < stage.clock.now().timestamp()
    cancel(stage, sessions(stage, schedule)[0])
    minutes(stage, 1)
    now = as_is(stage, schedule)
    assert now.running == {uuid_at(schedule, first + 180)}
    assert (now.buffered, now.next_fire_at) == ({first + 360}, first + 540)
    assert (counts(now), code(now)) == ((2, 0, 0), "OVERLAP_BUFFERED")


def test_what_is_buffered_starts_after_the_last_time_too(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(
        stage, task, "rate(1 minute)", overlap_policy="buffer_all", end_at=in_minutes(stage, 2)
    )
    minutes(stage, 4)
    now = as_is(stage, schedule)
    assert (now.status, now.next_fire_at, len(now.buffered)) == ("active", None, 1)
    cancel(stage, sessions(stage, schedule)[0])
    minutes(stage, 1)
    now = as_is(stage, schedule)
    assert (now.status, code(now), now.fire) == ("completed", "ENDED", None)
    assert now.running == {at(schedule, 1)}


def test_no_more_than_a_hundred_times_are_buffered(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)", overlap_policy="buffer_all")
    fire_next(stage, schedule)
    first = int(schedule.next_fire_at)
    many = {first - 60 * number for number in range(MAX_BUFFERED)}
    changed(stage, schedule, buffered=many)
    now = fire_next(stage, schedule)
    assert (counts(now), now.buffered, code(now)) == ((1, 1, 0), many, "OVERLAP_SKIPPED")


# Failures


def test_a_schedule_is_paused_when_the_session_before_has_failed(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = failing("no")
    task = stage.define({"a": ""})
    schedule = scheduled(stage, task, "rate(1 minute)", pause_on_failure=True)
    minutes(stage, 3)
    now = as_is(stage, schedule)
    (session,) = sessions(stage, schedule)
    assert (now.status, code(now), counts(now)) == ("paused", "PAUSED_AFTER_FAILURE", (1, 0, 0))
    assert session.session_uuid in now.why["message"]
    assert (now.next_fire_at, now.fire_at, now.fire, now.running) == (None, None, None, None)
    stage.runtime.behaviours.clear()
    again = changed(stage, now, status="active", next_fire_at=schedule.next_fire_at + 600)
    assert counts(fire_next(stage, again)) == (2, 0, 0)


@pytest.mark.parametrize("pauses", [False, True])
def test_a_task_that_cannot_start_says_why(stage: Stage, pauses: bool) -> None:
    task = stage.define({"a": ""})
    schedule = scheduled(stage, task, "rate(1 minute)", pause_on_failure=pauses or None)
    broken = [Task.subtask_queries.set([{"agent_uuid": "gone"}])]
    stage.app.records.table(TASK).update("acme", task, broken, Task.task_name.exists())
    now = fire_next(stage, schedule)
    assert sessions(stage, schedule) == []
    expected = ("paused", "PAUSED_AFTER_FAILURE") if pauses else ("active", "TASK_INVALID")
    assert ((now.status, code(now)), counts(now)) == (expected, (0, 0, 0))
    assert "names the agent 'gone'" in now.why["message"]


def test_a_message_that_is_given_up_is_a_time_that_was_missed(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)")
    give_up(stage.app, message(schedule), "ValueError")
    now = as_is(stage, schedule)
    assert (counts(now), code(now)) == ((0, 0, 1), "MISSED")
    assert now.next_fire_at == schedule.next_fire_at + 60
    assert now.why["message"] == "Its message is in the dead-letter queue: ValueError"
    give_up(stage.app, message(schedule), "ValueError")
    assert as_is(stage, schedule).missed_count == 1


# After an outage


@pytest.mark.parametrize(
    ("window", "made_up_for"), [(None, 0), (0, 0), (DAY, 2), (2 * DAY, 4), (7 * DAY, 6)]
)
def test_three_days_of_outage(stage: Stage, window: int | None, made_up_for: int) -> None:
    """Twice a day: at 21:00 and 09:00, and it is 09:00 and five minutes."""
    task = stage.define({"a": ""})
    given = {"catchup_window_seconds": window, "overlap_policy": "allow_all"}
    schedule = scheduled(stage, task, "0 9,21 * * *", **given)
    stage.clock.advance(3 * DAY + 300)
    minutes(stage, 3)
    now = as_is(stage, schedule)
    assert counts(now) == (made_up_for, 0, 6 - made_up_for)
    later = [schedule.next_fire_at + DAY / 2 * number for number in range(6)]
    started = {each.session_uuid for each in sessions(stage, schedule)}
    assert started == {uuid_at(schedule, each) for each in later[6 - made_up_for :]}
    assert now.next_fire_at == schedule.next_fire_at + 3 * DAY
    assert code(now) == (None if made_up_for else "MISSED")


@pytest.mark.parametrize("window", [0, 30])
def test_what_was_sent_in_time_is_not_missed_however_late_it_comes(
    stage: Stage, task: tuple[str, str], window: int
) -> None:
    schedule = scheduled(stage, task, "rate(1 hour)", catchup_window_seconds=window)
    stage.clock.advance(2 * 3600 + 100)
    for sent_at, expected in ((-60, (1, 0, 0)), (4, (2, 0, 0)), (window + 6, (2, 0, 1))):
        now = as_is(stage, schedule)
        stage.app.schedules.sessions = lambda schedule: []  # type: ignore[method-assign]
        fire(stage.app, message(now, now.next_fire_at + sent_at))
        assert counts(as_is(stage, schedule)) == expected


def test_sessions_by_hand_are_among_so_many(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)", max_runs=2, overlap_policy="allow_all")
    fire_next(stage, schedule)
    run_now(stage.app, TENANT, schedule.key)
    now = fire_next(stage, schedule)
    assert (now.status, counts(now), code(now)) == ("completed", (2, 0, 0), "ENDED")
    assert len(sessions(stage, schedule)) == 2


def test_a_schedule_ends_after_so_many_sessions(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "rate(1 minute)", max_runs=2, overlap_policy="allow_all")
    minutes(stage, 5)
    now = as_is(stage, schedule)
    assert (now.status, counts(now), code(now)) == ("completed", (2, 0, 0), "ENDED")
    assert (now.next_fire_at, now.fire_at, now.fire) == (None, None, None)
