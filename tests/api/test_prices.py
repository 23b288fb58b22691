"""The estimated cost of requests on the real schema; nothing is executed."""

from typing import Any

import pytest
from graphql import get_introspection_query, get_named_type, parse

from ai_coordination_engine.api.prices import PRICES, WRITE, Prices
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.errors import TooComplex
from benchmarks.harness.api import DOCUMENTS
from tests.kit.api import ROOTS, document, selection_of

GRAPH = SCHEMA.graphql_schema
LISTS = [name for name, field in ROOTS["query"].fields.items() if "limit" in field.args]
STARTS = (
    "executeProcedureTaskSession",
    "askOperationHub",
    "forkSession",
    "retrySession",
    "rerunSessionAgent",
    "reconcileSession",
    "runTaskSchedule",
    "backfillTaskSchedule",
)
TEXT = ': "x"'
TEXTS = {"String!": TEXT, "DateTime!": ': "2026-11-02T09:00:00Z"'}


def cost(source: str, name: str | None = None, **variables: Any) -> int:
    with pytest.raises(TooComplex) as refused:
        Prices(GRAPH, -1).check(parse(source), name, variables)
    return int(refused.value.extensions["cost"])


def accepted(source: str, **variables: Any) -> bool:
    try:
        DOCUMENTS.prices.check(DOCUMENTS.prepare(source), None, variables)
    except TooComplex:
        return False
    return True


def query(selection: str) -> str:
    return f"{{ {selection} }}"


def times(count: int, field: str) -> str:
    return " ".join(f"a{number}: {field}" for number in range(count))


LIST = "sessionList(%s) { sessionList { sessionUuid status } }"
# both fields of lists, the page's object, seven sessions
SEVEN = 1 + 5_000 + 4 + 1 + 100 + 7 * (25 + 4 + 2)


@pytest.mark.parametrize(
    ("source", "variables", "units"),
    [
        ("{ ping }", {}, 1),
        ("{ a: ping b: ping ... { c: ping } ...F } fragment F on Query { d: ping }", {}, 4),
        (
            '{ task(coordinationUuid: "c", taskUuid: "t") { taskUuid taskName } }',
            {},
            1 + 100 + 4 + 2,
        ),
        (f"{{ {LIST % 'limit: 7'} }}", {}, SEVEN),
        (f"query($n: Int) {{ {LIST % 'limit: $n'} }}", {"n": 7}, SEVEN),
        (f"query($n: Int) {{ {LIST % 'limit: $n'} }}", {"n": 7.0}, SEVEN),
        (f"query($n: Int = 7) {{ {LIST % 'limit: $n'} }}", {}, SEVEN),
        (f"query($n: Int = 7) {{ {LIST % 'limit: $n'} }}", {"n": None}, SEVEN + 43 * 31),
        (f"query($n: Int) {{ {LIST % 'limit: $n'} }}", {}, SEVEN + 43 * 31),
        (f"{{ {LIST % 'limit: null'} }}", {}, SEVEN + 43 * 31),
        (f"{{ {LIST % 'pageNumber: 1'} }}", {}, SEVEN + 43 * 31),
        (f"{{ {LIST % 'limit: 7, statuses: []'} }}", {}, SEVEN + 1_000),
        (
            (
                "{ sessionList(limit: 7) { ...F } } fragment F on SessionListType { sessionList {"
                " sessionUuid status } }"
            ),
            {},
            SEVEN,
        ),
        (
            "{ sessionList(limit: 7) { ... { sessionList { sessionUuid status } } total } }",
            {},
            SEVEN + 5_001,
        ),
        (
            "{ sessionList(limit: 7) { sessionList { sessionUuid status task { taskName } } } }",
            {},
            SEVEN + 7 * 16,
        ),
        (
            (
                "{ sessionList(limit: 7) { sessionList { sessionUuid status sessionAgents { state }"
                " } } }"
            ),
            {},
            SEVEN + 7 * (1 + 100 + 10 * (25 + 4 + 1)),
        ),
        (
            "query($yes: Boolean!) { ping a: ping @skip(if: $yes) b: ping @include(if: $yes) }",
            {"yes": True},
            2,
        ),
        (
            "query($yes: Boolean = false) { a: ping @skip(if: $yes) b: ping @include(if: $yes) }",
            {},
            1,
        ),
        (
            "{ a: ping @skip(if: true) ...F @include(if: false) } fragment F on Query { ping }",
            {},
            0,
        ),
        ("query($yes: Boolean) { a: ping @skip(if: $yes) @include(if: true) }", {"yes": "true"}, 1),
    ],
)
def test_a_request_costs_what_it_asks_for(
    source: str, variables: dict[str, Any], units: int
) -> None:
    assert cost(source, **variables) == units


def test_only_the_operation_that_is_executed_is_paid_for() -> None:
    source = "query A { ping } query B { a: ping b: ping }"
    assert (cost(source, "A"), cost(source, "B")) == (1, 2)
    DOCUMENTS.prices.check(parse(source), None, {})  # execution says that a name is missing


@pytest.mark.parametrize("value", [0, -1, 1001, 10**12, True, "7", [], {}, float("inf")])
def test_a_limit_that_execution_refuses_is_not_refused_for_its_price(value: Any) -> None:
    assert cost(f"query($n: Int) {{ {LIST % 'limit: $n'} }}", n=value) == SEVEN - 6 * 31


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_a_thousand_whole_records_is_accepted(name: str) -> None:
    given = {"limit": 1000, "pageNumber": 1}
    days = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-30T00:00:00Z"}  # of usage
    names = tuple(each for each in (*given, *days) if each in ROOTS["query"].fields[name].args)
    assert accepted(document(name, names, selection_of(name)), **given, **days)
    assert not accepted(query(times(40, f"{name}(limit: 1000) {selection_of(name)}")))


def test_price_of_a_document_that_is_kept_depends_on_the_variables() -> None:
    source = f"query($n: Int) {{ {times(5, LIST % 'limit: $n')} }}"
    assert [accepted(source, n=each) for each in (1, 1_000, 1)] == [True, False, True]


AROUND = "sessionUuid task { taskName } coordination { coordinationName }"
BELOW = "sessionAgents { agentUuid state agentOutput } sessionRuns { runUuid asyncTask }"


def test_the_usual_nested_documents_are_accepted() -> None:
    assert accepted(f"{{ sessionList(limit: 1000) {{ sessionList {{ {AROUND} }} }} }}")
    assert accepted(
        f"{{ sessionList(limit: 50) {{ sessionList {{ {AROUND} {BELOW} }} total nextCursor }} }}"
    )
    assert accepted(f"{{ sessionList(limit: 100) {{ sessionList {{ {AROUND} {BELOW} }} }} }}")
    assert not accepted(f"{{ sessionList(limit: 1000) {{ sessionList {{ {AROUND} {BELOW} }} }} }}")


def test_cycles_multiply() -> None:
    cycle = "sessionAgents { session { sessionAgents { session { sessionAgents { %s } } } } }"
    one = '{ session(coordinationUuid: "c", sessionUuid: "s") { %s } }'
    assert accepted(one % cycle % "agentUuid")
    assert not accepted(one % cycle % times(90, "agentOutput"))
    assert not accepted(one % times(3, cycle % "agentUuid"))
    pair = (
        "sessionAgents { session { sessionRuns { session { coordination { coordinationUuid } }"
        " } } }"
    )
    assert not accepted(query(f"sessionList(limit: 30) {{ sessionList {{ {pair} }} }}"))


@pytest.mark.parametrize("name", ROOTS["mutation"].fields)
def test_a_request_has_at_most_twelve_starts_and_a_hundred_writes(name: str) -> None:
    arguments = [
        each + TEXTS[str(argument.type)]
        for each, argument in ROOTS["mutation"].fields[name].args.items()
        if str(argument.type)[-1] == "!"
    ]
    field = f"{name}({', '.join(arguments)}) {{ __typename }}"
    most = 12 if name in STARTS else 100
    assert cost(f"mutation {{ {field} }}") >= (8 * WRITE if most == 12 else WRITE)
    assert accepted(f"mutation {{ {times(5, field)} }}")
    assert not accepted(f"mutation {{ {times(most + 1, field)} }}")


def test_asking_as_a_query_costs_the_same() -> None:
    ask = 'askOperationHub(coordinationUuid: "c", userQuery: "q") { runUuid }'
    assert accepted(f"{{ {times(12, ask)} }}")
    assert not accepted(f"{{ {times(13, ask)} }}")


def test_introspection_is_possible_and_not_multiplied() -> None:
    whole = get_introspection_query(
        input_value_deprecation=True, specified_by_url=True, schema_description=True
    )
    assert accepted(whole)
    assert accepted('{ __schema { types { name } } __type(name: "TaskType") { name } }')
    assert not accepted(query(times(7, "__schema { types { name } }")))


def test_the_refusal_says_what_to_do() -> None:
    source = "{ sessionList(limit: 1000) { sessionList { sessionAgents { state } } } }"
    with pytest.raises(TooComplex) as refused:
        DOCUMENTS.prices.check(parse(source), None, {})
    assert refused.value.message.startswith(
        "the request costs 435,106 units; at most 100,000 are allowed: ask for less at a time: a"
        " smaller limit"
    )
    assert refused.value.extensions == {"cost": 435_106, "limit": 100_000}


def test_prices_name_fields_that_there_are() -> None:
    for name in PRICES:
        parent, _, field = name.partition(".")
        assert field.startswith("__") or get_named_type(GRAPH.type_map[parent].fields[field].type)
