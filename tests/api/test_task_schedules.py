"""Task schedules over the API: their fields, when they fire next, and why they do not.

The clock shows Monday, 2 November 2026, 09:00 in UTC, 10:00 in Berlin.
"""

from datetime import datetime
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE as SCHEDULES
from ai_coordination_engine.store.records.schedule_times import SHARDS
from benchmarks.harness.api import Api
from tests.kit.api import data, document, error
from tests.kit.records import SESSION, TASK_SCHEDULE, World
from tests.kit.stage import Stage, stage_of

INITIAL = (
    "The schedule is initial and does not fire yet. Set its status to active with"
    " insertUpdateTaskSchedule."
)
WEEKDAYS = {"schedule": "0 9 * * MON-FRI", "timezone": "Europe/Berlin", "status": "active"}


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api, tenant: str) -> Api:
    return Api(stage.app, api._runner, tenant)


@pytest.fixture
def world(client: Api) -> World:
    return World(client)


def put(client: Api, world: World, **given: Any) -> Any:
    """Update the schedule of the world."""
    return TASK_SCHEDULE.put(client, world, scheduleUuid=world["scheduleUuid"], **given)


def seen(client: Api, world: World, selection: str) -> Any:
    keys = {name: world[name] for name in TASK_SCHEDULE.keys}
    return data(client, "taskSchedule", f"{{ {selection} }}", **keys)


def why(client: Api, world: World) -> Any:
    return seen(client, world, "whyNotFired { code message until }")["whyNotFired"]


def stored(client: Api, stage: Stage, world: World) -> TaskSchedule:
    key = world["taskUuid"], world["scheduleUuid"]
    found = stage.looking.get(SCHEDULES, client.tenant, key, consistent=True)
    assert found is not None
    return found


def store(client: Api, stage: Stage, world: World, **values: Any) -> None:
    """Write values that only the engine or an earlier version would write."""
    table = stage.looking.table(SCHEDULES)
    attributes = TaskSchedule.get_attributes()
    actions = [attributes[name].set(value) for name, value in values.items()]
    key = world["taskUuid"], world["scheduleUuid"]
    table.update(client.tenant, key, actions, TaskSchedule.task_uuid.exists())


def indexed(client: Api, stage: Stage, shard: str) -> list[TaskSchedule]:
    """Return the tenant's schedules in a shard of the index."""
    rows, _ = stage.looking.table(SCHEDULES).query_index("to_fire", shard)
    return [each for each in rows if each.partition_key == client.tenant]


def due(schedule: TaskSchedule) -> tuple[Any, ...]:
    return schedule.next_fire_at, schedule.fire_at, schedule.fire


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# Fields


def test_every_field_is_kept_and_null_takes_it_back(client: Api, world: World) -> None:
    given = {
        "schedule": "0 9 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "startAt": "2026-12-01T00:00:00+00:00",
        "endAt": "2027-12-01T00:00:00+00:00",
        "jitterSeconds": 86_400,
        "overlapPolicy": "buffer_all",
        "catchupWindowSeconds": 0,
        "maxRuns": 1,
        "pauseOnFailure": True,
        "taskQuery": '{"topic": "news"}',
        "inputFiles": [{"file_Name": "x" * 40_000}],
        "userId": "ann",
    }
    assert put(client, world, **given) | given == put(client, world, updatedBy="ann")
    assert TASK_SCHEDULE.get(client, world) | given == TASK_SCHEDULE.get(client, world)
    nothing = put(client, world, **dict.fromkeys(given))
    assert {name: nothing[name] for name in given} == dict.fromkeys(given)


def test_a_moment_is_kept_in_utc_and_whole_seconds(client: Api, world: World) -> None:
    made = put(client, world, startAt="2026-12-01T00:00:00.900+01:00")
    assert made["startAt"] == "2026-11-30T23:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"timezone": "Europe/Berln"},
            "timezone 'Europe/Berln' is unknown; it takes an IANA name such as Europe/Berlin or"
            " UTC; did you mean Europe/Berlin?",
        ),
        (
            {"startAt": "2026-12-01T00:00:00"},
            "startAt 2026-12-01T00:00:00 has no offset from UTC; write 2026-12-01T00:00:00Z, or for"
            " example 2026-12-01T00:00:00+01:00.",
        ),
        ({"endAt": "0001-01-01T00:00:00+14:00"}, "endAt is in 1; it takes 1971 to 2199."),
        (
            {"startAt": "2026-12-01T00:00:00Z", "endAt": "2026-11-30T00:00:00Z"},
            "endAt 2026-11-30T00:00:00+00:00 is before startAt 2026-12-01T00:00:00+00:00.",
        ),
        ({"jitterSeconds": -1}, "jitterSeconds is -1; it takes 0 to 86400."),
        (
            {"catchupWindowSeconds": 31_622_401},
            "catchupWindowSeconds is 31622401; it takes 0 to 31622400.",
        ),
        ({"maxRuns": 0}, "maxRuns is 0; it takes 1 to 2147483647."),
        (
            {"overlapPolicy": "queue"},
            "overlapPolicy 'queue' is unknown; it takes one of: skip, buffer_one, buffer_all,"
            " cancel_other, allow_all.",
        ),
        (
            {"status": None},
            "status cannot be null; it takes one of: initial, active, paused, completed.",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_wrong_is_named_and_nothing_is_written(
    given: dict[str, Any], message: str, is_new: bool, client: Api, world: World
) -> None:
    before = TASK_SCHEDULE.list(client, taskUuid=world["taskUuid"])
    names = {name: world[name] for name in TASK_SCHEDULE.parents}
    names |= {} if is_new else {"scheduleUuid": world["scheduleUuid"]}
    refused = error(client, "insertUpdateTaskSchedule", **names, **given, updatedBy="ann")
    assert refused == {"code": "BAD_USER_INPUT", "message": message}
    assert TASK_SCHEDULE.list(client, taskUuid=world["taskUuid"]) == before


@pytest.mark.parametrize(
    "schedule", ["61 9 * * *", "every day", "cron(0 9 * * ? *", "rate(0 days)"]
)
@pytest.mark.parametrize("status", ["initial", "active"])
def test_a_wrong_expression_is_refused(
    schedule: str, status: str, client: Api, world: World
) -> None:
    names = {name: world[name] for name in ("taskUuid", "scheduleUuid")}
    given = {"schedule": schedule, "status": status, "updatedBy": "ann"}
    refused = error(client, "insertUpdateTaskSchedule", **names, **given)
    assert refused["code"] == "BAD_USER_INPUT"
    assert refused["message"].startswith(f"schedule {schedule!r}")


def test_what_is_given_is_checked_beside_what_is_stored(client: Api, world: World) -> None:
    put(client, world, endAt="2026-12-01T00:00:00Z")
    names = {name: world[name] for name in ("taskUuid", "scheduleUuid")}
    refused = error(
        client, "insertUpdateTaskSchedule", **names, startAt="2026-12-02T00:00:00Z", updatedBy="ann"
    )
    assert refused["message"] == (
        "endAt 2026-12-01T00:00:00+00:00 is before startAt 2026-12-02T00:00:00+00:00."
    )


# When it fires next


def test_a_new_schedule_says_how_it_is_started(client: Api, world: World) -> None:
    names = {name: world[name] for name in TASK_SCHEDULE.parents}
    source = document("insertUpdateTaskSchedule", (*names, "schedule", "status", "updatedBy"))
    given = {**names, "schedule": "@daily", "updatedBy": "ann"}
    warned = client.send(source, **given, status="initial")
    assert warned["extensions"]["warnings"] == [INITIAL]
    assert "warnings" not in client.send(source, **given, status="active").get("extensions", {})


def test_an_active_schedule_has_its_next_time_and_others_have_none(
    client: Api, stage: Stage, world: World
) -> None:
    made = put(client, world, **WEEKDAYS, jitterSeconds=600)
    assert made["nextFireAt"] == "2026-11-03T08:00:00+00:00"
    assert made["upcoming"][:2] == ["2026-11-03T09:00:00+01:00", "2026-11-04T09:00:00+01:00"]
    nominal, fire_at, shard = due(stored(client, stage, world))
    assert nominal == at("2026-11-03T08:00:00+00:00")
    assert nominal <= fire_at <= nominal + 600
    assert shard in {f"{number:02d}" for number in range(SHARDS)}
    assert why(client, world)["code"] == "NOT_YET"
    for status in ("paused", "initial", "completed"):
        assert put(client, world, status=status)["nextFireAt"] is None
        assert due(stored(client, stage, world)) == (None, None, None)
        put(client, world, status="active")
        assert due(stored(client, stage, world)) == (nominal, fire_at, shard)


def test_what_is_due_is_found_in_the_index(client: Api, stage: Stage, world: World) -> None:
    put(client, world, **WEEKDAYS)
    schedule = stored(client, stage, world)
    (row,) = indexed(client, stage, schedule.fire)
    assert (row.key, row.partition_key, row.fire_at) == (
        (world["taskUuid"], world["scheduleUuid"]),
        client.tenant,
        schedule.fire_at,
    )
    assert (row.next_fire_at, row.revision) == (schedule.next_fire_at, schedule.revision)
    put(client, world, status="paused")
    assert indexed(client, stage, schedule.fire) == []


def test_an_edit_of_an_active_schedule_moves_its_next_time_and_voids_messages(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    revision = stored(client, stage, world).revision
    assert put(client, world, timezone=None)["nextFireAt"] == "2026-11-03T09:00:00+00:00"
    assert put(client, world, schedule="@hourly")["nextFireAt"] == "2026-11-02T10:00:00+00:00"
    moved = put(client, world, startAt="2026-11-05T12:34:00Z")
    assert moved["nextFireAt"] == "2026-11-05T13:00:00+00:00"
    assert stored(client, stage, world).revision not in (None, revision)


def test_a_time_before_the_sweep_comes_is_sent_at_once(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    assert stage.queue.fires == []
    put(client, world, schedule="* * * * *")
    (sent,) = stage.queue.fires
    assert (sent.key, sent.nominal, sent.revision) == (
        (world["taskUuid"], world["scheduleUuid"]),
        at("2026-11-02T09:01:00+00:00"),
        stored(client, stage, world).revision,
    )


def test_an_edit_that_changes_no_time_leaves_alone_what_is_due(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    before = stored(client, stage, world)
    stage.clock.advance(86_400)  # nothing fired meanwhile
    put(client, world, **WEEKDAYS, taskQuery="other", overlapPolicy="allow_all")
    put(client, world, userId="bob", catchupWindowSeconds=5)
    after = stored(client, stage, world)
    assert (due(after), after.revision) == (due(before), before.revision)
    put(client, world, jitterSeconds=3600)
    jittered = stored(client, stage, world)
    assert jittered.next_fire_at == before.next_fire_at
    assert jittered.fire_at > before.fire_at
    assert jittered.revision != before.revision


def test_what_is_buffered_is_dropped_by_new_times_alone(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    waits = at("2026-11-02T08:00:00+00:00")
    store(client, stage, world, buffered={waits}, fire_at=waits)
    put(client, world, jitterSeconds=3600)
    kept = stored(client, stage, world)
    assert (kept.buffered, kept.fire_at, kept.jitter_seconds) == ({waits}, waits, 3600)
    put(client, world, schedule="0 10 * * *")
    moved = stored(client, stage, world)
    assert moved.buffered is None
    assert moved.fire_at >= moved.next_fire_at == at("2026-11-03T09:00:00+00:00")
    store(client, stage, world, buffered={waits})
    put(client, world, status="paused")
    assert stored(client, stage, world).buffered is None


def test_a_time_while_it_was_paused_is_not_made_up_for(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    put(client, world, status="paused")
    stage.clock.advance(3 * 86_400)
    assert put(client, world, status="active")["nextFireAt"] == "2026-11-06T08:00:00+00:00"


def test_a_rate_counts_from_when_it_was_set_or_from_its_start(
    client: Api, stage: Stage, world: World
) -> None:
    made = TASK_SCHEDULE.put(client, world, schedule="rate(2 hours)", status="active")
    assert made["nextFireAt"] == "2026-11-02T11:00:00+00:00"
    stage.clock.advance(3600)
    put(client, {**world, **made}, schedule="rate(2 hours)", status="paused")
    resumed = put(client, {**world, **made}, schedule="rate(2 hours)", status="active")
    assert resumed["nextFireAt"] == "2026-11-02T11:00:00+00:00"
    assert put(client, {**world, **made}, schedule="rate(5 minutes)")["nextFireAt"] == (
        "2026-11-02T10:05:00+00:00"
    )
    started = put(client, {**world, **made}, startAt="2026-11-02T10:03:00Z")
    assert started["nextFireAt"] == "2026-11-02T10:03:00+00:00"


@pytest.mark.parametrize(
    "given",
    [
        {"schedule": "at(2026-11-02T09:00)"},
        {"schedule": "0 9 * * *", "endAt": "2026-11-02T12:00:00Z"},
        {"schedule": "cron(0 9 ? * * 2020)"},
    ],
    ids=["at", "end", "year"],
)
@pytest.mark.parametrize("steps", [1, 2])
def test_where_no_time_is_left_it_is_completed_and_says_so(
    given: dict[str, Any], steps: int, client: Api, stage: Stage, world: World
) -> None:
    if steps == 2:
        put(client, world, **given)
        given = {}
    names = {**{name: world[name] for name in TASK_SCHEDULE.keys}, "updatedBy": "ann"}
    source = document("insertUpdateTaskSchedule", (*names, *given, "status"))
    answer = client.send(source, **names, **given, status="active")
    assert answer["data"]["insertUpdateTaskSchedule"]["taskSchedule"]["status"] == "completed"
    message = "No time is left: the schedule is completed."
    assert answer["extensions"]["warnings"] == [message]
    assert why(client, world) == {"code": "ENDED", "message": message, "until": None}
    assert due(stored(client, stage, world)) == (None, None, None)


@pytest.mark.parametrize(
    "given", [{"endAt": "2026-11-02T08:00:00Z"}, {"schedule": "at(2026-11-01T09:00)"}], ids=str
)
def test_an_edit_that_leaves_an_active_one_no_time_says_so_once(
    given: dict[str, Any], client: Api, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    names = {**{name: world[name] for name in TASK_SCHEDULE.keys}, "updatedBy": "ann"}
    edit = document("insertUpdateTaskSchedule", (*names, *given))
    answer = client.send(edit, **names, **given)
    assert answer["extensions"]["warnings"] == ["No time is left: the schedule is completed."]
    again = client.send(edit, **names, **given)  # it is completed, and stays so
    assert "warnings" not in again.get("extensions", {})


def test_the_runs_are_limited_over_its_whole_life(client: Api, stage: Stage, world: World) -> None:
    put(client, world, schedule="@daily", maxRuns=3, status="active")
    store(client, stage, world, run_count=2)
    assert seen(client, world, "upcoming runCount") == {
        "upcoming": ["2026-11-03T00:00:00+00:00"],
        "runCount": 2,
    }
    assert put(client, world, maxRuns=2)["status"] == "completed"
    assert put(client, world, maxRuns=2, schedule="@hourly", status="active")["status"] == (
        "completed"
    )
    assert put(client, world, maxRuns=None, status="active")["nextFireAt"] is not None


def test_an_active_schedule_without_an_expression_fires_never_and_says_so(
    client: Api, stage: Stage, world: World
) -> None:
    put(client, world, **WEEKDAYS)
    assert put(client, world, schedule=None)["nextFireAt"] is None
    assert due(stored(client, stage, world)) == (None, None, None)
    assert why(client, world) == {
        "code": "SCHEDULE_INVALID",
        "message": "The schedule has no expression; set schedule, for example to 0 9 * * MON-FRI.",
        "until": None,
    }


# What it costs


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"schedule": "@daily", "status": "active", "timezone": "UTC"}, {"UpdateItem": 1}),
        ({"taskQuery": "q", "overlapPolicy": "skip"}, {"UpdateItem": 1}),
        ({"status": "paused"}, {"UpdateItem": 1}),
        ({"status": "active"}, {"UpdateItem": 2}),  # it depends on what is stored
    ],
    ids=["all", "none", "stop", "start"],
)
def test_an_edit_is_one_call_and_one_more_where_it_must_know_the_rest(
    given: dict[str, Any], cost: dict[str, int], client: Api, stage: Stage, world: World
) -> None:
    stage.requests.clear()
    put(client, world, **given)
    assert stage.requests == cost


def test_an_edit_beside_another_one_is_made_again(
    client: Api, stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule is edited between the refused write, which returns the stored schedule, and the
    retry.
    """
    put(client, world, **WEEKDAYS)
    write, others = stage.app.records.write, [{"timezone": "Asia/Tokyo"}]

    def beside(*args: Any, **options: Any) -> Any:
        try:
            return write(*args, **options)
        finally:
            if others:
                store(client, stage, world, revision="another", **others.pop())

    monkeypatch.setattr(stage.app.records, "write", beside)
    assert put(client, world, schedule="0 12 * * *")["nextFireAt"] == "2026-11-03T03:00:00+00:00"


# What one sees


def test_a_schedule_of_an_earlier_version_is_read_and_says_what_is_wrong(
    client: Api, stage: Stage, world: World
) -> None:
    store(client, stage, world, schedule="every day", status="active")
    assert TASK_SCHEDULE.get(client, world)["upcoming"] == []
    assert why(client, world)["code"] == "SCHEDULE_INVALID"
    assert why(client, world)["message"].startswith("schedule 'every day'")
    assert put(client, world, taskQuery="still editable")["schedule"] == "every day"
    assert put(client, world, schedule="@daily")["nextFireAt"] == "2026-11-03T00:00:00+00:00"


def test_one_that_an_earlier_version_made_active_says_how_it_is_started(
    client: Api, stage: Stage, world: World
) -> None:
    store(client, stage, world, schedule="@daily", status="active")
    assert why(client, world) == {
        "code": "NOT_SCHEDULED",
        "message": "The schedule has no next time; set its status to active once more.",
        "until": None,
    }
    assert put(client, world, status="active")["nextFireAt"] == "2026-11-03T00:00:00+00:00"


def test_the_latest_sessions_are_shown_as_far_as_they_exist(
    client: Api, stage: Stage, world: World
) -> None:
    for number in range(4):
        SESSION.put(client, world, sessionUuid=f"s{number}")
    store(client, stage, world, recent={"s0", "s1", "s2", "s3", "s4-deleted"})
    stage.requests.clear()
    shown = seen(client, world, "sessions(limit: 4) { sessionUuid status }")["sessions"]
    assert shown == [{"sessionUuid": f"s{each}", "status": "initial"} for each in (3, 2, 1)]
    assert stage.requests == {"GetItem": 1, "BatchGetItem": 1}
    assert [
        each["sessionUuid"] for each in seen(client, world, "sessions { sessionUuid }")["sessions"]
    ] == ["s3", "s2", "s1", "s0"]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("upcoming(limit: 0)", "limit is 0; it takes 1 to 100."),
        ("upcoming(limit: 101)", "limit is 101; it takes 1 to 100."),
        ("sessions(limit: 26) { status }", "limit is 26; it takes 1 to 25."),
    ],
)
def test_a_limit_is_checked(selection: str, message: str, client: Api, world: World) -> None:
    keys = {name: world[name] for name in TASK_SCHEDULE.keys}
    source = document("taskSchedule", tuple(keys), f"{{ {selection} }}")
    (refused,) = client.send(source, **keys)["errors"]
    assert (refused["message"], refused["extensions"]["code"]) == (message, "BAD_USER_INPUT")
