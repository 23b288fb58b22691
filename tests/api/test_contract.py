"""The wire contract: names and types from a table, rules by the API's behaviour."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine import api as api_package
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.transport import answer
from ai_coordination_engine.domain.statuses import AGENT_STATES, SCHEDULE_STATUSES, SESSION_STATUSES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.http_messages import Request
from benchmarks.harness.api import DOCUMENTS, Api, Worker
from tests.kit.api import ROOTS, code, data, document, error, send
from tests.kit.contract import (
    ADDED,
    ADDED_MUTATIONS,
    ADDED_QUERIES,
    ASK,
    MUTATIONS,
    NON_NULL,
    QUERIES,
    SUBSCRIPTIONS,
    TYPES,
    type_of,
)
from tests.kit.records import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    TASK,
    TASK_SCHEDULE,
    Case,
    World,
    items,
)

COMMITTED = Path(api_package.__file__).parent / "schema.graphql"


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


# Names and types


def test_the_committed_schema_is_the_schema() -> None:
    assert COMMITTED.read_text() == f"{SCHEMA}\n", (
        "The schema changed. Is that wanted, and does the contract allow it? Then renew the"
        " committed one: ace schema print > ai_coordination_engine/api/schema.graphql"
    )


@pytest.mark.parametrize("name", TYPES)
def test_a_type_has_the_fields_of_the_contract(name: str) -> None:
    fields = SCHEMA.graphql_schema.type_map[name].fields
    always = NON_NULL.get(name, "").split()
    expected = {field: type_of(field) + "!" * (field in always) for field in TYPES[name].split()}
    assert {field: str(fields[field].type) for field in expected} == expected


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_has_the_arguments_and_the_answer_of_the_contract(name: str) -> None:
    arguments, answers = QUERIES[name]
    field = ROOTS["query"].fields[name]
    check_arguments_of(field, arguments)
    if not name.endswith("List"):
        assert str(field.type) == answers
        return
    fields = {inner: str(value.type) for inner, value in field.type.fields.items()}
    record = f"{name[0].upper()}{name[1:].removesuffix('List')}Type"
    assert str(field.type) == f"{name[0].upper()}{name[1:]}Type"
    assert fields == {
        answers: f"[{record}]",
        "pageSize": "Int",
        "pageNumber": "Int",
        "total": "Int",
        "nextCursor": "String",
    }


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_has_the_arguments_and_the_payload_of_the_contract(name: str) -> None:
    arguments, payload = MUTATIONS[name]
    field = ROOTS["mutation"].fields[name]
    check_arguments_of(field, arguments)
    assert {inner: str(value.type) for inner, value in field.type.fields.items()} == {
        payload: type_of(payload)
    }


def check_arguments_of(field: Any, arguments: str) -> None:
    expected = {name.removesuffix("!"): type_of(name) for name in arguments.split()}
    assert {name: str(field.args[name].type) for name in expected} == expected
    extra = {name: str(value.type) for name, value in field.args.items() if name not in expected}
    assert not any(kind.endswith("!") for kind in extra.values()), "a new argument must be optional"


@pytest.mark.parametrize("name", ADDED)
def test_a_type_has_what_is_offered_beyond_the_contract_and_no_more(name: str) -> None:
    fields = {
        field: str(value.type)
        for field, value in SCHEMA.graphql_schema.type_map[name].fields.items()
    }
    of_the_contract = TYPES.get(name, "").split()
    assert {field: kind for field, kind in fields.items() if field not in of_the_contract} == ADDED[
        name
    ]


@pytest.mark.parametrize("name", [*ADDED_QUERIES, *ADDED_MUTATIONS])
def test_an_operation_beyond_the_contract_has_its_arguments_and_its_answer(name: str) -> None:
    arguments, answers = {**ADDED_QUERIES, **ADDED_MUTATIONS}[name]
    field = ROOTS["query" if name in ADDED_QUERIES else "mutation"].fields[name]
    assert {each: str(value.type) for each, value in field.args.items()} == {
        each.removesuffix("!"): type_of(each) for each in arguments.split()
    }
    if name in ADDED_QUERIES:
        assert str(field.type) == answers
    else:
        assert {inner: str(value.type) for inner, value in field.type.fields.items()} == {
            each: type_of(each) for each in answers.split()
        }


def test_nothing_else_is_offered() -> None:
    assert set(ROOTS["query"].fields) == {*QUERIES, *ADDED_QUERIES}
    assert set(ROOTS["mutation"].fields) == {*MUTATIONS, *ADDED_MUTATIONS, "askOperationHub"}


def test_a_subscription_has_the_arguments_and_the_type_of_the_query_of_its_name() -> None:
    fields = SCHEMA.graphql_schema.subscription_type.fields
    assert {name: str(field.type) for name, field in fields.items()} == SUBSCRIPTIONS
    for name in fields.keys() - {"agentOutput"}:
        assert fields[name].args.keys() == ROOTS["query"].fields[name].args.keys()
        arguments, _ = {**QUERIES, **ADDED_QUERIES}[name]
        check_arguments_of(fields[name], arguments)
    check_arguments_of(fields["agentOutput"], "sessionUuid! sessionAgentUuid!")
    output = SCHEMA.graphql_schema.type_map["AgentOutputType"].fields
    assert {name: str(field.type) for name, field in output.items()} == {
        "delta": "String!",
        "done": "Boolean!",
        "attempt": "Int",
    }


def test_asking_is_a_mutation_and_a_deprecated_query() -> None:
    query, mutation = (ROOTS[root].fields["askOperationHub"] for root in ("query", "mutation"))
    check_arguments_of(mutation, ASK)
    assert str(mutation.type) == "AskOperationHubType"
    assert query.deprecation_reason == "It has side effects: use the mutation of the same name."
    assert mutation.deprecation_reason is None


# Operations beside CRUD


def test_ping_greets(api: Api) -> None:
    assert re.match(r"^Hello at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", data(api, "ping"))


@pytest.mark.parametrize("root", ["query", "mutation"])
def test_asking_answers_where_the_answer_will_be(
    root: str, api: Api, world: World, worker: Worker
) -> None:
    selection = (
        "{ runUuid threadUuid agentUuid asyncTaskUuid sessionUuid sessionAgentUuid coordinationUuid"
        " partitionKey updatedAt session { status taskQuery userId } }"
    )
    arguments = {
        "coordinationUuid": world["coordinationUuid"],
        "userQuery": "why?",
        "userId": "ann",
    }
    asked = api.data(document("askOperationHub", tuple(arguments), selection, root), **arguments)[
        "askOperationHub"
    ]
    assert (asked["agentUuid"], asked["partitionKey"]) == ("a", api.tenant)
    assert asked["session"] == {"status": "active", "taskQuery": "why?", "userId": "ann"}
    assert asked["asyncTaskUuid"] == asked["runUuid"]
    worker.drain()
    run = data(api, "sessionRun", sessionUuid=asked["sessionUuid"], runUuid=asked["runUuid"])
    assert (run["threadUuid"], run["sessionAgentUuid"]) == (
        asked["threadUuid"],
        asked["sessionAgentUuid"],
    )
    agent = data(
        api,
        "sessionAgent",
        sessionUuid=asked["sessionUuid"],
        sessionAgentUuid=asked["sessionAgentUuid"],
    )
    assert (agent["state"], agent["agentOutput"]) == ("completed", "why?")


async def test_asking_over_get_is_refused_and_writes_nothing(
    app: App, world: World, tenant: str
) -> None:
    before = items(app)
    query = (
        f'{{ askOperationHub(coordinationUuid: "{world["coordinationUuid"]}", userQuery: "q") {{'
        " runUuid } }"
    )

    async def sent(method: str) -> Any:
        request = (
            Request("GET", {}, [("query", query)])
            if method == "GET"
            else Request(
                "POST",
                {"content-type": "application/json"},
                body=json.dumps({"query": query}).encode(),
            )
        )
        return await answer(request, DOCUMENTS, lambda: Context(app, tenant, method))

    refused = await sent("GET")
    (found,) = json.loads(refused.body)["errors"]
    assert found["extensions"] == {"code": "BAD_USER_INPUT"}
    assert found["message"] == "askOperationHub has side effects; send it with POST."
    assert items(app) == before
    assert "errors" not in json.loads((await sent("POST")).body)


def test_a_procedure_answers_its_session(api: Api, world: World) -> None:
    arguments = {
        "coordinationUuid": world["coordinationUuid"],
        "taskUuid": world["taskUuid"],
        "userId": "ann",
        "taskQuery": "go",
    }
    selection = """{ procedureTaskSession {
        coordinationUuid sessionUuid taskUuid userId taskQuery partitionKey
      coordination { coordinationName } session { status } task { taskName } } }"""
    started = data(api, "executeProcedureTaskSession", selection, **arguments)[
        "procedureTaskSession"
    ]
    assert started == {
        **arguments,
        "sessionUuid": started["sessionUuid"],
        "partitionKey": api.tenant,
        "coordination": {"coordinationName": "brief"},
        "session": {"status": "dispatched"},
        "task": {"taskName": "t"},
    }


# Rules that clients rely on


def test_what_a_task_says_about_strangers_is_dropped_with_a_warning(api: Api, world: World) -> None:
    sent = send(
        api,
        "insertUpdateTask",
        "{ task { subtaskQueries agentActions } }",
        coordinationUuid=world["coordinationUuid"],
        taskName="t",
        updatedBy="ann",
        subtaskQueries=[
            {"agentUuid": "a", "subtaskQuery": "1"},
            {"agentUuid": "ghost", "subtaskQuery": "2"},
            {"agentUuid": "a", "subtaskQuery": "3"},
        ],
        agentActions={
            "a": {},
            "b": {"predecessors": ["a"]},
            "phantom": {"predecessors": ["nobody"]},
        },
    )
    assert sent == {
        "data": {
            "insertUpdateTask": {
                "task": {
                    "subtaskQueries": [
                        {"agentUuid": "a", "subtaskQuery": "1"},
                        {"agentUuid": "a", "subtaskQuery": "3"},
                    ],
                    "agentActions": {"a": {}, "b": {"predecessors": ["a"]}},
                }
            }
        },
        "extensions": {
            "warnings": [
                "subtaskQueries: ghost is not an agent of the coordination; dropped.",
                "agentActions: phantom is not an agent of the coordination; dropped.",
            ]
        },
    }


def test_a_task_that_names_nobody_any_more_warns_that_everybody_runs(
    api: Api, world: World
) -> None:
    task = {"coordinationUuid": world["coordinationUuid"], "taskName": "t", "updatedBy": "ann"}
    ghost = [{"agentUuid": "ghost", "subtaskQuery": "2"}]
    assert send(api, "insertUpdateTask", **task, subtaskQueries=ghost)["extensions"][
        "warnings"
    ] == [
        "subtaskQueries: ghost is not an agent of the coordination; dropped.",
        "No agent of the task is left: every agent of type task will run.",
    ]
    assert "extensions" not in send(api, "insertUpdateTask", **task, subtaskQueries=[])


def test_an_update_of_a_task_drops_and_warns_too(api: Api, world: World) -> None:
    arguments = {
        "coordinationUuid": world["coordinationUuid"],
        "taskUuid": world["taskUuid"],
        "taskName": "t",
        "updatedBy": "ann",
    }
    sent = send(api, "insertUpdateTask", **arguments, agentActions={"ghost": {}})
    assert sent["data"]["insertUpdateTask"]["task"]["agentActions"] == {}
    assert sent["extensions"]["warnings"] == [
        "agentActions: ghost is not an agent of the coordination; dropped."
    ]
    assert "extensions" not in send(api, "insertUpdateTask", **arguments, agentActions={"a": {}})


@pytest.mark.parametrize(
    ("actions", "cycle"),
    [
        ({"a": {"predecessors": ["a"]}}, ["a", "a"]),
        ({"a": {"predecessors": ["b"]}, "b": {"predecessors": ["a"]}}, ["a", "b", "a"]),
    ],
)
def test_a_cycle_is_named(actions: Any, cycle: list[str], api: Api, world: World, app: App) -> None:
    before = items(app)
    for own in ({}, {"taskUuid": world["taskUuid"]}, {"taskUuid": "new"}):
        refused = error(
            api,
            "insertUpdateTask",
            coordinationUuid=world["coordinationUuid"],
            taskName="t",
            updatedBy="ann",
            agentActions=actions,
            **own,
        )
        assert refused == {
            "message": f"agentActions: these agents wait for each other: {' -> '.join(cycle)}.",
            "code": "BAD_USER_INPUT",
            "cycle": cycle,
        }
    assert items(app) == before


def test_a_predecessor_that_is_no_agent_is_named(api: Api, world: World, app: App) -> None:
    before = items(app)
    refused = error(
        api,
        "insertUpdateTask",
        coordinationUuid=world["coordinationUuid"],
        taskName="t",
        updatedBy="ann",
        agentActions={"a": {"predecessors": ["ghost"]}},
    )
    assert refused == {
        "message": "agentActions.a: predecessor 'ghost' is not an agent of the coordination.",
        "code": "BAD_USER_INPUT",
    }
    assert items(app) == before


@pytest.mark.parametrize(
    ("case", "name", "words"),
    [
        (SESSION, "status", SESSION_STATUSES),
        (TASK_SCHEDULE, "status", SCHEDULE_STATUSES),
        (SESSION_AGENT, "state", AGENT_STATES),
    ],
    ids=["session", "schedule", "agent"],
)
def test_every_status_is_accepted_and_no_other(
    case: Case, name: str, words: tuple[str, ...], api: Api, world: World, app: App
) -> None:
    for word in words:
        made = case.put(api, world, **{name: word})
        assert made[name] == word
        assert case.get(api, {**world, case.uuid: made[case.uuid]})[name] == word
    before = items(app)
    above = {key: world[key] for key in case.parents}
    unknown: list[str | None] = ["nobody", "", "Initial", " initial", "x" * 5_000_000, None]
    for wrong in unknown:
        for own in ({}, {case.uuid: world[case.uuid]}):
            refused = error(
                api, f"insertUpdate{case.title}", **{**above, **case.required, **own, name: wrong}
            )
            assert refused["code"] == "BAD_USER_INPUT"
            assert refused["message"].endswith(f"it takes one of: {', '.join(words)}.")
            assert len(refused["message"]) < 400
    assert items(app) == before


@pytest.mark.parametrize("word", ["completed", "failed", "timeout", "cancelled"])
def test_a_terminal_status_never_changes(word: str, api: Api, world: World) -> None:
    uuid = SESSION.put(api, world, status=word)["sessionUuid"]
    arguments = {
        "coordinationUuid": world["coordinationUuid"],
        "sessionUuid": uuid,
        "updatedBy": "ann",
    }
    assert code(api, "insertUpdateSession", **arguments, status="active") == "CONFLICT"
    assert SESSION.put(api, world, sessionUuid=uuid, status=word, logs="more")["logs"] == "more"


def test_a_task_of_agents_that_came_later_takes_them(api: Api, world: World) -> None:
    COORDINATION.put(
        api,
        {},
        coordinationUuid=world["coordinationUuid"],
        agents=[{"agentUuid": each} for each in ("a", "valid-1", "agentA1-Bc")],
    )
    actions = {"valid-1": {"predecessors": ["a"]}, "agentA1-Bc": {"predecessors": ["valid-1"]}}
    assert (
        TASK.put(api, world, agentActions=actions, taskUuid=world["taskUuid"])["agentActions"]
        == actions
    )
