"""Any value of its type as an argument of any root field gives data or a coded error."""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLArgument, GraphQLList, GraphQLNonNull
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.transport import answer
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.http_messages import Request
from benchmarks.harness.api import DOCUMENTS, Api
from tests.kit.api import ROOTS, data, selection_of
from tests.kit.records import World, valid

CODES = {
    "BAD_USER_INPUT",
    "NOT_FOUND",
    "HAS_DEPENDENTS",
    "IMMUTABLE",
    "CONFLICT",
    "FORBIDDEN",
    "TOO_COMPLEX",
}
EXAMPLES = int(os.environ.get("ANY_VALUE_EXAMPLES", "8"))  # for each root field
CHECKS = list(HealthCheck)
FIELDS = [(root, name) for root, type_ in ROOTS.items() for name in type_.fields]
HARD = (
    *(
        "",
        " ",
        "\t\n",
        "\0",
        "a\0b",
        "\ud800",
        "#",
        "/",
        "a#b",
        "../x",
        "=",
        "%2F",
        "null",
        "NaN",
        "1e999",
        "{",
        "[1,",
    ),
    *(
        '{"a": 1}',
        "{topic}",
        "{{",
        "\u200b",
        "\U0001f4a5",
        "x" * 257,
        "x" * 5_000,
        "ß" * 60_000,
        "9" * 5_000,
        "P1D",
    ),
    *(
        "rate(0 minutes)",
        "cron(* * * *)",
        "at(9999-12-31T23:59:59)",
        "initial",
        "completed",
        "wait_for_user_input",
    ),
)
texts = st.sampled_from(HARD) | st.text(max_size=12)
ints = st.sampled_from([0, 1, -1, 59, 1001, 2**31 - 1, -(2**31), 2**31]) | st.integers(
    -(2**31), 2**31 - 1
)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e308, 5e-324, -0.0])
leaves = (
    st.none() | st.booleans() | st.sampled_from([10**400, -(10**30), 2**63]) | ints | floats | texts
)
KEYS = (
    *(
        "agentUuid",
        "agent_uuid",
        "agentName",
        "agentType",
        "runtime",
        "kind",
        "name",
        "subtaskQuery",
        "predecessors",
    ),
    *(
        "primaryPath",
        "userInTheLoop",
        "actionFunction",
        "conditions",
        "when",
        "map",
        "over",
        "items",
        "join",
        "quorum",
    ),
    *(
        "retry",
        "attempts",
        "retryOn",
        "fallback",
        "answerSchema",
        "answerWithinSeconds",
        "defaultAnswer",
        "a",
        "b",
    ),
)
keys = st.sampled_from(KEYS) | texts


def deep(levels: int) -> Any:
    value: Any = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
) | st.sampled_from([deep(40), deep(99), deep(150), [None] * 200, {"a": {"predecessors": ["a"]}}])


@dataclass(frozen=True)
class Known:
    """Values that arguments may refer to; with those in `usual` a field succeeds."""

    usual: dict[str, str]
    more: dict[str, list[str]]


@pytest.fixture(scope="module")
def known(shared_app: App) -> Known:
    """One record of each kind, a running session, a session with a thread, and a long job."""
    with asyncio.Runner() as runner:
        api = Api(shared_app, runner)
        world = World(api)
        above = {"coordinationUuid": world["coordinationUuid"]}
        started = data(api, "executeProcedureTaskSession", **above, taskUuid=world["taskUuid"])[
            "procedureTaskSession"
        ]
        asked = data(api, "askOperationHub", **above, userQuery="q")
        agents = data(api, "sessionAgentList", sessionUuid=started["sessionUuid"])[
            "sessionAgentList"
        ]
    usual = {
        **world,
        "id": started["id"] if "id" in started else agents[0]["id"],
        "asyncTaskUuid": asked["asyncTaskUuid"],
    }
    more = {
        "sessionUuid": [started["sessionUuid"], asked["sessionUuid"]],
        "sessionAgentUuid": [
            asked["sessionAgentUuid"],
            *(each["sessionAgentUuid"] for each in agents),
        ],
        "threadUuid": [asked["threadUuid"]],
        "agentUuid": ["a", "b"],
        "id": [each["id"] for each in agents],
    }
    return Known(usual, more)


def values_of(name: str, argument: GraphQLArgument, known: Known) -> st.SearchStrategy[Any]:
    """Draw values of the argument's type, some of them uuids of existing records."""
    type_ = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
    if isinstance(type_, GraphQLList):
        found = st.lists(_named(name, str(type_.of_type), known) | st.none(), max_size=4)
    else:
        found = _named(name, str(type_), known)
    return found if isinstance(argument.type, GraphQLNonNull) else found | st.none()


def _named(name: str, type_name: str, known: Known) -> st.SearchStrategy[Any]:
    found = [*known.more.get(name, ()), *([known.usual[name]] if name in known.usual else ())]
    if found:
        return st.sampled_from(found) | texts
    kinds = {"String": texts, "ID": texts, "DateTime": texts, "Int": ints, "Boolean": st.booleans()}
    return kinds.get(type_name, json_values)


def literal(value: Any) -> str:
    """Return a value as written in a document, without keys that GraphQL's grammar does
    not allow.
    """
    if isinstance(value, dict):
        pairs = {key: each for key, each in value.items() if key.isidentifier() and key.isascii()}
        return "{" + " ".join(f"{key}: {literal(each)}" for key, each in pairs.items()) + "}"
    if isinstance(value, list):
        return "[" + " ".join(map(literal, value)) + "]"
    return json.dumps(value)


def document(root: str, name: str, arguments: dict[str, Any], *, inline: bool) -> str:
    types = ROOTS[root].fields[name].args
    passed = ", ".join(
        f"{each}: {literal(value) if inline else '$' + each}" for each, value in arguments.items()
    )
    declared = ", ".join(f"${each}: {types[each].type}" for each in arguments if not inline)
    head, call = f"({declared})" if declared else "", f"({passed})" if passed else ""
    return f"{root}{head} {{ {name}{call} {selection_of(name)} }}"


async def told(app: App, body: dict[str, Any]) -> Any:
    request = Request("POST", {"content-type": "application/json"}, body=json.dumps(body).encode())
    return json.loads((await answer(request, DOCUMENTS, lambda: Context(app, "acme"))).body)


@pytest.mark.parametrize(("root", "name"), FIELDS, ids=[f"{root}-{name}" for root, name in FIELDS])
def test_no_value_is_an_internal_error(root: str, name: str, shared_app: App, known: Known) -> None:
    arguments = ROOTS[root].fields[name].args
    usual = {each: value for each, value in valid(name, known.usual).items() if each in arguments}
    others = st.fixed_dictionaries(
        {},
        optional={each: values_of(each, argument, known) for each, argument in arguments.items()},
    )

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=CHECKS,
    )
    @given(changed=others, inline=st.booleans())
    def check(changed: dict[str, Any], inline: bool) -> None:
        given_ = {**usual, **changed}
        source = document(root, name, given_, inline=inline)
        found = runner.run(
            told(shared_app, {"query": source, "variables": {} if inline else given_})
        )
        codes = [error["extensions"]["code"] for error in found.get("errors", ())]
        assert set(codes) <= CODES, found["errors"]
        assert codes or name in found["data"]

    with asyncio.Runner() as runner:
        check()


def test_no_life_of_a_thread_is_an_internal_error(shared_app: App) -> None:
    with asyncio.Runner() as runner:
        api = Api(shared_app, runner)
        coordination = {"coordinationUuid": World(api)["coordinationUuid"]}
        first = data(api, "askOperationHub", **coordination, userQuery="q")
        thread = first["threadUuid"]
        above = {**coordination, "sessionUuid": first["sessionUuid"], "threadUuid": thread}
        for minutes, is_alive in ((2**31 - 1, True), (-(2**31), False), (-1, False), (60, True)):
            asked = data(api, "askOperationHub", **above, userQuery="q", threadLifeMinutes=minutes)
            assert (asked["threadUuid"] == thread) is is_alive
