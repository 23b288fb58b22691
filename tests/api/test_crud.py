"""The CRUD of the contract: one suite for the six records."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from benchmarks.harness.memory import databases
from tests.kit.api import code, data, error
from tests.kit.records import (
    CASES,
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    TASK_SCHEDULE,
    Case,
    World,
)

every_record = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_mutable_record = pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.name)
ISO_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
TIMES = ("createdAt", "updatedAt")
FOLLOWS = ("nextFireAt", "upcoming")
"""What the engine works out of the fields of a schedule."""


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


def own(case: Case) -> dict[str, str]:
    """Return the uuid that a client must give: that of a run."""
    return {"runUuid": "run-2"} if case is SESSION_RUN else {}


def without_times(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in (*TIMES, *FOLLOWS)}


@every_record
def test_what_a_create_answers_is_what_a_get_and_a_list_answer(
    case: Case, api: Api, world: World, tenant: str
) -> None:
    before = datetime.now(UTC)
    made = case.put(api, world, **case.optional, **own(case))
    for name in TIMES:
        assert ISO_UTC.match(made[name])
        assert before <= datetime.fromisoformat(made[name]) <= datetime.now(UTC)
    given = {**case.required, **case.optional, **{name: world[name] for name in case.parents}}
    assert {name: made[name] for name in given} == given
    assert made[case.uuid] not in (None, world[case.uuid])
    assert made.get("partitionKey", tenant) == tenant
    assert made.get("endpointId", tenant) == tenant
    uuids = {**world, case.uuid: made[case.uuid]}
    assert case.get(api, uuids) == made
    parent = {} if case is COORDINATION else {case.keys[0]: uuids[case.keys[0]]}
    found = case.list(api, **parent)
    assert made in found
    assert sorted(each[case.uuid] for each in found) == sorted([made[case.uuid], world[case.uuid]])


@every_record
def test_a_client_may_choose_the_uuid(case: Case, api: Api, world: World) -> None:
    made = case.put(api, world, **{case.uuid: "My own, of 3 words"})
    assert made[case.uuid] == "My own, of 3 words"
    assert case.get(api, {**world, case.uuid: "My own, of 3 words"}) == made


@pytest.mark.parametrize(
    ("case", "defaults"),
    [
        (TASK_SCHEDULE, {"status": "initial"}),
        (SESSION, {"status": "initial", "iterationCount": 0}),
        (
            SESSION_AGENT,
            {
                "state": "initial",
                "inDegree": 0,
                "agentAction": {
                    "primaryPath": True,
                    "userInTheLoop": None,
                    "predecessors": [],
                    "actionFunction": {},
                },
            },
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_new_record_has_its_defaults(
    case: Case, defaults: dict[str, Any], api: Api, world: World
) -> None:
    made = case.put(api, world)
    assert {name: made[name] for name in defaults} == defaults


def test_an_action_keeps_what_was_given_beside_the_defaults(api: Api, world: World) -> None:
    given = {"userInTheLoop": "ann", "predecessors": ["b"], "x_Note": {"my_key": 1}}
    made = SESSION_AGENT.put(api, world, agentAction=given)
    assert made["agentAction"] == {"primaryPath": True, "actionFunction": {}, **given}


@every_mutable_record
def test_an_update_changes_what_is_given_and_nothing_else(
    case: Case, api: Api, world: World
) -> None:
    made = case.get(api, world)
    updated = case.put(
        api, world, **{**case.changed, "updatedBy": "bob", case.uuid: world[case.uuid]}
    )
    assert without_times(updated) == {**without_times(made), **case.changed, "updatedBy": "bob"}
    assert updated["createdAt"] == made["createdAt"]
    assert updated["updatedAt"] > made["updatedAt"]
    assert case.get(api, world) == updated


@every_mutable_record
def test_an_explicit_null_removes(case: Case, api: Api, world: World) -> None:
    removable = [
        name for name in case.optional if not (case is SESSION_AGENT and name == "agentAction")
    ]
    made = case.get(api, world)
    assert all(made[name] is not None for name in removable)
    updated = case.put(api, world, **dict.fromkeys(removable), **{case.uuid: world[case.uuid]})
    assert without_times(updated) == {**without_times(made), **dict.fromkeys(removable)}
    assert case.get(api, world) == updated


@every_record
def test_a_deleted_record_is_gone(case: Case, api: Api, world: World) -> None:
    made = case.put(api, world, **own(case))
    uuids = {**world, case.uuid: made[case.uuid]}
    assert case.delete(api, uuids) == {"ok": True}
    assert case.get(api, uuids) is None
    parent = {} if case is COORDINATION else {case.keys[0]: uuids[case.keys[0]]}
    assert [each[case.uuid] for each in case.list(api, **parent)] == [world[case.uuid]]
    assert (
        code(api, f"delete{case.title}", **{name: uuids[name] for name in case.keys}) == "NOT_FOUND"
    )


@pytest.mark.only_on("dynamodb")  # the answer of a file is not lost
@every_record
def test_a_delete_whose_answer_was_lost_on_the_way_to_the_database_is_a_success(
    case: Case, api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database client repeats the delete and finds nothing."""
    made = case.put(api, world, **own(case))
    uuids = {**world, case.uuid: made[case.uuid]}
    lost: list[str] = []

    def repeats(operation: str) -> bool:
        is_first = operation not in lost
        lost.append(operation)
        return is_first

    monkeypatch.setattr(databases[-1], "repeats", repeats)
    assert case.delete(api, uuids) == {"ok": True}
    writes = ["UpdateItem", "DeleteItem"] if case.children else ["DeleteItem"]
    assert lost == writes  # the second try of either is refused, and not made again
    assert case.get(api, uuids) is None


@every_record
def test_a_deleted_record_can_be_created_again_and_remembers_nothing(
    case: Case, api: Api, world: World
) -> None:
    uuids = {**world, case.uuid: "again"}
    case.put(api, world, **case.optional, **{case.uuid: "again"})
    case.delete(api, uuids)
    made = case.put(api, world, **{case.uuid: "again"})
    assert [made[name] for name in case.optional if name not in ("iterationCount", "inDegree")] == [
        None for name in case.optional if name not in ("iterationCount", "inDegree")
    ]


def test_a_record_never_moves_to_another_parent(api: Api, world: World) -> None:
    other = COORDINATION.put(api, world)["coordinationUuid"]
    for case in (TASK_SCHEDULE, SESSION_AGENT):
        updated = case.put(
            api, {**world, "coordinationUuid": other}, **{case.uuid: world[case.uuid]}
        )
        assert updated["coordinationUuid"] == world["coordinationUuid"]


def test_a_schedule_and_an_agent_are_updated_without_their_coordination(
    api: Api, world: World
) -> None:
    for case in (TASK_SCHEDULE, SESSION_AGENT):
        arguments = {name: world[name] for name in case.keys}
        updated = data(
            api, f"insertUpdate{case.title}", **arguments, **case.changed, updatedBy="bob"
        )[case.name]
        assert {name: updated[name] for name in case.changed} == case.changed


def test_what_a_create_needs_is_said(api: Api, world: World) -> None:
    schedule = error(api, "insertUpdateTaskSchedule", taskUuid=world["taskUuid"], updatedBy="ann")
    assert schedule == {
        "message": "There is no such task schedule; to create one, name its task too.",
        "code": "NOT_FOUND",
    }
    above = {"sessionUuid": world["sessionUuid"], "updatedBy": "ann"}
    assert code(api, "insertUpdateSessionAgent", agentUuid="a", **above) == "NOT_FOUND"
    coordination = {"coordinationUuid": world["coordinationUuid"]}
    assert error(api, "insertUpdateSessionAgent", **above, **coordination) == {
        "message": "agentUuid is required to create a session agent.",
        "code": "BAD_USER_INPUT",
    }


# Session runs never change


def test_the_same_run_again_is_a_success_without_effect(api: Api, world: World) -> None:
    made = SESSION_RUN.put(api, world, **SESSION_RUN.optional, runUuid="r")
    assert SESSION_RUN.put(api, world, **SESSION_RUN.optional, runUuid="r") == made
    assert SESSION_RUN.put(api, world, runUuid="r", updatedBy="bob") == made


@pytest.mark.parametrize(
    "name", ["threadUuid", "agentUuid", "asyncTaskUuid", "sessionAgentUuid", "coordinationUuid"]
)
def test_another_content_under_the_same_run_is_immutable(name: str, api: Api, world: World) -> None:
    made = SESSION_RUN.put(api, world, **SESSION_RUN.optional, runUuid="r")
    given = {
        name: made[name]
        for name in ("sessionUuid", "runUuid", *SESSION_RUN.optional, "coordinationUuid")
    }
    assert (
        code(api, "insertUpdateSessionRun", **{**SESSION_RUN.required, **given, name: "another"})
        == "IMMUTABLE"
    )
    assert SESSION_RUN.get(api, made) == made


# Guards


@pytest.mark.parametrize(
    ("case", "counts", "message"),
    [
        (
            COORDINATION,
            {"task": 2, "session": 3},
            "The coordination still has 2 tasks and 3 sessions",
        ),
        (TASK, {"task schedule": 1}, "The task still has 1 task schedule"),
        (
            SESSION,
            {"session agent": 2, "session run": 1},
            "The session still has 2 session agents and 1 session run",
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_record_with_dependents_stays_and_the_answer_counts_them(
    case: Case, counts: dict[str, int], message: str, api: Api, world: World
) -> None:
    wanted = {TASK: counts.get("task", 0), SESSION: counts.get("session", 0)}
    wanted[SESSION_AGENT] = counts.get("session agent", 0)
    for child, count in wanted.items():
        for _ in range(count - 1):
            child.put(api, world)
    made = case.get(api, world)
    assert error(api, f"delete{case.title}", **{name: world[name] for name in case.keys}) == {
        "message": f"{message}; delete them first.",
        "code": "HAS_DEPENDENTS",
        "dependents": counts,
    }
    assert case.get(api, world) == made
    assert (
        case.put(api, world, **{case.uuid: world[case.uuid], **case.changed})[case.uuid]
        == world[case.uuid]
    )


def test_a_whole_tree_goes_from_its_leaves_to_its_root(api: Api, world: World) -> None:
    for case in reversed(CASES):
        assert case.delete(api, world) == {"ok": True}
