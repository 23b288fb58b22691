"""Invalid input gives a coded error, and nothing is half-written."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent
from benchmarks.harness.api import Api, Calls
from tests.kit.api import ROOTS, code, data, error, field_of, root_of
from tests.kit.records import (
    CASES,
    COORDINATION,
    SESSION,
    SESSION_RUN,
    TASK,
    WRITES,
    World,
    items,
    valid,
)

HUGE = "ß" * 2_500_000  # 5 MB of UTF-8
TEXTS = {
    "coordinationDescription",
    "taskDescription",
    "initialTaskQuery",
    "taskQuery",
    "logs",
    "userInput",
    "agentInput",
    "agentOutput",
    "notes",
    "userQuery",
    "receiverEmail",
    "agentName",
    "userInTheLoop",
    "predecessor",
}
"""String arguments that take 5 MB: what is written goes to the bucket, what is searched is found
nowhere.
"""
MAY_BE_EMPTY = (TEXTS - {"userQuery"}) | {"userId", "cursor"}
FILTERS_THAT_MAY_BE_EMPTY = {"coordinationName", "taskName"}


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


def strings(field: str) -> list[str]:
    return [
        name
        for name, argument in field_of(field).args.items()
        if str(argument.type).strip("!") == "String"
    ]


def wait_for_user(api: Api, app: App, world: World) -> None:
    app.records.tables[SessionAgent].update(
        api.tenant,
        (world["sessionUuid"], world["sessionAgentUuid"]),
        [SessionAgent.state.set("wait_for_user_input"), SessionAgent.user_input.remove()],
        SessionAgent.session_uuid.exists(),
    )


# Strings of no and of five million bytes, in every argument that there is


def check_every_string(
    api: Api, app: App, field: str, world: World, value: str, allowed: set[str]
) -> None:
    """Try the value in each string argument: it succeeds for those in `allowed` and changes nothing
    else.
    """
    if root_of(field) == "query":  # under an id that nothing can have, nothing is found
        uuids = ("Uuid", "UuidPrefix")
        allowed = allowed | {name for name in strings(field) if name.endswith(uuids)}
    if field == "executeForUserInput":
        wait_for_user(api, app, world)
    before = items(app)
    creations = (False, True) if field in WRITES else (False,)
    for name in set(strings(field)) - allowed:
        for new in creations:
            refused = error(api, field, **{**valid(field, world, new=new), name: value})
            assert (name, refused["code"]) == (name, "BAD_USER_INPUT")
            assert len(refused["message"]) < 500
    assert items(app) == before
    for name in set(strings(field)) & allowed:
        for new in creations:
            data(api, field, **{**valid(field, world, new=new), name: value})


# they need work that is under way
ELSEWHERE = {"ping", "forkSession", "completeAsyncTask", "heartbeatAsyncTask"}
FIELDS = pytest.mark.parametrize(
    "field", sorted({*ROOTS["mutation"].fields, *ROOTS["query"].fields} - ELSEWHERE)
)


@FIELDS
def test_a_string_of_five_megabytes_is_stored_or_refused(
    field: str, api: Api, world: World, app: App
) -> None:
    check_every_string(api, app, field, world, HUGE, TEXTS)


@FIELDS
def test_an_empty_string_is_stored_or_refused(field: str, api: Api, world: World, app: App) -> None:
    # it cannot be taken back
    an_answer = {"userInput"} if field == "executeForUserInput" else set()
    allowed = (MAY_BE_EMPTY - an_answer) | (
        FILTERS_THAT_MAY_BE_EMPTY if field.endswith("List") else set()
    )
    check_every_string(api, app, field, world, "", allowed)


@pytest.mark.parametrize("name", ["coordinationName", "updatedBy"])
def test_spaces_are_no_name(name: str, api: Api) -> None:
    assert (
        code(api, "insertUpdateCoordination", **{"updatedBy": "ann", name: " \n"})
        == "BAD_USER_INPUT"
    )


UNUSABLE = [
    *(
        "a\x00b",
        "\n",
        "\x7f",
        "a\tb",
        " ",
        " a",
        "a ",
        "a\u00a0b",
        "a\u3000b",
        "a\u2028b",
        "\u200b",
        "a\u200db",
        "a\u202eb",
    ),
    *("\ufeffa", "a\U000e0001", "a\ue000b", "a\u0378b", "x" * 257, "ß" * 129, ""),
]


@pytest.mark.parametrize("uuid", UNUSABLE)
def test_an_unusable_id_is_refused_where_it_is_written_and_finds_nothing(
    uuid: str, api: Api, world: World, app: App
) -> None:
    before = items(app)
    for field in sorted(WRITES):
        for name in [each for each in strings(field) if each.endswith("Uuid")]:
            refused = error(api, field, **{**valid(field, world), name: uuid})
            assert refused["code"] == "BAD_USER_INPUT"
            assert refused["message"].startswith(
                f"{name} must have 1 to 256 bytes of printable characters"
            )
    for case in CASES:
        for name in case.keys:
            assert case.get(api, {**world, name: uuid}) is None
        for name in [each for each in strings(f"{case.name}List") if each.endswith("Uuid")]:
            page = data(api, f"{case.name}List", **{name: uuid})
            assert (page[f"{case.name}List"], page["total"], page["nextCursor"]) == ([], 0, None)
            assert code(api, f"{case.name}List", limit=0, **{name: uuid}) == "BAD_USER_INPUT"
    assert items(app) == before


@pytest.mark.parametrize("text", ["a\x00b", "a ", "\tann", "a\u2028b", "a\u200bb", "a\u202eb"])
def test_people_and_agents_are_named_by_printable_text(
    text: str, api: Api, world: World, app: App
) -> None:
    before = items(app)
    refused = error(
        api, "insertUpdateSession", **{**valid("insertUpdateSession", world), "userId": text}
    )
    assert (refused["code"], refused["message"].split()[0]) == ("BAD_USER_INPUT", "userId")
    agents = [{"agentUuid": "a"}, {"agentUuid": text}]
    refused = error(api, "insertUpdateCoordination", updatedBy="ann", agents=agents)
    assert (refused["code"], refused["message"].split()[0]) == (
        "BAD_USER_INPUT",
        "agents[1].agentUuid:",
    )
    assert items(app) == before


@pytest.mark.parametrize("uuid", ["x" * 256, "ß" * 128, "a b/c#d?e=f&g", "../..", "😀"])
def test_an_id_is_any_other_text(uuid: str, api: Api) -> None:
    made = COORDINATION.put(api, {}, coordinationUuid=uuid, coordinationDescription="x" * 100_000)
    assert made["coordinationUuid"] == uuid
    assert COORDINATION.get(api, made)["coordinationDescription"] == "x" * 100_000
    assert COORDINATION.delete(api, made) == {"ok": True}


def test_many_plain_texts_at_their_longest_still_fit(api: Api, world: World) -> None:
    made = SESSION.put(api, world, userId="x" * 4096, updatedBy="y" * 4096, taskUuid="z" * 256)
    assert (made["userId"], made["updatedBy"]) == ("x" * 4096, "y" * 4096)


@pytest.mark.parametrize(
    ("field", "name"),
    [("insertUpdateSession", "iterationCount"), ("insertUpdateSessionAgent", "inDegree")],
)
@pytest.mark.parametrize("number", [-1, 2**31, 1.5, "1", True])
def test_a_number_out_of_range_is_refused(
    field: str, name: str, number: Any, api: Api, world: World, app: App
) -> None:
    before = items(app)
    for new in (False, True):
        assert (
            code(api, field, **{**valid(field, world, new=new), name: number}) == "BAD_USER_INPUT"
        )
    assert items(app) == before


# Parents that are not there


@pytest.mark.parametrize("field", sorted({*WRITES} - {"insertUpdateCoordination"}))
def test_an_unknown_parent_is_not_found(field: str, api: Api, world: World, app: App) -> None:
    case = WRITES[field]
    before = items(app)
    for name in case.parents:
        for own in ({case.uuid: "chosen"}, {} if case is not SESSION_RUN else {case.uuid: "other"}):
            arguments = {**valid(field, world, new=True), name: "unknown", **own}
            refused = error(api, field, **arguments)
            assert refused["code"] == "NOT_FOUND"
            assert refused["message"].startswith("There is no such ")
    assert items(app) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_delete_of_what_is_not_there_is_not_found(
    case: Any, api: Api, world: World, app: App
) -> None:
    before = items(app)
    for name in case.keys:
        arguments = {key: world[key] for key in case.keys} | {name: "unknown"}
        assert code(api, f"delete{case.title}", **arguments) == "NOT_FOUND"
    assert items(app) == before


def test_starting_and_asking_what_is_not_there_is_not_found(
    api: Api, world: World, app: App, calls: Calls
) -> None:
    before = items(app)
    both = {"coordinationUuid": world["coordinationUuid"], "taskUuid": world["taskUuid"]}
    for name in both:
        assert code(api, "executeProcedureTaskSession", **{**both, name: "unknown"}) == "NOT_FOUND"
    question = {"coordinationUuid": world["coordinationUuid"], "userQuery": "q"}
    for name in ("coordinationUuid", "agentUuid", "sessionUuid"):
        assert code(api, "askOperationHub", **{**question, name: "unknown"}) == "NOT_FOUND"
    agent = {
        "sessionUuid": world["sessionUuid"],
        "sessionAgentUuid": world["sessionAgentUuid"],
        "userInput": "y",
    }
    for name in ("sessionUuid", "sessionAgentUuid"):
        assert code(api, "executeForUserInput", **{**agent, name: "unknown"}) == "NOT_FOUND"
    assert code(api, "executeForUserInput", **agent) == "CONFLICT"  # it waits for nobody
    assert items(app) == before
    assert "SendMessageBatch" not in calls.taken()


def test_a_task_that_nobody_can_run_is_refused(api: Api, app: App, calls: Calls) -> None:
    above = COORDINATION.put(api, {})
    task = TASK.put(api, above)
    before = items(app)
    both = {"coordinationUuid": above["coordinationUuid"], "taskUuid": task["taskUuid"]}
    assert code(api, "executeProcedureTaskSession", **both) == "BAD_USER_INPUT"
    assert (
        code(api, "askOperationHub", coordinationUuid=above["coordinationUuid"], userQuery="q")
        == "BAD_USER_INPUT"
    )
    assert items(app) == before
    assert "SendMessageBatch" not in calls.taken()
