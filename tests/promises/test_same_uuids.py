"""Two tenants that choose the same uuids do not see, slow, occupy or stop anything of
each other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from benchmarks.harness.api import Api
from tests.kit.api import code, data, error
from tests.kit.records import CASES, COORDINATION, SESSION, SESSION_AGENT, TASK, Case, items
from tests.kit.stage import Stage, stage_of

MANY = 30  # rows of the other tenant, under the same uuid
CHILDREN = CASES[1:]
UUIDS = {
    "coordinationUuid": "brief/one-page",
    "taskUuid": "a#b:c",
    "scheduleUuid": "weekly",
    "sessionUuid": "s/1",
    "sessionAgentUuid": "writer#1",
    "runUuid": "run",
}
each_child = pytest.mark.parametrize("case", CHILDREN, ids=lambda case: case.name)
each_parent = pytest.mark.parametrize(
    "case", [case for case in CASES if case.children], ids=lambda case: case.name
)


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture(params=["#part", "2"])
def other(request: pytest.FixtureRequest, api: Api) -> Api:
    return api.as_tenant(api.tenant + request.param)


def fill(api: Api) -> None:
    """Create one record of each kind under the common uuids; `updatedBy` names the tenant."""
    for case in CASES:
        case.put(
            api, UUIDS, **{**case.optional, case.uuid: UUIDS[case.uuid], "updatedBy": api.tenant}
        )


def records(api: Api) -> list[Any]:
    return [case.get(api, UUIDS) for case in CASES]


def owned(app: App, api: Api) -> list[str]:
    """Return every stored item of the tenant."""
    own = f"'partition_key': {{'S': '{api.tenant}'}}"
    return [each for kept in items(app).values() for each in kept if own in each]


@contextmanager
def rows_read(app: App) -> Iterator[list[int]]:
    """Yield a list that fills with the number of rows that each request reads."""
    found: list[int] = []

    def note(parsed: Any, **_: Any) -> None:
        if "ScannedCount" in parsed:
            found.append(parsed["ScannedCount"])

    client: Any = next(iter(app.records.tables.values())).database.client
    client.meta.events.register("after-call.dynamodb", note)
    yield found
    client.meta.events.unregister("after-call.dynamodb", note)


# Records


@each_child
def test_a_record_lives_beside_that_of_another_tenant(
    case: Case, api: Api, other: Api, app: App
) -> None:
    fill(other)
    theirs, stored = records(other), owned(app, other)
    assert case.get(api, UUIDS) is None
    assert case.list(api, **{case.keys[0]: UUIDS[case.keys[0]]}) == []
    fill(api)  # nothing is occupied
    mine = case.get(api, UUIDS)
    assert (mine["updatedBy"], mine[case.uuid]) == (api.tenant, UUIDS[case.uuid])
    if case.changed:
        case.put(
            api, UUIDS, **{case.uuid: UUIDS[case.uuid], "updatedBy": api.tenant}, **case.changed
        )
    assert [each["updatedBy"] for each in case.list(api)] == [api.tenant]
    assert [
        each["updatedBy"] for each in case.list(api, **{case.keys[0]: UUIDS[case.keys[0]]})
    ] == [api.tenant]
    for each in reversed(CASES):
        assert each.delete(api, UUIDS) == {"ok": True}
    assert records(api) == [None] * len(CASES)
    assert (records(other), owned(app, other)) == (theirs, stored)


@each_child
def test_what_is_chosen_tells_nothing_of_another_tenant(case: Case, api: Api, other: Api) -> None:
    fill(other)
    for field in (f"insertUpdate{case.title}", f"delete{case.title}"):
        given = {**{name: UUIDS[name] for name in {*case.parents, *case.keys}}, **case.required}
        if field.startswith("delete"):
            given = {name: UUIDS[name] for name in case.keys}
        known = error(api, field, **given)
        unknown = error(
            api,
            field,
            **{name: value if name in case.required else "x" for name, value in given.items()},
        )
        message = known["message"]
        for value in UUIDS.values():  # it names what was asked for
            message = message.replace(f'"{value}"', '"x"')
        assert (known["code"], message) == (unknown["code"], unknown["message"])


@each_parent
def test_a_delete_is_held_back_by_ones_own_children_alone(case: Case, api: Api, other: Api) -> None:
    for each in (other, api):
        fill(each)
    children = [each for each in reversed(CASES) if CASES.index(each) > CASES.index(case)]
    for child in children:
        child.delete(api, UUIDS)
    assert (
        code(other, f"delete{case.title}", **{name: UUIDS[name] for name in case.keys})
        == "HAS_DEPENDENTS"
    )
    assert case.delete(api, UUIDS) == {"ok": True}
    assert case.get(other, UUIDS)["partitionKey"] == other.tenant


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
@each_child
def test_rows_of_others_are_never_read(case: Case, api: Api, other: Api, app: App) -> None:
    fill(api)
    table = next(
        table for model, table in app.records.tables.items() if case.title == model.__name__
    )
    hash_value, tenant = UUIDS[case.keys[0]], other.tenant
    table.put_many(
        [table.model(hash_value, f"{number:04}", partition_key=tenant) for number in range(MANY)]
    )
    parent = next(each for each in CASES if case.name in each.children)
    with rows_read(app) as found:
        assert len(case.list(api, **{case.keys[0]: hash_value})) == 1
        assert case.get(api, UUIDS) is not None
        key = {name: UUIDS[name] for name in parent.keys}
        assert error(api, f"delete{parent.title}", **key)["dependents"][app_name(case)] == 1
        if parent is SESSION:
            data(api, "session", f"{{ {case.name}s {{ updatedBy }} }}", **key)
    assert set(found) <= {0, 1}
    assert 1 in found


def app_name(case: Case) -> str:
    """Return the record's name for people."""
    return "".join(f" {each.lower()}" if each.isupper() else each for each in case.name)


@each_child
def test_a_cursor_is_of_no_use_to_another_tenant(case: Case, api: Api, other: Api) -> None:
    for each in (api, other):
        fill(each)
        case.put(each, UUIDS, **{case.uuid: f"{UUIDS[case.uuid]}-2", "updatedBy": each.tenant})
    for given in ({}, {case.keys[0]: UUIDS[case.keys[0]]}):
        page = data(api, f"{case.name}List", limit=1, **given)
        assert page["nextCursor"] is not None
        assert (
            code(other, f"{case.name}List", cursor=page["nextCursor"], **given) == "BAD_USER_INPUT"
        )
        rest = data(api, f"{case.name}List", limit=1, cursor=page["nextCursor"], **given)
        assert [each["updatedBy"] for each in rest[f"{case.name}List"]] == [api.tenant]
        assert rest["nextCursor"] is None


# What runs

AGENTS = [{"agentUuid": each} for each in ("list", "map", "person", "job", "end")]
ACTIONS = {
    "map": {"predecessors": ["list"], "map": {"over": "list"}},
    "person": {"userInTheLoop": "ann"},
    "end": {"predecessors": ["map", "person", "job"]},
}
JOB = "job-1"


@pytest.fixture
def stage(app: App) -> Stage:
    def pending(request: AgentRequest) -> AgentResult:
        return AgentResult("", async_task_uuid=JOB, heartbeat_seconds=3600)

    stage = stage_of(app, behaviours={"list": lambda request: '["x", "y"]', "job": pending})
    settings = app.settings.model_copy(update={"webhook_key": SecretStr("the operator's key")})
    object.__setattr__(stage.app, "settings", settings)
    return stage


def begin(stage: Stage, api: Api) -> Api:
    """Start a session whose map has ended, with one agent waiting for a person and one for a long
    job.
    """
    tenant = Api(stage.app, api._runner, api.tenant)
    COORDINATION.put(tenant, {}, coordinationUuid=UUIDS["coordinationUuid"], agents=AGENTS)
    TASK.put(tenant, UUIDS, taskUuid=UUIDS["taskUuid"], agentActions=ACTIONS, initialTaskQuery="go")
    start(tenant)
    stage.drain()
    return tenant


def start(api: Api, **arguments: str) -> Any:
    given = {name: UUIDS[name] for name in ("coordinationUuid", "taskUuid", "sessionUuid")}
    return data(api, "executeProcedureTaskSession", **{**given, **arguments})


def agents(api: Api) -> dict[str, Any]:
    """Return the session agents by agent."""
    found = SESSION_AGENT.list(api, sessionUuid=UUIDS["sessionUuid"])
    return {each["agentUuid"]: each for each in found}


def status(api: Api) -> Any:
    return SESSION.get(api, UUIDS)["status"]


SESSION_KEY = {name: UUIDS[name] for name in ("coordinationUuid", "sessionUuid")}


def of_agent(api: Api, name: str) -> dict[str, str]:
    return {
        "sessionUuid": UUIDS["sessionUuid"],
        "sessionAgentUuid": agents(api)[name]["sessionAgentUuid"],
    }


OPERATIONS: dict[str, Callable[[Api], Any]] = {
    "start again": start,
    "start another": lambda api: start(api, sessionUuid="s/2"),
    "ask": lambda api: data(
        api,
        "askOperationHub",
        userQuery="why?",
        agentUuid="list",
        threadUuid="thread",
        **SESSION_KEY,
    ),
    "answer": lambda api: data(
        api, "executeForUserInput", userInput="yes", **of_agent(api, "person")
    ),
    "complete a job": lambda api: data(api, "completeAsyncTask", asyncTaskUuid=JOB, result="done"),
    "hear of a job": lambda api: data(api, "heartbeatAsyncTask", asyncTaskUuid=JOB),
    "pause": lambda api: data(api, "pauseSession", **SESSION_KEY),
    "resume": lambda api: [
        data(api, f"{each}Session", **SESSION_KEY) for each in ("pause", "resume")
    ],
    "cancel": lambda api: data(api, "cancelSession", idempotencyKey="once", **SESSION_KEY),
    "retry": lambda api: [
        data(api, f"{each}Session", **SESSION_KEY) for each in ("cancel", "retry")
    ],
    "rerun": lambda api: [
        data(api, "cancelSession", **SESSION_KEY),
        data(api, "rerunSessionAgent", **of_agent(api, "list")),
    ],
    "fork": lambda api: data(api, "forkSession", newSessionUuid="s/3", **SESSION_KEY),
    "reconcile": lambda api: data(api, "reconcileSession", **SESSION_KEY),
    "end by hand": lambda api: data(
        api, "insertUpdateSession", status="failed", updatedBy="ann", **SESSION_KEY
    ),
    "end an agent by hand": lambda api: data(
        api, "insertUpdateSessionAgent", state="skipped", updatedBy="ann", **of_agent(api, "job")
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_reaches_ones_own_session_alone(
    operation: Callable[[Api], Any], stage: Stage, api: Api, app: App
) -> None:
    mine, theirs = begin(stage, api), begin(stage, api.as_tenant(f"{api.tenant}#part"))
    before = owned(app, theirs)
    operation(mine)
    stage.drain()
    assert owned(app, theirs) == before
    changed = owned(app, mine)
    operation(theirs)
    stage.drain()
    assert owned(app, mine) == changed


def test_two_sessions_of_the_same_uuids_run_to_their_ends(stage: Stage, api: Api, app: App) -> None:
    pair = [begin(stage, api), begin(stage, api.as_tenant(f"{api.tenant}#part"))]
    for each in pair:
        inbox = data(each, "userInbox", "{ sessionAgentList { sessionUuid agentUuid } }")[
            "sessionAgentList"
        ]
        assert inbox == [{"sessionUuid": UUIDS["sessionUuid"], "agentUuid": "person"}]
        OPERATIONS["answer"](each)
        OPERATIONS["complete a job"](each)
    stage.drain()
    for each in pair:
        found = SESSION_AGENT.list(each, sessionUuid=UUIDS["sessionUuid"])
        assert [one["state"] for one in found] == ["completed"] * 7
        assert status(each) == "completed"
        run = data(each, "sessionRunList", sessionUuid=UUIDS["sessionUuid"])
        assert run["total"] == 7
        assert {one["partitionKey"] for one in run["sessionRunList"]} == {each.tenant}
