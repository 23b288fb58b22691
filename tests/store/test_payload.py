"""Promise P8: nothing is too big. What would not fit an item lives in the bucket, behind the same
field.
"""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.payload import BlobReference
from benchmarks.harness.api import Api, Worker
from tests.kit.api import data
from tests.kit.homes import count_blobs
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT, TASK, Case, World

HUGE = 'ß😀"\\' * 600_000  # 5 MB of JSON text
SHORT = "x" * 47_000
FIELDS: list[tuple[Case, dict[str, Any]]] = [
    (
        COORDINATION,
        {
            "coordinationDescription": HUGE,
            "agents": [{"agentUuid": "a", "agentDescription": HUGE, "x": [HUGE]}],
        },
    ),
    (
        TASK,
        {
            "taskDescription": HUGE,
            "initialTaskQuery": HUGE,
            "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": HUGE}],
            "agentActions": {"a": {"x": HUGE}},
        },
    ),
    (
        SESSION,
        {
            "taskQuery": HUGE,
            "inputFiles": [{"x-Y": HUGE}],
            "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": HUGE}],
            "logs": HUGE,
        },
    ),
    (SESSION_AGENT, {"userInput": HUGE, "agentInput": HUGE, "agentOutput": HUGE, "notes": HUGE}),
]


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


@pytest.mark.parametrize(("case", "fields"), FIELDS, ids=[case.name for case, _ in FIELDS])
def test_five_megabytes_come_back_whole_in_every_field(
    case: Case, fields: dict[str, Any], api: Api, world: World, app: App
) -> None:
    before = count_blobs(app)
    made: dict[str, Any] = {}
    for name, value in fields.items():
        own = {case.uuid: made[case.uuid]} if made else {}
        made = case.put(api, world, **own, **{name: value})
        assert made[name] == value
    assert count_blobs(app) == before + len(fields)
    uuids = {**world, case.uuid: made[case.uuid]}
    for name, value in fields.items():  # one at a time: all of them together are 20 MB
        keys = {key: uuids[key] for key in case.keys}
        assert data(api, case.name, f"{{ {name} }}", **keys)[name] == value
    assert case.put(api, uuids, **{case.uuid: uuids[case.uuid]}, **dict.fromkeys(fields))[case.uuid]
    assert case.delete(api, uuids) == {"ok": True}


def test_what_is_short_costs_the_bucket_nothing(api: Api, world: World, app: App) -> None:
    before = count_blobs(app)
    made = SESSION_AGENT.put(
        api, world, agentInput=SHORT, agentOutput=SHORT, notes=SHORT, userInput=SHORT
    )
    assert SESSION_AGENT.get(api, made) == made
    assert count_blobs(app) == before


def test_the_same_again_is_one_blob_and_a_delete_takes_it_along(
    api: Api, world: World, app: App
) -> None:
    before = count_blobs(app)
    made = TASK.put(api, world, taskDescription=HUGE)
    TASK.put(api, world, taskUuid=made["taskUuid"], taskDescription=HUGE)
    assert count_blobs(app) == before + 1
    TASK.delete(api, made)
    assert count_blobs(app) == before


def test_a_text_that_looks_like_a_reference_is_a_text(api: Api) -> None:
    made = COORDINATION.put(api, {}, coordinationDescription="@blob:acme/coordinations/x")
    assert COORDINATION.get(api, made)["coordinationDescription"] == "@blob:acme/coordinations/x"


def test_large_values_are_read_only_when_they_are_asked_for(api: Api, app: App) -> None:
    made = COORDINATION.put(api, {}, coordinationDescription=HUGE)
    table = next(
        table for table in app.records.tables.values() if table.name.endswith("coordinations")
    )
    item = table.get(api.tenant, (api.tenant, made["coordinationUuid"]))
    assert item is not None
    assert isinstance(item.stored("coordination_description"), BlobReference)
    app.records.blobs.delete_all(item.stored("coordination_description").key)
    keys = {"coordinationUuid": made["coordinationUuid"]}
    assert data(api, "coordination", "{ updatedBy }", **keys) == {"updatedBy": "ann"}


def test_a_session_of_large_values_runs_to_its_end(api: Api, worker: Worker) -> None:
    agents = [{"agentUuid": "a", "agentDescription": "d" * 100_000}, {"agentUuid": "b"}]
    above = COORDINATION.put(api, {}, agents=agents)
    task = TASK.put(api, above, agentActions={"b": {"predecessors": ["a"]}}, initialTaskQuery=HUGE)
    keys = {"coordinationUuid": above["coordinationUuid"], "taskUuid": task["taskUuid"]}
    started = data(api, "executeProcedureTaskSession", **keys)["procedureTaskSession"]
    worker.drain()
    keys = {"coordinationUuid": above["coordinationUuid"], "sessionUuid": started["sessionUuid"]}
    selection = "{ status sessionAgents { state sessionAgentUuid } }"
    session = data(api, "session", selection, **keys)
    assert (session["status"], [each["state"] for each in session["sessionAgents"]]) == (
        "completed",
        ["completed", "completed"],
    )
    last = {
        "sessionUuid": keys["sessionUuid"],
        "sessionAgentUuid": session["sessionAgents"][1]["sessionAgentUuid"],
    }
    assert (
        data(api, "sessionAgent", "{ agentOutput }", **last)["agentOutput"]
        == f"Output of a:\n{HUGE}\n\n{HUGE}"
    )


def test_deleting_one_session_agent_leaves_the_others_what_they_share(
    api: Api, worker: Worker
) -> None:
    agents = [{"agentUuid": "a"}, {"agentUuid": "b"}]
    above = COORDINATION.put(api, {}, agents=agents)
    task = TASK.put(api, above, initialTaskQuery=HUGE)
    keys = {"coordinationUuid": above["coordinationUuid"], "taskUuid": task["taskUuid"]}
    started = data(api, "executeProcedureTaskSession", **keys)["procedureTaskSession"]
    of_session = {"sessionUuid": started["sessionUuid"]}
    first, second = (each["sessionAgentUuid"] for each in SESSION_AGENT.list(api, **of_session))
    worker.drain()
    assert SESSION_AGENT.delete(api, {**of_session, "sessionAgentUuid": first}) == {"ok": True}
    agent = data(
        api, "sessionAgent", "{ state agentOutput }", **of_session, sessionAgentUuid=second
    )
    assert agent == {"state": "completed", "agentOutput": HUGE}
