"""Ids of records are opaque and unique among all types; `node` finds them for their own tenant
only.
"""

import base64
from typing import Any

import pytest

from ai_coordination_engine.api.nodes import node_id
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store import models
from ai_coordination_engine.store.records.entities import SESSION_AGENT as SESSION_AGENTS
from ai_coordination_engine.store.transitions import counter_shards
from benchmarks.harness.api import Api, Calls
from tests.kit.api import leaves, send
from tests.kit.records import CASES, COORDINATION, SESSION, SESSION_AGENT, SESSION_RUN, Case, World
from tests.kit.stage import TENANT, crowd, stage_of

NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
every_record = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


def node(api: Api, id: Any) -> Any:
    return api.send(NODE, id=id)


def ids(api: Api, world: World) -> dict[str, str]:
    return {case.name: case.get(api, world)["id"] for case in CASES}


@every_record
def test_a_record_is_found_by_its_id_in_one_read(
    case: Case, api: Api, world: World, calls: Calls
) -> None:
    record = case.get(api, world)
    calls.taken()
    document = (
        f"query($id: ID!) {{ node(id: $id) {{ ... on {case.title}Type {{"
        f" {leaves(f'{case.title}Type')} }} }} }}"
    )
    assert api.data(document, id=record["id"]) == {"node": record}
    assert calls.taken() == {"GetItem": 1}
    assert node(api, record["id"]) == {
        "data": {"node": {"__typename": f"{case.title}Type", "id": record["id"]}}
    }


@every_record
def test_an_id_stays_and_is_plain_text_that_does_not_name_the_tenant(
    case: Case, api: Api, world: World
) -> None:
    before = case.get(api, world)["id"]
    assert before.isascii()
    assert before.replace("-", "").replace("_", "").isalnum()  # also in a path of a URL
    assert api.tenant.encode() not in base64.urlsafe_b64decode(before + "==")
    if case is not SESSION_RUN:
        assert case.put(api, world, **case.changed, **{case.uuid: world[case.uuid]})["id"] == before
    assert before in [
        each["id"] for each in case.list(api, **{name: world[name] for name in case.keys[:-1]})
    ]
    assert case.get(api, world)["id"] == before


def test_ids_are_unique_among_all_types(api: Api) -> None:
    """Records of all types with the same uuid have different ids."""
    uuids = dict.fromkeys(
        ("coordinationUuid", "taskUuid", "scheduleUuid", "sessionUuid", "sessionAgentUuid"), "x"
    )
    found = [case.put(api, uuids, **{case.uuid: "x"})["id"] for case in CASES]
    assert len(set(found)) == len(CASES)
    for case, id in zip(CASES, found, strict=True):
        assert node(api, id)["data"]["node"] == {"__typename": f"{case.title}Type", "id": id}


def test_two_keys_that_join_to_the_same_text_are_two_ids() -> None:
    first = models.Task(coordination_uuid="a", task_uuid="b:c")
    second = models.Task(coordination_uuid="a:b", task_uuid="c")
    assert node_id(first) != node_id(second)


@pytest.mark.parametrize("uuid", ["é" * 128, "x" * 256, "a/b+c=d", "日本", "a b", '"'])
def test_an_id_holds_every_uuid_that_a_client_may_choose(uuid: str, api: Api) -> None:
    made = COORDINATION.put(api, {}, coordinationUuid=uuid)
    task = CASES[1].put(api, made, taskUuid=uuid)
    for record in (made, task):
        assert node(api, record["id"])["data"]["node"]["id"] == record["id"]


@every_record
def test_another_tenant_and_what_is_deleted_do_not_exist(
    case: Case, api: Api, world: World
) -> None:
    own = {"runUuid": "run-2"} if case is SESSION_RUN else {}
    made = case.put(api, world, **own)
    for foreign in (f"{api.tenant}-2", f"{api.tenant}#part"):
        assert node(api.as_tenant(foreign), made["id"]) == {"data": {"node": None}}
    case.delete(api, {**world, case.uuid: made[case.uuid]})
    assert node(api, made["id"]) == {"data": {"node": None}}


def encoded(*parts: str) -> str:
    return base64.urlsafe_b64encode("\x1f".join(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        " ",
        "x",
        "null",
        "====",
        "é",
        "\ud800",
        "../../etc/passwd",
        "A" * 100_000,
        7,
        encoded(""),
        encoded("session"),
        encoded("session", "a"),
        encoded("session", "a", "b", "c"),
        encoded("session", "", ""),
        encoded("nothing", "a", "b"),
        encoded("Session", "a", "b"),
        encoded("async task", "a", "b"),
        encoded("session", "x" * 257, "y"),
        encoded("session", "a\n", "b"),
        base64.urlsafe_b64encode(b"session\x1f\xff\x1f\xff").decode(),
    ],
)
def test_what_is_no_id_is_null(garbage: Any, api: Api) -> None:
    assert node(api, garbage) == {"data": {"node": None}}


@every_record
def test_an_id_has_one_spelling(case: Case, api: Api, world: World) -> None:
    id = case.get(api, world)["id"]
    for other in (f"{id}=", f"{id}==", f" {id}", f"{id}\n", f"{id[:4]}*{id[4:]}", id.swapcase()):
        assert node(api, other) == {"data": {"node": None}}


def test_internal_items_have_no_id(app: App, api: Api) -> None:
    """Counter shards are stored among the session agents and have a tenant, too."""
    stage = stage_of(app)
    client = Api(stage.app, api._runner, TENANT)
    many, subtasks = crowd(101)
    session = stage.start(
        stage.define({**dict.fromkeys(many, ""), "join": many}, subtasks=subtasks)
    )
    join = stage.agent(session.session_uuid, "join")
    key = counter_shards.join_key((join.session_uuid, join.session_agent_uuid), 0, 0)
    item = app.records.table(SESSION_AGENTS).get(TENANT, key)
    assert item is not None
    assert item.partition_key == TENANT
    assert node(client, encoded("session agent", *key)) == {"data": {"node": None}}


def test_several_nodes_of_one_request_are_found(api: Api, world: World) -> None:
    found = ids(api, world)
    document = (
        "{" + " ".join(f'{name}: node(id: "{id}") {{ id }}' for name, id in found.items()) + "}"
    )
    assert api.data(document) == {name: {"id": id} for name, id in found.items()}


def test_a_node_goes_on_to_what_is_nested_in_it(api: Api, world: World) -> None:
    id = SESSION.get(api, world)["id"]
    found = api.data(
        "query($id: ID!) { node(id: $id) { ... on SessionType { sessionAgents { id session { id } }"
        " } } }",
        id=id,
    )
    agent = SESSION_AGENT.get(api, world)["id"]
    assert found == {"node": {"sessionAgents": [{"id": agent, "session": {"id": id}}]}}


def test_a_node_needs_an_id(api: Api) -> None:
    (error,) = send(api, "node", "{ id }", id=None)["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_every_record_implements_node(api: Api) -> None:
    found = api.data('{ __type(name: "Node") { kind possibleTypes { name } } }')["__type"]
    assert found["kind"] == "INTERFACE"
    assert {each["name"] for each in found["possibleTypes"]} == {
        f"{case.title}Type" for case in CASES
    }
