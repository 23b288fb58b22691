"""A person has a schedule fire: now, or for each time of a past range."""

from datetime import timedelta
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling.by_hand import backfill, run_now
from ai_coordination_engine.errors import BadUserInput, NotFound
from ai_coordination_engine.store.models import Task
from ai_coordination_engine.store.records.entities import TASK
from tests.kit.crashes import tripping
from tests.kit.schedules import (
    as_is,
    changed,
    counts,
    fire_next,
    minutes,
    scheduled,
    sessions,
    times,
    uuid_at,
    work,
)
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def task(stage: Stage) -> tuple[str, str]:
    return stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}})


def last_hour(stage: Stage) -> tuple[Any, Any]:
    return stage.clock.now() - timedelta(hours=1), stage.clock.now()


@pytest.mark.parametrize("status", ["active", "paused", "completed"])
def test_a_schedule_fires_now_whatever_it_does(
    stage: Stage, task: tuple[str, str], status: str
) -> None:
    schedule = scheduled(stage, task, "0 9 * * *", task_query="now")
    before = changed(stage, schedule, status=status)
    for number in (1, 2):
        stage.clock.advance(1)
        fired = run_now(stage.app, TENANT, schedule.key, by="ann")
        assert counts(fired.schedule) == (number, 0, 0)
    work(stage)
    assert [each.task_query for each in sessions(stage, schedule)] == ["now", "now"]
    now = as_is(stage, schedule)
    assert (now.status, now.next_fire_at, now.fire_at) == (
        status,
        before.next_fire_at,
        before.fire_at,
    )
    assert now.running == {each.session_uuid for each in sessions(stage, schedule)}
    assert (now.updated_by, now.last_fire_at) == ("ann", stage.clock.now().timestamp())


def test_the_same_key_again_answers_the_same_session(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "0 9 * * *")
    point = 1
    while True:
        key = f"key {point}"
        with tripping(stage, point) as tripwire:
            call = lambda key=key: run_now(stage.app, TENANT, schedule.key, idempotency_key=key)  # noqa: E731
            (first,) = stage.until_it_succeeds(call).sessions
        stage.clock.advance(60)
        (again,) = call().sessions
        assert again.session_uuid == first.session_uuid
        now = as_is(stage, schedule)
        assert now.run_count == len(sessions(stage, schedule))
        if not tripwire.trips:
            return
        point += 9


def test_what_runs_by_hand_holds_a_time_back(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "*/5 * * * *")
    run_now(stage.app, TENANT, schedule.key)
    assert counts(fire_next(stage, schedule)) == (1, 1, 0)


def test_a_backfill_starts_a_session_for_each_time_once(
    stage: Stage, task: tuple[str, str]
) -> None:
    schedule = scheduled(stage, task, "*/20 * * * *", overlap_policy="allow_all")
    first = fire_next(stage, schedule)
    stage.clock.advance(600)
    began, ends = stage.clock.now() - timedelta(minutes=45), stage.clock.now()
    for _ in range(2):
        fired = backfill(stage.app, TENANT, schedule.key, began, ends)
        at = schedule.next_fire_at
        expected = [uuid_at(schedule, at - 1200), uuid_at(schedule, at)]
        assert [each.session_uuid for each in fired.sessions] == expected
        assert counts(fired.schedule) == (2, 0, 0)
    assert times(stage, schedule) == ["09:00", "09:20"]
    now = as_is(stage, schedule)
    assert (now.next_fire_at, now.last_fire_at) == (first.next_fire_at, first.last_fire_at)


@pytest.mark.parametrize(
    ("policy", "started", "buffered", "expected"),
    [
        ("allow_all", [0, 1, 2], [], (3, 0, 0)),
        ("skip", [0], [], (1, 2, 0)),
        ("buffer_one", [0], [1], (1, 1, 0)),
        ("buffer_all", [0], [1, 2], (1, 0, 0)),
        ("cancel_other", [2], [], (1, 0, 0)),
    ],
)
def test_a_backfill_has_its_own_overlap_policy(
    stage: Stage,
    task: tuple[str, str],
    policy: str,
    started: list[int],
    buffered: list[int],
    expected: tuple[int, int, int],
) -> None:
    schedule = scheduled(stage, task, "10,30,50 * * * *")
    fired = backfill(stage.app, TENANT, schedule.key, *last_hour(stage), policy=policy)
    first = schedule.next_fire_at - 3600
    at = [uuid_at(schedule, first + 1200 * number) for number in started]
    assert [each.session_uuid for each in fired.sessions] == at
    now = as_is(stage, schedule)
    assert (counts(now), now.next_fire_at) == (expected, schedule.next_fire_at)
    assert (now.buffered or set()) == {first + 1200 * number for number in buffered}
    assert (now.fire_at <= stage.clock.now().timestamp()) == bool(buffered)


def test_what_a_backfill_has_buffered_starts_when_nothing_runs(stage: Stage) -> None:
    task = stage.define({"a": ""})
    schedule = scheduled(stage, task, "10,30,50 * * * *")
    backfill(stage.app, TENANT, schedule.key, *last_hour(stage), policy="buffer_all")
    work(stage)
    minutes(stage, 3)
    assert times(stage, schedule) == ["08:10", "08:30", "08:50"]
    now = as_is(stage, schedule)
    assert (now.buffered, now.next_fire_at, now.fire_at) == (
        None,
        schedule.next_fire_at,
        schedule.fire_at,
    )


def test_a_wrong_request_starts_nothing(stage: Stage, task: tuple[str, str]) -> None:
    schedule = scheduled(stage, task, "* * * * *")
    now = stage.clock.now()
    for range_, told in (
        ((now, now - timedelta(hours=1)), "from is not after to"),
        ((now, now + timedelta(hours=1)), "not in the future"),
        ((now - timedelta(hours=17), now), "at most 1000"),
    ):
        with pytest.raises(BadUserInput, match=told):
            backfill(stage.app, TENANT, schedule.key, *range_)
    with pytest.raises(BadUserInput, match="overlapPolicy 'never' is unknown"):
        backfill(stage.app, TENANT, schedule.key, now, now, policy="never")
    nothing = changed(stage, scheduled(stage, task, "@daily"), schedule=None)
    with pytest.raises(BadUserInput, match="The schedule has no expression; set"):
        backfill(stage.app, TENANT, nothing.key, now, now)
    with pytest.raises(NotFound):
        run_now(stage.app, "other", schedule.key)
    broken = [Task.subtask_queries.set([{"agent_uuid": "gone"}])]
    stage.app.records.table(TASK).update(TENANT, task, broken, Task.task_name.exists())
    with pytest.raises(BadUserInput, match="names the agent 'gone'"):
        run_now(stage.app, TENANT, schedule.key)
    assert (sessions(stage, schedule), counts(as_is(stage, schedule))) == ([], (0, 0, 0))
