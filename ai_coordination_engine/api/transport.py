"""GraphQL over HTTP without a server: functions from a request to a response.

The Lambda handler and the local server call `answer`. It follows the specification "GraphQL over
HTTP" (graphql.github.io/graphql-over-http/draft) for both media types. The audits of the npm
package `graphql-http` test it. Comments name the sections.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from inspect import isawaitable
from math import isfinite
from typing import Protocol, TypeVar

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
)

from ai_coordination_engine.api import cors
from ai_coordination_engine.api.execution import MeteredExecution, to_its_end, within_budget
from ai_coordination_engine.api.formatting import error_to_show, formatted_errors
from ai_coordination_engine.api.limits import DocumentError, Documents, Limits
from ai_coordination_engine.api.media_types import (
    EVENTS,
    GRAPHQL_JSON,
    JSON,
    media_type_of,
    negotiated,
)
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text, trace_context
from ai_coordination_engine.domain.charsets import Undecodable, decode
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    PersistedQueryNotSupported,
    TooComplex,
)
from ai_coordination_engine.http_messages import Request, Response

_STATUS = {
    "BAD_USER_INPUT": 400,
    "TOO_COMPLEX": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "THROTTLED": 503,
    # The status of Apollo Server; clients then send the query.
    "PERSISTED_QUERY_NOT_SUPPORTED": 200,
}


V = TypeVar("V")


class Context(Protocol):
    """What the transport needs of a GraphQL context: `warnings`, to which resolvers append, and
    `trace`, the caller's trace (`domain.trace_context`).
    """

    warnings: list[str]
    trace: str | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """A well-formed GraphQL request (section "Request Parameters"). `trace`: the caller's context
    that its extensions name, as it is stored.
    """

    query: str
    operation_name: str | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    trace: str | None = None


class HttpError(Exception):
    """A request that is refused with an HTTP status; `error` becomes the body."""

    def __init__(self, status: int, error: CoordinationError, **headers: str) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


async def answer(
    request: Request,
    documents: Documents,
    context: Callable[[], Context],
    cors_origins: Sequence[str] = (),
) -> Response:
    """Return the response to one request; raises nothing for errors of the request.

    `context` creates the GraphQL context in the running event loop, before the body is parsed. It
    may refuse the caller with a `CoordinationError`. Pass any other exception to `failure`.
    """
    if cors.is_preflight(request.method, request.headers, cors_origins):
        allowed = cors.response_headers(request.headers, cors_origins)
        return Response(204, allowed | cors.preflight_headers())
    try:
        return await _answer(request, documents, context, cors_origins)
    except (HttpError, CoordinationError) as error:
        return failure(request, error, cors_origins)


def failure(request: Request, error: Exception, cors_origins: Sequence[str] = ()) -> Response:
    """Return the response to a request that could not be executed, for any exception."""
    headers: dict[str, str] = {}
    if isinstance(error, HttpError):
        status, headers, error = error.status, error.headers, error.error
    else:
        shown = error_to_show(error)
        status = _STATUS.get(shown.code, 400) if shown else 500
    if status == 401:
        headers = {"www-authenticate": "Bearer"}
    media_type = negotiated(request.headers.get("accept", "")) or JSON
    payload = {"errors": formatted_errors([error])}
    return response(
        status, payload, media_type, headers | cors.response_headers(request.headers, cors_origins)
    )


async def run(
    parameters: Parameters, documents: Documents, context: Context, *, read_only: bool = False
) -> dict[str, object]:
    """Execute one operation and return the response object (GraphQL specification, "Response
    Format").

    `data` is absent when nothing was executed. Raises `HttpError` 405 for a mutation if
    `read_only`.
    """
    try:
        document = documents.prepare(parameters.query)
        _check_operation(document, parameters.operation_name, read_only)
        documents.prices.check(document, parameters.operation_name, parameters.variables)
    except DocumentError as invalid:
        return {"errors": formatted_errors(invalid.errors)}
    except CoordinationError as error:
        return {"errors": formatted_errors([error])}
    context.trace = parameters.trace or context.trace
    return await executed(document, parameters, documents, context)


async def executed(
    document: DocumentNode, parameters: Parameters, documents: Documents, context: Context
) -> dict[str, object]:
    """Execute an operation of a valid document once, and return the response object.

    A subscription is executed like a query.
    """
    result = execute(
        documents.schema,
        document,
        context_value=context,
        variable_values=dict(parameters.variables),
        operation_name=parameters.operation_name,
        execution_context_class=MeteredExecution,
        hide_suggestions=not documents.limits.suggestions,
    )
    result = await to_its_end(result) if isawaitable(result) else result
    result, refusal = within_budget(result, context, document, parameters.operation_name)
    return _response_object(result, context.warnings, [refusal] if refusal else result.errors or ())


def parameters_from(values: Mapping[str, object], limits: Limits) -> Parameters:
    """Return the parameters in a JSON object; raises `BadUserInput`, naming the wrong one."""
    check_json(values, limits.json_depth, limits.json_values)
    query, name = values.get("query"), values.get("operationName")
    if not query and _is_persisted_query(values.get("extensions")):
        raise PersistedQueryNotSupported("PersistedQueryNotSupported")
    if not isinstance(query, str):
        raise BadUserInput("`query` must be a string with a GraphQL document")
    if name is not None and not isinstance(name, str):
        raise BadUserInput("`operationName` must be a string or null")
    variables = _object_of(values, "variables")
    trace = trace_context.given(_object_of(values, "extensions"))
    return Parameters(query, name or None, variables, trace)


def _is_persisted_query(extensions: object) -> bool:
    """Whether the extensions name a persisted query."""
    return isinstance(extensions, dict) and extensions.get("persistedQuery") is not None


def _object_of(values: Mapping[str, object], parameter: str) -> Mapping[str, object]:
    value = values.get(parameter)
    if value is not None and not isinstance(value, dict):
        raise BadUserInput(f"`{parameter}` must be an object or null")
    return value or {}


def check_json(value: object, max_depth: int, max_values: int = 200_000) -> None:
    """Raise an error for JSON that cannot be processed.

    `BadUserInput`: lone surrogates, infinite numbers, or nesting deeper than `max_depth`.
    `TooComplex`: more than `max_values` keys and values.
    """
    level, count = [value], 0
    for _ in range(max_depth + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += item
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, str):
                _check_text(item)
            elif isinstance(item, float) and not isfinite(item):
                raise BadUserInput("a number is not finite")
        if not inner:
            return
        level, count = inner, count + len(inner)
        if count > max_values:
            raise TooComplex(
                f"JSON holds more than {max_values} keys and values; send it in several requests"
            )
    raise BadUserInput(f"JSON is nested deeper than {max_depth} levels")


async def _answer(
    request: Request,
    documents: Documents,
    context: Callable[[], Context],
    cors_origins: Sequence[str],
) -> Response:
    if request.method not in ("GET", "POST"):
        raise HttpError(405, BadUserInput("use GET or POST"), allow="GET, POST")
    media_type = negotiated(request.headers.get("accept", ""))
    if media_type is None:
        raise HttpError(406, BadUserInput(f"the response is {GRAPHQL_JSON} or {JSON}"))
    made = context()
    made.trace = trace_context.given(request.headers)
    parameters = parameters_of(request, documents.limits)
    payload = await run(parameters, documents, made, read_only=request.method == "GET")
    # Sections "application/json" and "application/graphql-response+json": only the latter has a
    # status.
    status = 400 if media_type == GRAPHQL_JSON and "data" not in payload else 200
    return response(
        status, payload, media_type, cors.response_headers(request.headers, cors_origins)
    )


def parameters_of(request: Request, limits: Limits) -> Parameters:
    """Return the parameters of a GET or POST request; raises `HttpError` and `CoordinationError`
    for what is none.
    """
    is_get = request.method == "GET"
    return parameters_from(_from_url(request) if is_get else _from_body(request, limits), limits)


def too_large(max_bytes: int) -> HttpError:
    """Return the error for a body that is larger than `max_bytes`."""
    return HttpError(
        413,
        TooComplex(f"the request body is larger than {max_bytes} bytes: send less in one request"),
    )


def _from_url(request: Request) -> dict[str, object]:
    """Read the parameters from the URL (section "GET"); `variables` and `extensions` are JSON."""
    given = _unique(request.query)
    as_json = {name: given[name] for name in ("variables", "extensions") if name in given}
    return {**given, **{name: decoded(text, f"`{name}`") for name, text in as_json.items()}}


def _from_body(request: Request, limits: Limits) -> dict[str, object]:
    """Read the parameters from the body (section "POST"): a JSON object in UTF-8.

    A byte order mark overrides the encoding.
    """
    media_type, options = media_type_of(request.headers.get("content-type", ""))
    if media_type != JSON or options.get("charset", "utf-8") not in ("utf-8", "utf8"):
        raise HttpError(
            415,
            BadUserInput(f"the request body must be {JSON} in UTF-8: set the header Content-Type"),
        )
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise HttpError(415, BadUserInput("the request body must not be compressed"))
    if len(request.body) > limits.body_bytes:
        raise too_large(limits.body_bytes)
    values = decoded(request.body, "the request body")
    if not isinstance(values, dict):
        raise BadUserInput("the request body must be one JSON object; batches are not supported")
    return values


def decoded(text: bytes | str, what: str, content_type: str = "") -> object:
    """Return the value of JSON text or bytes; raises `BadUserInput`, which names the text as
    `what`.
    """
    try:
        text = decode(text, content_type) if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=_unique, parse_float=json_text.to_float)
    except Undecodable as error:
        raise BadUserInput(f"{what} {error}") from None
    except json.JSONDecodeError as error:
        raise BadUserInput(f"{what} is not JSON: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError):  # a number with thousands of digits, or deep nesting
        raise BadUserInput(f"{what} holds a number too large or is nested too deeply") from None


def _unique(pairs: Sequence[tuple[str, V]]) -> dict[str, V]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadUserInput("a parameter or key is given twice")
    return values


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadUserInput(
                "a text or key is not valid Unicode: it holds half of a surrogate pair"
            ) from None


def _check_operation(document: DocumentNode, name: str | None, read_only: bool) -> None:
    operation = get_operation_ast(document, name)
    if operation is None:  # execution reports the wrong operation name
        return
    if operation.operation == OperationType.SUBSCRIPTION:
        raise BadUserInput(
            "a subscription needs a connection that stays open: use the WebSocket endpoint, or the"
            f" header Accept: {EVENTS} where the server streams"
        )
    if read_only:
        _check_read_only(operation)


def check_read_only(parameters: Parameters, documents: Documents) -> None:
    """Raise `HttpError` 405 for a mutation; what is not valid is refused elsewhere."""
    with suppress(DocumentError, CoordinationError):
        document = documents.prepare(parameters.query)
        _check_read_only(get_operation_ast(document, parameters.operation_name))


def _check_read_only(operation: OperationDefinitionNode | None) -> None:
    if operation is not None and operation.operation == OperationType.MUTATION:
        raise HttpError(405, BadUserInput("a mutation must be sent with POST"), allow="POST")


def _response_object(
    result: ExecutionResult, warnings: Sequence[str], errors: Sequence[Exception]
) -> dict[str, object]:
    payload: dict[str, object] = {}
    if errors:
        payload["errors"] = formatted_errors(errors)
    if result.data is not None or not _is_request_error(result.errors or []):
        payload["data"] = result.data
    if warnings:
        payload["extensions"] = {"warnings": list(warnings)}
    return payload


def _is_request_error(errors: Sequence[GraphQLError]) -> bool:
    """Whether nothing was executed: the error of a field has a path (GraphQL specification,
    "Errors").
    """
    return any(error.path is None for error in errors)


def response(
    status: int, payload: Mapping[str, object], media_type: str, headers: Mapping[str, str]
) -> Response:
    """Return a response with a JSON body."""
    body = json_text.encode(payload)
    fixed = {"content-type": f"{media_type}; charset=utf-8", "cache-control": "no-store"}
    return Response(status, {**fixed, **headers}, body.encode(errors="replace"))
