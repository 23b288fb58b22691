"""The number of AWS calls of each operation."""

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api, Calls
from tests.kit.api import code, data, error, send
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


@every_record
def test_a_get_is_one_call_also_of_what_is_unknown_or_foreign(
    case: Case, api: Api, world: World, calls: Calls
) -> None:
    keys = {name: world[name] for name in case.keys}
    assert case.get(api, keys) is not None
    assert calls.taken() == {"GetItem": 1}
    assert send(api, case.name, **{**keys, case.uuid: "unknown"}) == {"data": {case.name: None}}
    assert calls.taken() == {"GetItem": 1}
    foreign = api.as_tenant(f"{api.tenant}-2")
    assert send(foreign, case.name, **keys) == {"data": {case.name: None}}
    assert calls.taken() == {"GetItem": 1}


@every_record
def test_a_create_is_one_call_or_three_below_a_parent(
    case: Case, api: Api, world: World, calls: Calls
) -> None:
    calls.taken()
    case.put(api, world, **case.optional, **own(case))
    expected = (
        {"PutItem": 1} if case is COORDINATION else {"PutItem": 1, "GetItem": 1, "UpdateItem": 1}
    )
    assert calls.taken() == expected


@pytest.mark.parametrize("case", CASES[1:-1], ids=lambda case: case.name)
def test_a_chosen_uuid_costs_one_call_more_to_see_whether_it_is_known(
    case: Case, api: Api, world: World, calls: Calls
) -> None:
    calls.taken()
    case.put(api, world, **{case.uuid: "chosen"})
    assert calls.taken() == {"UpdateItem": 2, "PutItem": 1, "GetItem": 1}


@every_mutable_record
def test_an_update_is_one_call(case: Case, api: Api, world: World, calls: Calls) -> None:
    calls.taken()
    case.put(api, world, **case.changed, **{case.uuid: world[case.uuid]})
    assert calls.taken() == {"UpdateItem": 1}


def test_an_update_that_must_know_the_agents_is_two_calls(
    api: Api, world: World, calls: Calls
) -> None:
    calls.taken()
    TASK.put(api, world, agentActions={"a": {}}, taskUuid=world["taskUuid"])
    assert calls.taken() == {"GetItem": 1, "UpdateItem": 1}


@pytest.mark.parametrize(
    ("case", "cost"),
    [
        (COORDINATION, {"UpdateItem": 1, "Query": 3, "DeleteItem": 1}),
        (TASK, {"UpdateItem": 1, "Query": 1, "DeleteItem": 1}),
        (TASK_SCHEDULE, {"DeleteItem": 1}),
        (SESSION, {"UpdateItem": 1, "Query": 2, "DeleteItem": 1}),
        (SESSION_AGENT, {"GetItem": 1, "DeleteItem": 1}),
        (SESSION_RUN, {"DeleteItem": 1}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_guarded_delete_is_at_most_five_calls(
    case: Case, cost: dict[str, int], api: Api, world: World, calls: Calls
) -> None:
    made = case.put(api, world, **own(case))
    calls.taken()
    case.delete(api, {**world, case.uuid: made[case.uuid]})
    assert calls.taken() == cost
    assert sum(cost.values()) <= 5


@pytest.mark.parametrize("case", [COORDINATION, TASK, SESSION], ids=lambda case: case.name)
def test_a_refused_delete_is_at_most_five_calls(
    case: Case, api: Api, world: World, calls: Calls
) -> None:
    calls.taken()
    assert (
        code(api, f"delete{case.title}", **{name: world[name] for name in case.keys})
        == "HAS_DEPENDENTS"
    )
    looks = len(case.children) + (case is COORDINATION)  # its sessions lie in two shards
    assert calls.taken() == {"UpdateItem": 2, "Query": looks}


def test_many_dependents_are_counted_to_25(api: Api, world: World, calls: Calls) -> None:
    made = 1
    for count, told in ((24, "24"), (30, "at least 25")):
        for _ in range(count - made):
            TASK_SCHEDULE.put(api, world)
        made = count
        calls.taken()
        refused = error(api, "deleteTask", **{name: world[name] for name in TASK.keys})
        assert refused["message"] == f"The task still has {told} task schedules; delete them first."
        assert refused["dependents"] == {"task schedule": min(count, 25)}
        assert calls.taken() == {"UpdateItem": 2, "Query": 1}


def test_fifty_sessions_are_one_query_a_shard_and_one_batch_when_nested(
    api: Api, calls: Calls
) -> None:
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    tasks = [TASK.put(api, above, taskName=f"t{each}")["taskUuid"] for each in range(50)]
    for task in tasks:
        SESSION.put(api, above, taskUuid=task)
    calls.taken()
    flat = SESSION.list(api, **above)
    assert calls.taken() == {"Query": 2}
    assert [session["taskUuid"] for session in flat] == tasks[::-1]
    nested = data(
        api,
        "sessionList",
        "{ sessionList { coordination { coordinationUuid } task { taskName } } }",
        **above,
        limit=50,
    )["sessionList"]
    assert calls.taken() == {"Query": 2, "BatchGetItem": 1}  # both tables
    assert [session["task"]["taskName"] for session in nested] == [
        f"t{each}" for each in range(49, -1, -1)
    ]
    assert {session["coordination"]["coordinationUuid"] for session in nested} == {*above.values()}
    assert data(api, "sessionList", "{ sessionList { sessionUuid } }")["sessionList"] == [
        {"sessionUuid": session["sessionUuid"]} for session in flat
    ]
    # of a whole tenant: an index of keys alone
    assert calls.taken() == {"Query": 1, "BatchGetItem": 1}


def test_more_than_a_hundred_nested_records_are_the_requests_of_each_table(
    api: Api, calls: Calls
) -> None:
    """The tables are read concurrently."""
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    stranger = api.as_tenant(f"{api.tenant}-2")
    COORDINATION.put(stranger, {}, coordinationUuid=above["coordinationUuid"])
    TASK.put(stranger, above, taskUuid="t0", taskName="theirs")
    for each in range(101):
        SESSION.put(api, above, taskUuid=f"t{each}")
    TASK.put(api, above, taskUuid="t100", taskName="mine")
    for limit, batches in ((99, 1), (100, 2), (101, 3)):
        calls.taken()
        found = data(
            api,
            "sessionList",
            "{ sessionList { taskUuid coordination { coordinationUuid } task { taskName } } }",
            **above,
            limit=limit,
        )["sessionList"]
        assert calls.taken() == {"Query": 2, "BatchGetItem": batches}
        assert [each["taskUuid"] for each in found] == [f"t{100 - n}" for n in range(limit)]
        assert [each["task"] for each in found] == [{"taskName": "mine"}] + [None] * (limit - 1)
        assert all(each["coordination"] == above for each in found)


def test_a_session_with_everything_around_it_is_four_calls(
    api: Api, world: World, calls: Calls
) -> None:
    SESSION.put(api, world, taskUuid=world["taskUuid"], sessionUuid=world["sessionUuid"])
    calls.taken()
    session = data(
        api,
        "session",
        """{ coordination { coordinationName } task { taskName }
             sessionAgents { sessionAgentUuid session { sessionUuid } }
             sessionRuns { runUuid session { sessionUuid } } }""",
        coordinationUuid=world["coordinationUuid"],
        sessionUuid=world["sessionUuid"],
    )
    taken = calls.taken()
    # one of them for the agents' and runs' session
    assert taken == {"GetItem": 1, "BatchGetItem": 2, "Query": 2}
    assert session == {
        "coordination": {"coordinationName": "brief"},
        "task": {"taskName": "t"},
        "sessionAgents": [
            {
                "sessionAgentUuid": world["sessionAgentUuid"],
                "session": {"sessionUuid": world["sessionUuid"]},
            }
        ],
        "sessionRuns": [{"runUuid": "run", "session": {"sessionUuid": world["sessionUuid"]}}],
    }
    data(
        api,
        "session",
        "{ coordination { agents } task { taskName } sessionAgents { state } sessionRuns {"
        " runUuid } }",
        coordinationUuid=world["coordinationUuid"],
        sessionUuid=world["sessionUuid"],
    )
    assert calls.taken() == {"GetItem": 1, "BatchGetItem": 1, "Query": 2}


def test_nested_records_that_are_gone_are_null(api: Api, world: World) -> None:
    SESSION.put(api, world, taskUuid="never", sessionUuid=world["sessionUuid"])
    assert data(
        api,
        "session",
        "{ task { taskName } }",
        **{name: world[name] for name in SESSION.keys},
    ) == {"task": None}
    bare = SESSION.put(api, world)
    assert data(
        api,
        "session",
        "{ task { taskName } sessionAgents { state } sessionRuns { runUuid } }",
        **{name: bare[name] for name in SESSION.keys},
    ) == {"task": None, "sessionAgents": [], "sessionRuns": []}
    run = SESSION_RUN.put(api, world, runUuid="alone")
    assert data(
        api,
        "sessionRun",
        "{ sessionAgent { state } session { status } }",
        **{name: run[name] for name in SESSION_RUN.keys},
    ) == {"sessionAgent": None, "session": {"status": "initial"}}


def test_every_record_finds_the_records_that_it_names(api: Api, world: World) -> None:
    SESSION.put(api, world, taskUuid=world["taskUuid"], sessionUuid=world["sessionUuid"])
    run = {**world, "runUuid": "linked"}
    SESSION_RUN.put(api, world, runUuid="linked", sessionAgentUuid=world["sessionAgentUuid"])
    for case, uuids, selection, expected in (
        (
            TASK,
            world,
            "{ coordination { coordinationName } }",
            {"coordination": {"coordinationName": "brief"}},
        ),
        (
            TASK_SCHEDULE,
            world,
            "{ task { taskName } coordination { coordinationName } }",
            {"task": {"taskName": "t"}, "coordination": {"coordinationName": "brief"}},
        ),
        (
            SESSION_AGENT,
            world,
            "{ session { sessionRuns { runUuid } } }",
            {"session": {"sessionRuns": [{"runUuid": "linked"}, {"runUuid": "run"}]}},
        ),
        (
            SESSION_RUN,
            run,
            "{ session { task { taskName } } sessionAgent { agentUuid } }",
            {"session": {"task": {"taskName": "t"}}, "sessionAgent": {"agentUuid": "a"}},
        ),
    ):
        assert (
            data(api, case.name, selection, **{name: uuids[name] for name in case.keys}) == expected
        )
