"""Records of another tenant do not exist, for every operation and in every nested field."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent
from benchmarks.harness.api import Api
from tests.kit.api import ROOTS, code, data, field_of, send
from tests.kit.contract import ADDED_MUTATIONS
from tests.kit.records import CASES, COORDINATION, SESSION, SESSION_RUN, Case, World, items

# appended to the owner's tenant, so that a prefix is no key either
STRANGERS = ("", "#part", "2", " ")
every_record = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
EXTRA: dict[str, Any] = {
    **{"userQuery": "q", "userInput": "yes", "updatedBy": "eve", "taskName": "t"},
    **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
}


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    world = World(api)
    SESSION.put(api, world, sessionUuid=world["sessionUuid"], taskUuid=world["taskUuid"])
    return world


@pytest.fixture(params=STRANGERS[1:])
def stranger(request: pytest.FixtureRequest, api: Api) -> Api:
    return api.as_tenant(api.tenant + request.param)


def arguments_of(field: str, world: World) -> dict[str, Any]:
    """Return the required arguments of a root field, and every uuid of the world."""
    known = {**EXTRA, **dict.fromkeys(("threadUuid", "agentUuid", "asyncTaskUuid"), "any"), **world}
    return {
        name: known[name]
        for name, argument in field_of(field).args.items()
        if name in known and (name in world or str(argument.type).endswith("!"))
    }


def test_every_mutation_is_covered() -> None:
    names = {f"{verb}{case.title}" for case in CASES for verb in ("insertUpdate", "delete")}
    others = {"executeProcedureTaskSession", "executeForUserInput", "askOperationHub"}
    assert set(ROOTS["mutation"].fields) == names | others | set(ADDED_MUTATIONS)


# The key of a coordination begins with the tenant: a stranger's is another one, see below.
@pytest.mark.parametrize(
    "field", sorted({*ROOTS["mutation"].fields} - {"insertUpdateCoordination"})
)
def test_no_mutation_touches_them(
    field: str, api: Api, stranger: Api, world: World, app: App
) -> None:
    app.records.tables[SessionAgent].update(
        api.tenant,
        (world["sessionUuid"], world["sessionAgentUuid"]),
        [SessionAgent.state.set("wait_for_user_input")],
        SessionAgent.session_uuid.exists(),
    )
    before = items(app)
    arguments = arguments_of(field, world)
    if field == "askOperationHub":
        arguments["agentUuid"] = "a"
    if field == "completeAsyncTask":
        arguments["result"] = "x"
    assert code(stranger, field, **arguments) == "NOT_FOUND"
    without = {name: value for name, value in arguments.items() if name != own_uuid(field)}
    if without != arguments and not str(field_of(field).args[own_uuid(field)].type).endswith("!"):
        assert code(stranger, field, **without) == "NOT_FOUND"
    assert items(app) == before


def own_uuid(field: str) -> str:
    return next(
        (case.uuid for case in CASES if field == f"insertUpdate{case.title}"), "sessionUuid"
    )


def test_a_coordination_of_the_same_uuid_is_another_one(
    api: Api, stranger: Api, world: World
) -> None:
    made = COORDINATION.get(api, world)
    theirs = COORDINATION.put(
        stranger, {}, coordinationUuid=world["coordinationUuid"], coordinationName="mine"
    )
    assert theirs["partitionKey"] == stranger.tenant
    assert COORDINATION.get(api, world) == made
    for case in CASES[1:]:  # nor does it open what hangs below the other
        assert case.get(stranger, world) is None
        assert case.list(stranger, **{case.keys[0]: world[case.keys[0]]}) == []
    before = [case.get(api, world) for case in CASES]
    keys = {name: world[name] for name in ("coordinationUuid", "taskUuid", "sessionUuid")}
    assert (
        code(stranger, "insertUpdateSessionRun", **arguments_of("insertUpdateSessionRun", world))
        == "NOT_FOUND"
    )
    start = {"coordinationUuid": keys["coordinationUuid"], "taskUuid": keys["taskUuid"]}
    assert code(stranger, "executeProcedureTaskSession", **start) == "NOT_FOUND"
    # what others have does not hold it back
    assert COORDINATION.delete(stranger, world) == {"ok": True}
    assert [case.get(api, world) for case in CASES] == before


@every_record
def test_a_query_answers_null_without_an_error(case: Case, stranger: Api, world: World) -> None:
    assert send(stranger, case.name, **{name: world[name] for name in case.keys}) == {
        "data": {case.name: None}
    }


@every_record
def test_a_list_is_empty_whatever_it_is_asked_by(
    case: Case, stranger: Api, api: Api, world: World
) -> None:
    field = f"{case.name}List"
    assert data(stranger, field)["total"] == 0
    assert len(data(api, field)[field]) == 1
    for name in field_of(field).args:
        if name in world:
            page = data(stranger, field, **{name: world[name]})
            assert (page[field], page["total"], page["nextCursor"]) == ([], 0, None)


def test_nested_fields_are_null(api: Api, stranger: Api, world: World) -> None:
    """A foreign tenant's own records may contain any uuids."""
    theirs = {"coordinationUuid": world["coordinationUuid"]}
    COORDINATION.put(stranger, {}, **theirs)
    made = SESSION.put(stranger, theirs, taskUuid=world["taskUuid"])
    run = SESSION_RUN.put(stranger, made, runUuid="r", sessionAgentUuid=world["sessionAgentUuid"])
    session = data(
        stranger,
        "session",
        "{ task { taskName } sessionAgents { state } sessionRuns { runUuid sessionAgent { state } }"
        " coordination { coordinationName agents } }",
        **{name: made[name] for name in SESSION.keys},
    )
    assert session == {
        "task": None,
        "sessionAgents": [],
        "sessionRuns": [{"runUuid": run["runUuid"], "sessionAgent": None}],
        "coordination": {"coordinationName": None, "agents": None},
    }


def test_filters_by_task_do_not_cross(api: Api, stranger: Api, world: World) -> None:
    COORDINATION.put(stranger, {}, coordinationUuid=world["coordinationUuid"])
    SESSION.put(stranger, world, taskUuid=world["taskUuid"], sessionUuid=None)
    (own,) = SESSION.list(stranger, taskUuid=world["taskUuid"])
    assert own["partitionKey"] == stranger.tenant
    (other,) = SESSION.list(api, taskUuid=world["taskUuid"])
    assert other["sessionUuid"] == world["sessionUuid"]
    for name in ("sessionAgentList", "sessionRunList"):
        assert data(stranger, name, coordinationUuid=world["coordinationUuid"])["total"] == 0
        assert data(api, name, coordinationUuid=world["coordinationUuid"])["total"] == 1


def test_two_pairs_of_endpoint_and_part_are_never_one_tenant(api: Api, world: World) -> None:
    parted = api.as_tenant(f"{api.tenant}#b")
    made = COORDINATION.put(parted, {})
    assert (made["endpointId"], made["partId"], made["partitionKey"]) == (
        api.tenant,
        "b",
        f"{api.tenant}#b",
    )
    assert COORDINATION.get(api, made) is None
