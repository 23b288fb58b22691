"""Lists: filters combined with AND, pages by number and by cursor, order, and errors."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent
from benchmarks.harness.api import Api, Calls
from tests.kit.api import data
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


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


def make(api: Api, case: Case, above: Mapping[str, str], number: int, **arguments: Any) -> str:
    own = {"runUuid": f"run {number:03}"} if case is SESSION_RUN else {}
    return str(case.put(api, above, **{**own, **arguments})[case.uuid])


def uuids(case: Case, api: Api, **arguments: Any) -> list[str]:
    """Return the uuids of a list, the oldest first."""
    found = [each[case.uuid] for each in case.list(api, **arguments)]
    return found if case in (SESSION_AGENT, SESSION_RUN) else found[::-1]


# Filters: every subset of a record's filters keeps exactly what every one of them keeps

CHILD: dict[str, Any] = {"coordinationUuid": "c1", "taskUuid": "t1", "sessionUuid": "s1"}
ROWS: list[tuple[Case, list[dict[str, Any]], dict[str, Any], Mapping[str, Any]]] = [
    (
        COORDINATION,
        [
            {"coordinationName": "red one", "coordinationDescription": "of glass"},
            {"coordinationName": "red two", "coordinationDescription": "of wood"},
            {"coordinationName": "blue", "coordinationDescription": "of wood"},
            {},
        ],
        {"coordinationName": "red", "coordinationDescription": "wood"},
        {"coordinationName": (0, 1), "coordinationDescription": (1, 2)},
    ),
    (
        TASK,
        [
            {"taskName": "red one", "taskDescription": "of glass", "initialTaskQuery": "go"},
            {"taskName": "red two", "taskDescription": "of wood", "initialTaskQuery": "go"},
            {"taskName": "blue", "taskDescription": "of wood", "initialTaskQuery": "stay"},
            {"taskName": "red two", "taskDescription": "of wood", "coordinationUuid": "c2"},
        ],
        {
            "taskName": "red",
            "taskDescription": "wood",
            "initialTaskQuery": "go",
            "coordinationUuid": "c1",
        },
        {
            "taskName": (0, 1, 3),
            "taskDescription": (1, 2, 3),
            "initialTaskQuery": (0, 1),
            "coordinationUuid": (0, 1, 2),
        },
    ),
    (
        TASK_SCHEDULE,
        [
            {"status": "active"},
            {"status": "paused"},
            {"status": "completed"},
            {"status": "active", "taskUuid": "t2"},
            {"status": "paused", "taskUuid": "t3", "coordinationUuid": "c2"},
        ],
        {"statuses": ["active", "paused"], "taskUuid": "t1", "coordinationUuid": "c1"},
        {"statuses": (0, 1, 3, 4), "taskUuid": (0, 1, 2), "coordinationUuid": (0, 1, 2, 3)},
    ),
    (
        SESSION,
        [
            {"taskUuid": "t1", "userId": "u1", "status": "active"},
            {"taskUuid": "t1", "userId": "u1", "status": "failed"},
            {"taskUuid": "t1", "userId": "u2", "status": "active"},
            {"taskUuid": "t2", "userId": "u1", "status": "active"},
            {"taskUuid": "t1", "userId": "u1", "status": "active", "coordinationUuid": "c2"},
            {},
        ],
        {
            "taskUuid": "t1",
            "userId": "u1",
            "statuses": ["active", "paused"],
            "coordinationUuid": "c1",
        },
        {
            "taskUuid": (0, 1, 2, 4),
            "userId": (0, 1, 3, 4),
            "statuses": (0, 2, 3, 4),
            "coordinationUuid": (0, 1, 2, 3, 5),
        },
    ),
    (
        SESSION_RUN,
        [
            {"agentUuid": "a", "threadUuid": "x"},
            {"agentUuid": "a", "threadUuid": "y"},
            {"agentUuid": "b", "threadUuid": "x"},
            {"agentUuid": "a", "threadUuid": "x", "sessionUuid": "s2"},
            {"agentUuid": "a", "threadUuid": "x", "sessionUuid": "s3", "coordinationUuid": "c2"},
        ],
        {"agentUuid": "a", "threadUuid": "x", "sessionUuid": "s1", "coordinationUuid": "c1"},
        {
            "agentUuid": (0, 1, 3, 4),
            "threadUuid": (0, 2, 3, 4),
            "sessionUuid": (0, 1, 2),
            "coordinationUuid": (0, 1, 2, 3),
        },
    ),
]


@pytest.fixture
def forest(api: Api) -> dict[str, str]:
    """Two coordinations: tasks t1, t2 and sessions s1, s2 below the first, t3 and s3 below the
    other.

    The names become uuids that only this tenant has.
    """
    own = {
        name: f"{name} of {api.tenant}" for name in ("c1", "c2", "t1", "t2", "t3", "s1", "s2", "s3")
    }
    for name in ("c1", "c2"):
        COORDINATION.put(api, {}, coordinationUuid=own[name])
    for name, above in (("t1", "c1"), ("t2", "c1"), ("t3", "c2")):
        TASK.put(api, {"coordinationUuid": own[above]}, taskUuid=own[name])
    for name, above, task in (("s1", "c1", "t1"), ("s2", "c1", "t2"), ("s3", "c2", "t1")):
        SESSION.put(
            api, {"coordinationUuid": own[above]}, sessionUuid=own[name], taskUuid=own[task]
        )
    return own


def resolved(values: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: own.get(value, value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def check_every_combination(
    api: Api,
    case: Case,
    made: list[str],
    filters: Mapping[str, Any],
    keeps: Mapping[str, tuple[int, ...]],
) -> None:
    for size in range(len(filters) + 1):
        for names in combinations(filters, size):
            kept = set(range(len(made))).intersection(*(keeps[name] for name in names))
            found = uuids(case, api, **{name: filters[name] for name in names})
            ours = [each for each in found if each in made]
            assert sorted(ours) == sorted(made[number] for number in kept), names
            if names:
                assert len(found) - len(ours) <= 8  # the forest itself may pass a single filter


@pytest.mark.parametrize(
    ("case", "rows", "filters", "keeps"), ROWS, ids=[row[0].name for row in ROWS]
)
def test_all_filters_combine_with_and(
    case: Case,
    rows: list[dict[str, Any]],
    filters: dict[str, Any],
    keeps: Mapping[str, tuple[int, ...]],
    api: Api,
    forest: dict[str, str],
) -> None:
    parents = {name: CHILD[name] for name in case.parents}
    made = [
        make(api, case, resolved({**parents, **row}, forest), number, **resolved(row, forest))
        for number, row in enumerate(rows)
    ]
    check_every_combination(api, case, made, resolved(filters, forest), keeps)


def test_all_filters_of_session_agents_combine_with_and(
    api: Api, app: App, forest: dict[str, str]
) -> None:
    rows: list[tuple[str, dict[str, Any]]] = [
        ("s1", {"agentUuid": "a", "inDegree": 1, "state": "pending"}),
        ("s1", {"agentUuid": "b", "inDegree": 1, "state": "failed"}),
        ("s1", {"agentUuid": "a", "inDegree": 0, "state": "pending"}),
        ("s2", {"agentUuid": "a", "inDegree": 1, "state": "pending"}),
        ("s3", {"agentUuid": "a", "inDegree": 1, "state": "pending"}),
    ]
    actions = [
        {"primaryPath": False, "userInTheLoop": "ann", "predecessors": ["x", "y"]},
        {"primaryPath": False, "userInTheLoop": "ann", "predecessors": ["x"]},
        {"primaryPath": True, "userInTheLoop": "ann", "predecessors": ["x", "y"]},
        {"primaryPath": False, "userInTheLoop": "bob", "predecessors": ["x", "y"]},
        {"primaryPath": False, "userInTheLoop": "ann", "predecessors": ["y"]},
    ]
    made = []
    for (session, row), action in zip(rows, actions, strict=True):
        above = {
            "coordinationUuid": forest["c2" if session == "s3" else "c1"],
            "sessionUuid": forest[session],
        }
        made.append(make(api, SESSION_AGENT, above, 0, **row, agentAction=action))
    for number, uuid in enumerate(made[:3]):  # what the engine writes when it starts a session
        table = app.records.tables[SessionAgent]
        name = {"agent_uuid": "a", "agent_name": "red one" if number else "blue"}
        table.update(
            api.tenant,
            (forest["s1"], uuid),
            [SessionAgent.definition.set(name)],
            SessionAgent.session_uuid.exists(),
        )
    filters = {
        "sessionUuid": forest["s1"],
        "coordinationUuid": forest["c1"],
        "taskUuid": forest["t1"],
        "agentUuid": "a",
        "agentName": "red",
        "primaryPath": False,
        "userInTheLoop": "ann",
        "predecessor": "y",
        "predecessors": ["a", "c"],
        "inDegree": 1,
        "states": ["pending", "initial"],
    }
    keeps: dict[str, set[int]] = {
        "sessionUuid": {0, 1, 2},
        "coordinationUuid": {0, 1, 2, 3},
        "taskUuid": {0, 1, 2, 4},
        "agentUuid": {0, 2, 3, 4},
        "agentName": {1, 2},
        "primaryPath": {0, 1, 3, 4},
        "userInTheLoop": {0, 1, 2, 4},
        "predecessor": {0, 2, 3, 4},
        "predecessors": {0, 2, 3, 4},
        "inDegree": {0, 1, 3, 4},
        "states": {0, 2, 3, 4},
    }
    for size in (0, 1, 2, 3, len(filters)):
        for names in combinations(filters, size):
            kept = {*range(5)}.intersection(*(keeps[name] for name in names))
            found = uuids(SESSION_AGENT, api, **{name: filters[name] for name in names})
            assert sorted(found) == sorted(made[number] for number in kept), names
    without = dict(filters)
    del without["agentName"]
    assert uuids(SESSION_AGENT, api, **without) == made[:1]


def test_a_filter_that_is_null_or_an_empty_text_to_contain_is_no_filter(
    api: Api, forest: dict[str, str]
) -> None:
    both = sorted([forest["c1"], forest["c2"]])
    for value in (None, ""):
        found = uuids(COORDINATION, api, coordinationName=value, coordinationDescription=value)
        assert sorted(found) == both
    tasks = uuids(
        TASK, api, taskName="", taskDescription="", initialTaskQuery="", coordinationUuid=None
    )
    assert sorted(tasks) == sorted([forest["t1"], forest["t2"], forest["t3"]])


def test_a_filter_compares_letter_by_letter(api: Api, forest: dict[str, str]) -> None:
    COORDINATION.put(api, {}, coordinationUuid=forest["c1"], coordinationName="100 % Café_[a]")
    for text, count in (
        ("Café", 1),
        ("café", 0),
        ("%", 1),
        ("0 %", 1),
        ("_[", 1),
        (".", 0),
        ("a b", 0),
    ):
        assert len(uuids(COORDINATION, api, coordinationName=text)) == count


def test_a_long_text_is_searched_where_it_lives(api: Api, forest: dict[str, str]) -> None:
    COORDINATION.put(
        api,
        {},
        coordinationUuid=forest["c1"],
        coordinationDescription="x" * 100_000 + "needle" + "x" * 100_000,
    )
    assert uuids(COORDINATION, api, coordinationDescription="needle") == [forest["c1"]]


# Pages


@pytest.fixture
def rows(api: Api, case: Case) -> tuple[dict[str, str], list[str]]:
    """Seven records below one parent, the oldest first, and how to list them."""
    world = World(api)
    if case is COORDINATION:
        for _ in range(6):
            make(api, case, world, 0)
        return {}, uuids(case, api)
    top = {"coordinationUuid": world["coordinationUuid"]}
    if case in (TASK_SCHEDULE,):
        world["taskUuid"] = TASK.put(api, world)["taskUuid"]
    if case in (SESSION_AGENT, SESSION_RUN):
        world["sessionUuid"] = SESSION.put(api, world)["sessionUuid"]
    if case in (TASK, SESSION):
        world["coordinationUuid"] = top["coordinationUuid"] = COORDINATION.put(api, {})[
            "coordinationUuid"
        ]
    made = [make(api, case, world, number) for number in range(7)]
    return {case.keys[0]: world[case.keys[0]]}, made


@every_record
def test_pages_by_number_part_the_list(
    case: Case, api: Api, rows: tuple[dict[str, str], list[str]], calls: Calls
) -> None:
    parent, made = rows
    newest_first = case not in (SESSION_AGENT, SESSION_RUN)
    expected = made[::-1] if newest_first else made
    pages = []
    for number in (1, 2, 3, 4):
        page = data(api, f"{case.name}List", **parent, limit=3, pageNumber=number)
        assert (page["pageSize"], page["pageNumber"], page["total"]) == (3, number, 7)
        assert (page["nextCursor"] is None) is (number >= 3)
        pages.append([each[case.uuid] for each in page[f"{case.name}List"]])
    assert pages == [expected[:3], expected[3:6], expected[6:], []]


@every_record
def test_cursors_part_the_list(
    case: Case, api: Api, rows: tuple[dict[str, str], list[str]]
) -> None:
    parent, made = rows
    for limit in (1, 3, 7, 8):
        found, cursor, steps = [], None, 0
        while steps == 0 or cursor is not None:
            page = data(api, f"{case.name}List", **parent, limit=limit, cursor=cursor)
            found += [each[case.uuid] for each in page[f"{case.name}List"]]
            cursor, steps = page["nextCursor"], steps + 1
            assert page["total"] == 7
        assert steps == -(-7 // limit)
        assert found == (made if case in (SESSION_AGENT, SESSION_RUN) else made[::-1])


@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: case.name)
def test_cursors_part_the_list_of_a_whole_tenant(case: Case, api: Api) -> None:
    for _ in range(3):
        world = World(api)
        make(api, case, world, 1)
    whole = [each[case.uuid] for each in case.list(api)]
    assert len(whole) == 6
    found, cursor = [], None
    while True:
        page = data(api, f"{case.name}List", limit=1, cursor=cursor)
        found += [each[case.uuid] for each in page[f"{case.name}List"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == whole


def test_cursors_go_on_through_filters(api: Api) -> None:
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    made = [
        SESSION.put(api, above, status="active" if number % 3 else "failed")["sessionUuid"]
        for number in range(10)
    ]
    wanted = [uuid for number, uuid in enumerate(made) if number % 3 == 0][::-1]
    for where in (above, {}):
        arguments = {**where, "statuses": ["failed"], "limit": 3}
        first = data(api, "sessionList", **arguments)
        rest = data(api, "sessionList", **arguments, cursor=first["nextCursor"])
        found = [each["sessionUuid"] for each in first["sessionList"] + rest["sessionList"]]
        assert (found, rest["nextCursor"]) == (wanted, None)


def test_the_total_is_counted_only_when_it_is_asked_for(api: Api, calls: Calls) -> None:
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    for _ in range(5):
        TASK.put(api, above)
    calls.taken()
    data(
        api,
        "taskList",
        "{ taskList { taskUuid } pageSize pageNumber nextCursor }",
        **above,
        limit=2,
    )
    assert calls.taken() == {"Query": 1}
    assert data(api, "taskList", "{ ...on TaskListType { total } }", **above, limit=2) == {
        "total": 5
    }
    assert calls.taken()["Query"] > 1


def test_a_list_has_fifty_records_unless_it_says_otherwise(api: Api) -> None:
    page = data(api, "coordinationList")
    assert page == {
        "coordinationList": [],
        "pageSize": 50,
        "pageNumber": 1,
        "total": 0,
        "nextCursor": None,
    }


def test_agents_made_by_hand_are_found_by_the_name_in_their_coordination(
    api: Api, calls: Calls
) -> None:
    agents = [
        {"agentUuid": "a", "agentName": "red one"},
        {"agentUuid": "b", "agentName": "blue"},
        {"agentUuid": "c"},
    ]
    above = COORDINATION.put(api, {}, agents=agents)
    above = {**above, **SESSION.put(api, above)}
    made = {
        uuid: make(api, SESSION_AGENT, above, 0, agentUuid=uuid) for uuid in ("a", "b", "c", "gone")
    }
    calls.taken()
    assert uuids(SESSION_AGENT, api, agentName="red", sessionUuid=above["sessionUuid"]) == [
        made["a"]
    ]
    assert calls.taken()["GetItem"] == 1
    assert uuids(SESSION_AGENT, api, agentName="green", sessionUuid=above["sessionUuid"]) == []
    assert uuids(SESSION_AGENT, api.as_tenant(f"{api.tenant}-2"), agentName="red") == []
