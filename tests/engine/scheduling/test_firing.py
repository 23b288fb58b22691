"""Firing: one session for each time, whoever dies or does it twice, and what the schedule says
then.
"""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.engine.scheduling.firing import fire
from ai_coordination_engine.engine.step import Busy
from ai_coordination_engine.store.models import Session, Task, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK, TASK_SCHEDULE
from tests.kit.controls import cancel
from tests.kit.crashes import Crash, tripping
from tests.kit.promises import check_promises
from tests.kit.schedules import (
    as_is,
    changed,
    counted,
    counts,
    fire_next,
    message,
    minutes,
    scheduled,
    sessions,
    times,
    uuid_at,
)
from tests.kit.stage import TENANT, Stage, stage_of

DAY = 86_400
GRAPH = {"a": "", "b": "a"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def task(stage: Stage) -> tuple[str, str]:
    return stage.define(GRAPH)


# A time comes


def test_each_time_starts_a_session_with_what_the_schedule_says(
    stage: Stage, task: tuple[str, str]
) -> None:
    given = {"task_query": "news of today", "input_files": [{"name": "f"}], "user_id": "ann"}
    schedule = scheduled(stage, task, "*/5 * * * *", **given)
    minutes(stage, 11)
    assert times(stage, schedule) == ["09:05", "09:10"]
    for session in sessions(stage, schedule):
        check_promises(stage, session)
        assert {name: getattr(session, name) for name in given} == given
    now = as_is(stage, schedule)
    assert counts(now) == (2, 0, 0)
    at = stage.clock.now().replace(minute=10, second=0, microsecond=0)
    assert (now.last_fire_at, now.next_fire_at) == (at.timestamp(), at.timestamp() + 300)
    assert now.recent == {each.session_uuid for each in sessions(stage, schedule)}
    assert now.why is None


def test_what_is_due_within_the_coming_minute_fires_to_the_second(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "7 9 * * *")
    stage.clock.advance(5 * 60 + 12.5)
    assert send_due(stage.app) == 0  # 107.5 seconds before
    stage.clock.advance(60)
    assert send_due(stage.app) == 1
    assert stage.queue.next_visible_in() == 47.5  # which SQS rounds up
    stage.drain()
    (session,) = sessions(stage, schedule)
    assert session.created_at.strftime("%H:%M:%S") == "09:07:00"


def test_jitter_delays_a_time_and_names_it_as_it_was(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "*/30 * * * *", jitter_seconds=600, catchup_window_seconds=0)
    delay = schedule.fire_at - schedule.next_fire_at
    assert 0 < delay <= 600
    minutes(stage, 59)
    (session,) = sessions(stage, schedule)
    begun = session.created_at.timestamp() - schedule.fire_at
    assert (session.session_uuid, 0 <= begun < 0.1) == (
        uuid_at(schedule, schedule.next_fire_at),
        True,
    )


def test_a_firing_costs_three_calls_beside_the_start(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "*/5 * * * *")
    uuid = "00000000-0000-7000-8000-000000000000"
    with counted(stage) as start:
        stage.start(task, session_uuid=uuid)
    stage.drain()
    for beyond in (
        {"GetItem": 1, "UpdateItem": 1},
        {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1},
    ):
        with counted(stage) as calls:
            fire_next(stage, schedule)
        extra = {name: calls[name] - start.get(name, 0) for name in calls}
        assert {name: count for name, count in extra.items() if count} == beyond
        stage.drain()
    fire_next(stage, schedule)
    with counted(stage) as calls:  # one runs: the time is skipped
        fire_next(stage, schedule)
    assert calls == {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1}


def test_an_idle_sweep_asks_for_what_is_due_alone(stage: Stage, task: tuple[str, str]) -> None:
    for _ in range(3):
        scheduled(stage, task, "0 12 * * *")
    with counted(stage) as calls:
        assert send_due(stage.app) == 0
    assert calls == {"Query": 2}


def test_what_is_due_is_sent_page_by_page_to_the_last(
    stage: Stage, task: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are due, and some that wait before all of them: a page has two of a shard."""
    made = [scheduled(stage, task, "*/5 * * * *") for _ in range(9)]
    for each in made[:4]:
        changed(stage, each, buffered={int(each.next_fire_at) - 300}, fire_at=1)
    stage.clock.advance(270)
    query = stage.app.records.table(TASK_SCHEDULE).query_index

    def in_twos(index: str, shard: str, *, after: Any, range_condition: Any) -> Any:
        found, _ = query(index, shard, range_condition=range_condition)
        begun = after or 0
        return found[begun : begun + 2], begun + 2 if len(found) > begun + 2 else None

    monkeypatch.setattr(stage.app.schedules._schedules, "query_index", in_twos)
    assert send_due(stage.app) == 9
    assert {each.schedule_uuid for each in stage.queue.fires} == {
        each.schedule_uuid for each in made
    }


# Once


@pytest.mark.parametrize(
    ("policy", "expected", "statuses"),
    [
        ("skip", (1, 2, 0), ["dispatched"]),
        ("buffer_all", (3, 0, 0), ["cancelled", "cancelled", "dispatched"]),
        ("cancel_other", (3, 0, 0), ["cancelled", "cancelled", "dispatched"]),
        ("allow_all", (3, 0, 0), ["dispatched"] * 3),
    ],
)
def test_whoever_dies_anywhere_leaves_one_session_for_each_time(
    stage: Stage, policy: str, expected: tuple[int, int, int], statuses: list[str]
) -> None:
    """Three times come while the session of the first one waits for a person. Where the others are
    buffered, it is cancelled then, and so is the next one.
    """
    point, task = 1, stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}})
    while True:
        stage.renew()
        stage.clock.begin()
        end = stage.clock.now() + timedelta(minutes=3)
        schedule = scheduled(stage, task, "rate(1 minute)", overlap_policy=policy, end_at=end)
        with tripping(stage, point) as tripwire:
            for _ in range(4):
                stage.until_it_succeeds(lambda: minutes(stage))
            while as_is(stage, schedule).buffered:
                uuid = max(as_is(stage, schedule).running)
                session = Session(task[0], uuid, partition_key=TENANT)
                stage.until_it_succeeds(partial(cancel, stage, session))
                stage.until_it_succeeds(lambda: minutes(stage))
        now = as_is(stage, schedule)
        assert (counts(now), now.status, now.buffered) == (expected, "completed", None)
        assert len(now.recent) == len(statuses)
        mine = [each for each in sessions(stage, schedule) if each.session_uuid in now.recent]
        assert [stage.status(each) for each in mine] == statuses
        assert now.recent == {
            uuid_at(schedule, schedule.next_fire_at + 60 * number) for number in range(expected[0])
        }
        if not tripwire.trips:
            return
        point += 7


def test_two_sweeps_and_two_workers_start_one_session(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "5 9 * * *")
    stage.clock.advance(299)
    assert [send_due(stage.app), send_due(stage.app)] == [1, 1]
    first, second = stage.queue.fires
    deal, again = stage.app.schedules.advance, []

    def overtaken(*given: Any) -> Any:
        if not again:
            again.append(True)
            fire(stage.app, second)
        return deal(*given)

    stage.app.schedules.advance = overtaken  # type: ignore[method-assign]
    fire(stage.app, first)
    assert len(sessions(stage, schedule)) == 1
    assert counts(as_is(stage, schedule)) == (1, 0, 0)
    stage.drain()
    assert counts(as_is(stage, schedule)) == (1, 0, 0)


@pytest.mark.parametrize(
    "change",
    [{"status": "paused"}, {"revision": "second"}, {"status": "completed"}, {"next_fire_at": 4e9}],
    ids=str,
)
def test_a_message_to_a_schedule_that_was_changed_does_nothing(
    stage: Stage, task: tuple[str, str], change: Any
) -> None:
    schedule = scheduled(stage, task, "5 9 * * *")
    before = changed(stage, schedule, **change).serialize()
    fire(stage.app, message(schedule))
    assert as_is(stage, schedule).serialize() == before
    assert sessions(stage, schedule) == []


def test_a_message_to_a_schedule_that_was_deleted_does_nothing(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "5 9 * * *")
    stage.looking.table(TASK_SCHEDULE).delete(TENANT, schedule.key, TaskSchedule.status.exists())
    fire(stage.app, message(schedule))
    assert sessions(stage, schedule) == []


def test_a_session_that_starts_while_the_schedule_is_edited_is_counted(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "5 9 * * *")
    stage.clock.advance(300)
    start, later = stage.app.queue.send, schedule.next_fire_at + 3600

    def edit(*given: Any, **how: Any) -> None:
        start(*given, **how)
        changed(stage, schedule, revision="second", next_fire_at=later)

    stage.queue.send = edit  # type: ignore[method-assign]
    fire(stage.app, message(schedule))
    (session,) = sessions(stage, schedule)
    now = as_is(stage, schedule)
    assert (counts(now), now.next_fire_at, now.running) == (
        (1, 0, 0),
        later,
        {session.session_uuid},
    )


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_start_that_died_is_waited_for(stage: Stage, task: tuple[str, str]) -> None:
    """Somebody has changed the task meanwhile: the session is started as it is now."""
    schedule = scheduled(stage, task, "5 9 * * *")
    stage.clock.advance(300)
    with tripping(stage, 13), pytest.raises(Crash):
        fire(stage.app, message(schedule))
    work = [Task.agent_actions.set({}), Task.subtask_queries.set([{"agent_uuid": "a"}])]
    stage.app.records.table(TASK).update(TENANT, task, work, Task.task_name.exists())
    with pytest.raises(Busy):
        fire(stage.app, message(schedule))
    assert counts(as_is(stage, schedule)) == (0, 0, 0)
