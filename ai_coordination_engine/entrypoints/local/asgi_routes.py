"""Starlette routes for GraphQL over HTTP, for other answers of the API, and for unknown paths."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.api.transport import Context, HttpError, answer, failure, too_large
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.entrypoints.aws.http_events import unknown_path
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.http_messages import Request, Response

PATHS = ("/graphql", "/{endpoint_id}/graphql", "/{endpoint_id}/ai_coordination_graphql")
CLIENT_CLOSED = 499
"""The status of a response to a client that has disconnected."""

T = TypeVar("T")
Endpoint = Callable[[HttpRequest], Awaitable[HttpResponse]]


class AnyMethod:
    """An ASGI application that passes requests of every method to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._endpoint(HttpRequest(scope, receive))
        await response(scope, receive, send)


def only_get(endpoint: Endpoint) -> Endpoint:
    """Restrict an endpoint to GET and HEAD; other methods get a 405."""

    async def refusing(http: HttpRequest) -> HttpResponse:
        if http.method in ("GET", "HEAD"):
            return await endpoint(http)
        return as_http(
            failure(without_body(http), HttpError(405, BadUserInput("use GET"), allow="GET, HEAD"))
        )

    return refusing


@dataclass(frozen=True)
class GraphQLRoutes:
    """Serves one schema.

    `context` creates the GraphQL context for an endpoint id, a part id and an HTTP method. `page`
    returns the answer to a browser, or None when the request is not from a browser. `websocket`
    serves a WebSocket connection. `stream` returns the stream that answers a request, or None.
    """

    documents: Documents
    context: Callable[[str | None, str | None, str], Context]
    cors_origins: Sequence[str] = ()
    page: Callable[[HttpRequest], HttpResponse | None] = lambda _: None
    websocket: Callable[[WebSocket], Awaitable[None]] | None = None
    stream: Callable[[Request, Callable[[], Any]], HttpResponse | None] = lambda *_: None

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the API, with and without an endpoint in the path."""
        paths = [path + slash for path in PATHS for slash in ("", "/")]
        return [
            *(Route(path, AnyMethod(self._endpoint)) for path in paths),
            *(WebSocketRoute(path, self.websocket) for path in paths if self.websocket),
        ]

    async def _endpoint(self, http: HttpRequest) -> HttpResponse:
        return self.page(http) or await respond(
            http, partial(self._graphql, http), self.documents.limits.body_bytes, self.cors_origins
        )

    async def _graphql(self, http: HttpRequest, request: Request) -> Response | HttpResponse:
        part_id = request.headers.get("part-id")
        made = partial(self.context, http.path_params.get("endpoint_id"), part_id, request.method)
        streamed = self.stream(request, made)
        if streamed is not None:
            http.state.is_stream = True
            return streamed
        return await answer(request, self.documents, made, self.cors_origins)


def answering_route(
    path: str, answerer: Callable[..., Awaitable[Response]], limits: Limits
) -> Route:
    """Return a route whose requests `answerer` answers, within the limits of the API. It gets the
    parameters of the path by name.
    """

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return await respond(http, partial(answerer, **http.path_params), limits.body_bytes)

    return Route(path, AnyMethod(endpoint))


def not_found_route(cors_origins: Sequence[str]) -> Route:
    """Return the route for all other paths; it answers 404."""

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return as_http(failure(without_body(http), unknown_path(), cors_origins))

    return Route("/{path:path}", AnyMethod(endpoint))


async def respond(
    http: HttpRequest,
    answerer: Callable[[Request], Awaitable[Response | HttpResponse]],
    max_bytes: int,
    cors_origins: Sequence[str] = (),
) -> HttpResponse:
    """Return the response to a request; never raises."""
    request = without_body(http)
    try:
        if http.method == "POST":
            request = replace(request, body=await _body(http, max_bytes))
        answered = await answerer(request)
        return as_http(answered) if isinstance(answered, Response) else answered
    except ClientDisconnect:
        return HttpResponse(status_code=CLIENT_CLOSED)
    except Exception as error:
        return as_http(failure(request, error, cors_origins))


async def while_connected(http: HttpRequest, answering: Coroutine[Any, Any, T]) -> T:
    """Return an answer for which the client of a request, whose body was read, may wait for long.

    Raises `ClientDisconnect` once it has gone: then nothing waits any more.
    """
    answer, gone = asyncio.ensure_future(answering), asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for each in (answer, gone):
            each.cancel()
        await asyncio.wait((answer, gone))


async def _gone(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


def as_http(response: Response) -> HttpResponse:
    """Return a response of the API as one of Starlette."""
    return HttpResponse(response.body, response.status, response.headers)


def without_body(http: HttpRequest) -> Request:
    """Return the request without its body, which is not read."""
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(http.method, headers, http.query_params.multi_items())


async def _body(http: HttpRequest, max_bytes: int) -> bytes:
    """Return the body; raises `HttpError` 413 as soon as it exceeds `max_bytes`."""
    body = bytearray()
    if _content_length(http) > max_bytes:
        raise too_large(max_bytes)
    async for chunk in http.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    return bytes(body)


def _content_length(http: HttpRequest) -> int:
    length = http.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
