import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import graphene
import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import QueryError

from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.api.transport import Context, answer, check_json, failure
from ai_coordination_engine.errors import (
    BadUserInput,
    Forbidden,
    HasDependents,
    TooComplex,
    Unauthenticated,
)
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.observability import logger

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"


class Anything(graphene.Scalar):
    @staticmethod
    def parse_value(value: Any) -> Any:
        if value == "refuse":
            raise ValueError("it says so")
        return value

    serialize = parse_value


def recurse() -> None:
    recurse()


def throttling() -> ClientError:
    return ClientError(
        {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "ace-x"}}, "Query"
    )


class Query(graphene.ObjectType):
    hello = graphene.String(name=graphene.String(default_value="you"))
    echo = graphene.Field(Anything, value=Anything())
    number = graphene.Int(value=graphene.Int(required=True))
    warned = graphene.String()
    refused = graphene.String()
    throttled = graphene.String()
    throttled_in_store = graphene.String()
    cancelled = graphene.String()
    broken = graphene.String()
    same_batch = graphene.List(graphene.String)
    missing = graphene.NonNull(graphene.String)
    ill_typed = graphene.Int()
    endless = graphene.String()

    async def resolve_hello(self, info: Any, name: str) -> str:
        return f"Hello {name}"

    def resolve_echo(self, info: Any, value: Any = None) -> Any:
        return value

    def resolve_number(self, info: Any, value: int) -> int:
        return value

    def resolve_warned(self, info: Any) -> str:
        info.context.warnings.append("one entry was dropped")
        return "done"

    def resolve_refused(self, info: Any) -> str:
        raise HasDependents("2 tasks are in the way", dependents={"task": 2})

    def resolve_throttled(self, info: Any) -> str:
        raise RuntimeError("Failed to query: ace-tasks") from throttling()

    def resolve_throttled_in_store(self, info: Any) -> str:
        raise QueryError("Failed to query items: ace-tasks", throttling())

    def resolve_cancelled(self, info: Any) -> str:
        reasons: Any = [{"Code": "None"}, {"Code": "ThrottlingError"}]
        answered: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": reasons,
        }
        raise ClientError(answered, "TransactWriteItems")

    def resolve_broken(self, info: Any) -> str:
        raise KeyError("ace-coordinations")

    def resolve_same_batch(self, info: Any) -> list[Any]:
        failed = RuntimeError("the batch")
        return [failed, failed]

    def resolve_ill_typed(self, info: Any) -> str:
        return "ace-sessions"

    def resolve_endless(self, info: Any) -> Any:
        return recurse()


class Mutation(graphene.ObjectType):
    change = graphene.String()

    def resolve_change(self, info: Any) -> str:
        return "changed"


class Subscription(graphene.ObjectType):
    ticks = graphene.Int()


DOCUMENTS = Documents(
    graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription).graphql_schema
)


@dataclass
class FakeContext:
    warnings: list[str] = field(default_factory=list)
    trace: str | None = None


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def log() -> Iterator[Log]:
    handler = Log()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def post(body: object, documents: Documents = DOCUMENTS, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": JSON} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return await answer(Request("POST", named, body=content), documents, FakeContext)


async def get(*query: tuple[str, str], accept: str = GRAPHQL_JSON) -> Response:
    return await answer(Request("GET", {"accept": accept}, query), DOCUMENTS, FakeContext)


async def execute(query: str, **variables: object) -> Any:
    return json.loads((await post({"query": query, "variables": variables})).body)


def codes(response: Response) -> list[str]:
    return [error["extensions"]["code"] for error in json.loads(response.body)["errors"]]


async def test_a_query_is_answered_as_json_that_nobody_stores() -> None:
    response = await post({"query": "{ hello }"})
    assert response == Response(
        200,
        {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"},
        b'{"data":{"hello":"Hello you"}}',
    )


async def test_a_query_in_the_url_is_answered() -> None:
    response = await get(
        ("query", "query Q($n: String) { hello(name: $n) }"), ("variables", '{"n": "ä🏃"}')
    )
    assert (response.status, json.loads(response.body)) == (200, {"data": {"hello": "Hello ä🏃"}})


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON};q=0.9", GRAPHQL_JSON),
        (f"{JSON};q=0.9, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL_JSON),
        (f"{JSON}, {GRAPHQL_JSON}", JSON),
        (f"{JSON};q=0, */*", GRAPHQL_JSON),
        (f"text/html, {GRAPHQL_JSON};q=0.1", GRAPHQL_JSON),
        ("text/event-stream, multipart/mixed, */*;q=0.1", JSON),
    ],
)
async def test_the_client_chooses_the_media_type(accept: str, media_type: str) -> None:
    response = await post({"query": "{ hello }"}, accept=accept)
    assert (response.status, response.headers["content-type"]) == (
        200,
        f"{media_type}; charset=utf-8",
    )


@pytest.mark.parametrize(
    "accept", ["text/html", f"{JSON};q=0", "*/*;q=0", f"{JSON};q=no", f"{JSON};q=-1"]
)
async def test_a_client_that_takes_neither_media_type_gets_406(accept: str) -> None:
    response = await post({"query": "{ hello }"}, accept=accept)
    assert (response.status, codes(response)) == (406, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": ""},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json; charset=latin-1"},
        {"content_type": "application/json; charset=utf-16"},
        {"content_type": "application/json; charset=zip"},
        {"content_encoding": "gzip"},
    ],
)
async def test_a_body_that_is_not_json_in_utf_8_is_415(headers: dict[str, str]) -> None:
    response = await post({"query": "{ hello }"}, **headers)
    assert (response.status, codes(response)) == (415, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    "content_type", ["application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"']
)
async def test_the_content_type_may_name_utf_8(content_type: str) -> None:
    assert (await post({"query": "{ hello }"}, content_type=content_type)).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get"])
async def test_other_methods_are_405(method: str) -> None:
    response = await answer(Request(method, {}), DOCUMENTS, FakeContext)
    assert (response.status, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_mutation_over_get_is_405_with_the_method_to_use(accept: str) -> None:
    response = await get(("query", "mutation { change }"), accept=accept)
    assert (response.status, response.headers["allow"], codes(response)) == (
        405,
        "POST",
        ["BAD_USER_INPUT"],
    )


async def test_the_operation_that_is_named_decides_about_get() -> None:
    both = ("query", "query Q { hello } mutation M { change }")
    assert (await get(both, ("operationName", "Q"))).status == 200
    assert (await get(both, ("operationName", "M"))).status == 405


async def test_a_mutation_over_post_is_executed() -> None:
    assert await execute("mutation { change }") == {"data": {"change": "changed"}}


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nope }",
        "query ($v: Int!) { number(value: $v) }",
        "subscription { ticks }",
        "query A { hello } query B { hello }",
    ],
)
@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL_JSON, 400)])
async def test_what_is_not_executed_has_no_data_and_is_an_error_by_media_type(
    query: str, accept: str, status: int
) -> None:
    response = await post({"query": query}, accept=accept)
    assert (response.status, codes(response)) == (status, ["BAD_USER_INPUT"])
    assert list(json.loads(response.body)) == ["errors"]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_what_was_executed_has_data_even_if_it_is_null(accept: str, log: Log) -> None:
    response = await post({"query": "{ missing }"}, accept=accept)
    assert (response.status, json.loads(response.body)["data"], codes(response)) == (
        200,
        None,
        ["INTERNAL"],
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request body is not JSON: Expecting value, line 1"),
        (b'{"query"', "the request body is not JSON: Expecting ':' delimiter, line 1"),
        (b'{"query": "\xff"}', "the request body holds bytes that are not UTF-8"),
        (b"\xef\xbb\xbf{}", "`query` must be a string with a GraphQL document"),
        (
            "\ufeff{".encode("utf-16-le"),
            (
                "the request body is not JSON: Expecting property name enclosed in double quotes,"
                " line 1"
            ),
        ),
        (b"\xfe\xff\xd8\x00", "the request body holds bytes that are not UTF-16-BE"),
        (b"[]", "the request body must be one JSON object; batches are not supported"),
        (
            b'[{"query": "{ hello }"}]',
            "the request body must be one JSON object; batches are not supported",
        ),
        (b'"{ hello }"', "the request body must be one JSON object; batches are not supported"),
        (b"{}", "`query` must be a string with a GraphQL document"),
        (b'{"query": 7}', "`query` must be a string with a GraphQL document"),
        (b'{"query": "{ hello }", "operationName": 7}', "`operationName` must be a string or null"),
        (b'{"query": "{ hello }", "variables": "{}"}', "`variables` must be an object or null"),
        (b'{"query": "{ hello }", "variables": [1]}', "`variables` must be an object or null"),
        (b'{"query": "{ hello }", "extensions": 0}', "`extensions` must be an object or null"),
        (b'{"query": "{ hello }", "query": "{ hello }"}', "a parameter or key is given twice"),
        (
            b'{"query": "{ hello }", "variables": {}, "variables": {}}',
            "a parameter or key is given twice",
        ),
        (
            b'{"query": "{ hello }", "variables": {"a": {"b": 1, "b": 2}}}',
            "a parameter or key is given twice",
        ),
        (b'{"query": "{ hello }", "variables": {"a": NaN}}', "a number is not finite"),
        (b'{"query": "{ hello }", "variables": {"a": [-Infinity]}}', "a number is not finite"),
        (b'{"query": "{ hello }", "variables": {"a": 1e999}}', "a number is not finite"),
        (
            b'{"query": "{ hello }", "variables": {"a": %s}}' % (b"1" * 5_000),
            "the request body holds a number too large or is nested too deeply",
        ),
        (
            b'{"query": "{ hello }", "variables": {"a": %s%s}}' % (b"[" * 10_000, b"]" * 10_000),
            "the request body holds a number too large or is nested too deeply",
        ),
        (
            b'{"query": "{ hello }", "variables": {"a": %s%s}}'
            % (b'{"a":' * 10_000 + b"1", b"}" * 10_000),
            "the request body holds a number too large or is nested too deeply",
        ),
        (
            b'{"query": "{ hello }", "variables": {"a": %s%s}}' % (b"[" * 101, b"]" * 101),
            "JSON is nested deeper than 100 levels",
        ),
    ],
)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_malformed_request_is_400_and_says_why(
    body: bytes, message: str, accept: str
) -> None:
    response = await post(body, accept=accept)
    expected = {"errors": [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]}
    assert (response.status, json.loads(response.body)) == (400, expected)


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "{ hello }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ hello }", "variables": {"a": [{"b\\udc00": 1}]}}',
        b'{"query": "{ hello }", "variables": {"\\udfff": 1}}',
        b'{"query": "{ hello(name: \\"\\ud83c\\") }"}',
        b'{"query": "{ hello }", "operationName": "\\ud83c"}',
    ],
)
async def test_half_a_surrogate_pair_anywhere_is_bad_user_input(body: bytes) -> None:
    response = await post(body)
    assert (response.status, codes(response)) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("query", "{ hello }"), ("query", "{ hello }")],
        [("query", "{ hello }"), ("variables", "{}"), ("variables", "{}")],
        [("query", "{ hello }"), ("variables", "x")],
        [("query", "{ hello }"), ("variables", "[]")],
        [("query", "{ hello }"), ("extensions", "1")],
        [("query", '{ hello(name: "\udcff") }')],
        [("query", "{ hello }"), ("variables", "[" * 10_000)],
    ],
)
async def test_malformed_parameters_in_the_url_are_400(query: list[tuple[str, str]]) -> None:
    response = await get(*query, accept=JSON)
    assert (response.status, codes(response)) == (400, ["BAD_USER_INPUT"])


HASH = {
    "persistedQuery": {
        "version": 1,
        "sha256Hash": "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38",
    }
}
NOT_SUPPORTED = {
    "errors": [
        {
            "message": "PersistedQueryNotSupported",
            "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"},
        },
    ]
}


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
@pytest.mark.parametrize("document", [{}, {"query": None}, {"query": ""}])
async def test_a_hash_without_its_document_tells_the_client_to_send_the_document(
    document: dict[str, Any], accept: str
) -> None:
    asked = [
        await post(
            {"operationName": "Q", "variables": {}, "extensions": HASH, **document}, accept=accept
        ),
        await get(("operationName", "Q"), ("extensions", json.dumps(HASH)), accept=accept),
    ]
    assert [(each.status, json.loads(each.body)) for each in asked] == [(200, NOT_SUPPORTED)] * 2


async def test_a_hash_with_its_document_is_ignored() -> None:
    wrong = {"persistedQuery": {"version": 7, "sha256Hash": "wrong"}}
    assert json.loads((await post({"query": "{ hello }", "extensions": wrong})).body) == {
        "data": {"hello": "Hello you"}
    }
    got = await get(("query", "{ hello }"), ("extensions", json.dumps(wrong)))
    assert json.loads(got.body) == {"data": {"hello": "Hello you"}}


@pytest.mark.parametrize("extensions", [{}, {"persistedQuery": None}, {"other": 1}])
async def test_other_extensions_do_not_stand_for_a_document(extensions: dict[str, Any]) -> None:
    response = await post({"extensions": extensions})
    assert (response.status, codes(response)) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize("name", [None, ""])
async def test_an_empty_operation_name_names_none(name: str | None) -> None:
    assert (await post({"query": "{ hello }", "operationName": name})).status == 200


async def test_json_at_the_depth_limit_is_accepted() -> None:
    value: Any = "🏃\u0000"
    for _ in range(97):
        value = [value]
    assert await execute("query ($v: Anything) { echo(value: $v) }", v=value) == {
        "data": {"echo": value}
    }


def test_depth_counts_objects_and_lists() -> None:
    check_json({"a": [{"b": "c"}]}, 3)
    with pytest.raises(BadUserInput):
        check_json({"a": [{"b": "c"}]}, 2)


def test_json_of_too_many_values_is_too_complex() -> None:
    check_json({"a": [1, 2, 3]}, 9, 5)  # the key, the list and its three numbers
    with pytest.raises(TooComplex, match="more than 4 keys and values"):
        check_json({"a": [1, 2, 3]}, 9, 4)


async def test_a_body_over_the_limit_is_413() -> None:
    documents = Documents(DOCUMENTS.schema, Limits(body_bytes=30))
    assert (await post(b'{"query": "{ hello }"}        ', documents)).status == 200
    response = await post(b'{"query": "{ hello }"}         ', documents)
    assert (response.status, codes(response)) == (413, ["TOO_COMPLEX"])


async def test_a_string_of_5_mb_passes() -> None:
    text = "x" * 5_000_000
    assert await execute("query ($v: Anything) { echo(value: $v) }", v=text) == {
        "data": {"echo": text}
    }


@pytest.mark.parametrize(
    "query",
    [
        "{ hello(name: " + "[" * 10_000 + "]" * 10_000 + ") }",
        "{ " + "hello " * 11_000 + "}",
        "{ " + " ".join(f"a{i}: hello" for i in range(501)) + " }",
        "{ " + " ".join(f"x{i}" for i in range(30)) + " }",
    ],
)
async def test_what_the_server_gives_up_on_is_too_complex(query: str) -> None:
    response = await post({"query": query}, accept=GRAPHQL_JSON)
    assert (response.status, codes(response)[-1]) == (400, "TOO_COMPLEX")


async def test_exhausting_the_stack_in_a_field_is_too_complex(log: Log) -> None:
    answered = await execute("{ hello endless }")
    assert answered["data"] == {"hello": "Hello you", "endless": None}
    assert answered["errors"][0]["extensions"] == {"code": "TOO_COMPLEX"}
    assert log.records == []


async def test_warnings_are_in_the_extensions_and_only_then() -> None:
    assert await execute("{ warned }") == {
        "data": {"warned": "done"},
        "extensions": {"warnings": ["one entry was dropped"]},
    }


async def test_an_error_of_ours_keeps_its_code_message_and_extensions() -> None:
    assert await execute("{ refused }") == {
        "errors": [
            {
                "message": "2 tasks are in the way",
                "locations": [{"line": 1, "column": 3}],
                "path": ["refused"],
                "extensions": {"dependents": {"task": 2}, "code": "HAS_DEPENDENTS"},
            }
        ],
        "data": {"refused": None},
    }


@pytest.mark.parametrize("name", ["throttled", "throttledInStore", "cancelled"])
async def test_throttling_under_any_wrapper_is_throttled(name: str, log: Log) -> None:
    (error,) = (await execute(f"{{ {name} }}"))["errors"]
    assert error["extensions"] == {"code": "THROTTLED", "retryable": True}
    assert error["message"] == "the backend refuses more work for now: try again after a moment"
    assert log.records == []


@pytest.mark.parametrize("name", ["broken", "illTyped", "missing"])
async def test_an_unexpected_exception_is_internal_and_logged_once(name: str, log: Log) -> None:
    (error,) = (await execute(f"{{ {name} }}"))["errors"]
    (record,) = log.records
    correlation_id = error["extensions"]["correlationId"]
    assert UUID(correlation_id).hex == correlation_id == record.correlation_id
    assert error["message"] == f"internal error; correlation id {correlation_id}"
    assert error["extensions"] == {"code": "INTERNAL", "correlationId": correlation_id}
    assert record.exc_info[1] is not None


async def test_an_exception_that_fields_share_is_logged_once(log: Log) -> None:
    first, second = (await execute("{ sameBatch }"))["errors"]
    assert first["extensions"] == second["extensions"]
    assert len(log.records) == 1


async def test_a_value_that_a_scalar_refuses_is_bad_user_input() -> None:
    by_variable = await execute("query ($v: Anything) { echo(value: $v) }", v="refuse")
    assert [error["extensions"] for error in by_variable["errors"]] == [{"code": "BAD_USER_INPUT"}]
    assert by_variable["errors"][0]["message"].endswith("Expected type 'Anything'. it says so")


async def test_a_variable_that_is_missing_where_it_is_needed_is_bad_user_input() -> None:
    answered = await execute("query ($v: Int = 1) { number(value: $v) }", v=None)
    assert [error["extensions"] for error in answered["errors"]] == [{"code": "BAD_USER_INPUT"}]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Unauthenticated("who?"), 401, "UNAUTHENTICATED"), (Forbidden("no"), 403, "FORBIDDEN")],
)
async def test_a_context_may_refuse_the_caller(
    accept: str, error: Exception, status: int, code: str
) -> None:
    def refuse() -> Context:
        raise error

    response = await answer(Request("POST", {"accept": accept}), DOCUMENTS, refuse)
    assert (response.status, codes(response)) == (status, [code])
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


async def test_a_result_that_is_no_json_is_raised_for_the_server_to_log() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        await post({"query": "{ echo(value: null) }"}, Documents(infinite_schema()))


def infinite_schema() -> Any:
    class Infinite(graphene.ObjectType):
        echo = graphene.Field(Anything, value=Anything())

        def resolve_echo(self, info: Any, value: Any = None) -> float:
            return float("inf")

    return graphene.Schema(query=Infinite).graphql_schema


def test_an_unexpected_failure_is_500_and_tells_nothing(log: Log) -> None:
    response = failure(Request("POST", {}), RuntimeError("ace-tasks"))
    assert (response.status, codes(response)) == (500, ["INTERNAL"])
    assert b"ace-tasks" not in response.body
    assert len(log.records) == 1


def test_a_throttled_backend_is_503(log: Log) -> None:
    response = failure(Request("POST", {}), throttling())
    assert (response.status, codes(response)) == (503, ["THROTTLED"])


PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "POST"}


def cors(response: Response) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.startswith("access-control") or name == "vary"
    }


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
async def test_cors_is_closed_by_default(method: str) -> None:
    response = await answer(Request(method, PREFLIGHT), DOCUMENTS, FakeContext)
    assert cors(response) == {}


async def test_an_allowed_origin_gets_its_preflight_without_credentials() -> None:
    def refuse() -> Context:
        raise Unauthenticated("who?")

    response = await answer(
        Request("OPTIONS", PREFLIGHT), DOCUMENTS, refuse, ["https://app.example"]
    )
    assert response == Response(
        204,
        {
            "vary": "origin",
            "access-control-allow-origin": "https://app.example",
            "access-control-allow-methods": "GET, POST, DELETE",
            "access-control-allow-headers": (
                "authorization, content-type, part-id, traceparent, tracestate,"
                " mcp-method, mcp-name, mcp-protocol-version, mcp-session-id,"
                " a2a-version, a2a-extensions"
            ),
            "access-control-max-age": "600",
        },
    )


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil.example", "null"]
)
async def test_another_origin_gets_no_preflight(origin: str) -> None:
    request = Request("OPTIONS", PREFLIGHT | {"origin": origin})
    response = await answer(request, DOCUMENTS, FakeContext, ["https://app.example"])
    assert (response.status, cors(response)) == (405, {"vary": "origin"})


async def test_every_response_to_an_allowed_origin_may_be_read_by_it() -> None:
    for query in ([("query", "{ hello }")], []):
        request = Request("GET", {"origin": "https://app.example"}, query)
        response = await answer(request, DOCUMENTS, FakeContext, ["https://app.example"])
        assert cors(response) == {
            "vary": "origin",
            "access-control-allow-origin": "https://app.example",
        }


async def test_a_star_allows_every_origin() -> None:
    response = await answer(
        Request("GET", {"origin": "https://any.example"}), DOCUMENTS, FakeContext, ["*"]
    )
    assert cors(response) == {"access-control-allow-origin": "*"}
