"""A backfill that is too much for a request, or whose request dies: each of its times has one
session, which counts once.
"""

from datetime import timedelta
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling.by_hand import Fired, backfill
from ai_coordination_engine.engine.scheduling.owed import go_on
from ai_coordination_engine.engine.work import poison
from ai_coordination_engine.ports import Backfill
from ai_coordination_engine.store.models import Task, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK, TASK_SCHEDULE
from tests.kit.crashes import Crash, tripping
from tests.kit.schedules import (
    as_is,
    changed,
    code,
    counted,
    counts,
    scheduled,
    sessions,
    times,
    uuid_at,
)
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def task(stage: Stage) -> tuple[str, str]:
    return stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}})


def past(stage: Stage, schedule: TaskSchedule, hours: int) -> Fired:
    """A backfill of so many hours."""
    now = stage.clock.now()
    return backfill(stage.app, TENANT, schedule.key, now - timedelta(hours=hours), now)


def slowly(stage: Stage, seconds: float) -> None:
    """From now on every side effect takes so long."""
    stage.boundary.reach = lambda name: stage.clock.advance(seconds)


def message(schedule: TaskSchedule) -> Backfill:
    return Backfill(TENANT, *schedule.key)


@pytest.mark.parametrize("repeats", [True, False], ids=["repeats", "gives up"])
def test_whoever_dies_anywhere_leaves_one_session_for_each_time_that_counts_once(
    stage: Stage, task: tuple[str, str], repeats: bool
) -> None:
    """A client that gives up has started all, or, if nothing was written yet, none."""
    point = 1
    while True:
        stage.renew()
        stage.clock.begin()
        schedule = scheduled(stage, task, "10,50 * * * *")
        with tripping(stage, point) as tripwire:
            if repeats:
                stage.until_it_succeeds(lambda now=schedule: past(stage, now, 2))
            else:
                try:
                    past(stage, schedule, 2)
                except Crash:
                    tripwire.revive()
            stage.drain()
        stage.clock.advance(60)
        stage.drain()
        now = as_is(stage, schedule)
        mine = [each for each in sessions(stage, schedule) if each.session_uuid in now.recent or ()]
        expected = [
            uuid_at(schedule, schedule.next_fire_at - each) for each in (7200, 4800, 3600, 1200)
        ]
        if repeats or mine:
            assert [each.session_uuid for each in mine] == expected
        assert (counts(now), now.owed) == ((len(mine), 0, 0), None)
        assert len(now.running or ()) == len(mine)
        if not tripwire.trips:
            return
        point += 5


def test_what_takes_too_long_for_a_request_is_started_by_workers(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = changed(stage, scheduled(stage, task, "*/10 * * * *"), status="paused")
    began, ends = stage.clock.now() - timedelta(hours=4), stage.clock.now()
    slowly(stage, 0.2)
    first = backfill(stage.app, TENANT, schedule.key, began, ends)
    now = as_is(stage, schedule)
    begun = len(first.sessions)
    assert 0 < begun < 20
    assert (counts(now), len(now.owed)) == ((begun, 0, 0), 25 - begun)
    stage.drain()
    again = as_is(stage, schedule)
    assert (counts(again), again.owed, again.status) == ((25, 0, 0), None, "paused")
    expected = [f"{5 + each // 6:02d}:{each % 6}0" for each in range(25)]
    assert times(stage, schedule) == expected
    assert len(stage.queue.fires) >= 2  # one worker after the other
    stage.boundary.reach = lambda name: None
    with counted(stage) as calls:
        assert len(backfill(stage.app, TENANT, schedule.key, began, ends).sessions) == 25
    assert counts(as_is(stage, schedule)) == (25, 0, 0)
    assert calls == {"GetItem": 1, "BatchGetItem": 3, "UpdateItem": 1}  # those that run, too


def test_two_workers_count_each_session_once(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "*/20 * * * *")
    with tripping(stage, 12), pytest.raises(Crash):
        past(stage, schedule, 1)
    assert len(as_is(stage, schedule).owed) == 4
    stage.clock.advance(60)
    count, again = stage.app.schedules.count, []

    def overtaken(*given: Any) -> Any:
        if not again:
            again.append(True)
            go_on(stage.app, message(schedule))
        return count(*given)

    stage.app.schedules.count = overtaken  # type: ignore[method-assign]
    go_on(stage.app, message(schedule))
    now = as_is(stage, schedule)
    assert (counts(now), now.owed, len(sessions(stage, schedule))) == ((4, 0, 0), None, 4)


def test_the_same_backfill_at_once_counts_each_session_once(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "*/20 * * * *")
    count, again = stage.app.schedules.count, []

    def overtaken(*given: Any) -> Any:
        if not again:
            again.append(True)
            past(stage, schedule, 1)
        return count(*given)

    stage.app.schedules.count = overtaken  # type: ignore[method-assign]
    assert len(past(stage, schedule, 1).sessions) == 4
    now = as_is(stage, schedule)
    assert (counts(now), now.owed, len(sessions(stage, schedule))) == ((4, 0, 0), None, 4)


def test_a_task_that_became_invalid_says_why_and_nothing_is_owed(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "*/10 * * * *")
    slowly(stage, 0.2)
    begun = len(past(stage, schedule, 4).sessions)
    broken = [Task.subtask_queries.set([{"agent_uuid": "gone"}])]
    stage.looking.table(TASK).update(TENANT, task, broken, Task.task_name.exists())
    stage.drain()
    now = as_is(stage, schedule)
    assert (counts(now), now.owed, code(now)) == ((begun, 0, 0), None, "TASK_INVALID")
    assert "names the agent 'gone'" in now.why["message"]


def test_a_message_without_anything_owed_does_nothing(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "*/10 * * * *")
    with counted(stage) as calls:
        go_on(stage.app, message(schedule))
    assert calls == {"GetItem": 1}
    stage.looking.table(TASK_SCHEDULE).delete(TENANT, schedule.key, TaskSchedule.status.exists())
    go_on(stage.app, message(schedule))
    assert sessions(stage, schedule) == []


def test_a_dead_letter_leaves_what_is_owed_for_whoever_sends_it_again(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "*/20 * * * *")
    changed(stage, schedule, owed={int(schedule.next_fire_at) - 1200})
    poison(stage.app, message(schedule), "ValueError")
    assert as_is(stage, schedule).owed is not None
    go_on(stage.app, message(schedule))
    assert counts(as_is(stage, schedule)) == (1, 0, 0)
