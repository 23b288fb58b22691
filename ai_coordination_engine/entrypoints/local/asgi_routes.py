"""GraphQL over HTTP, the reports of long jobs, and what else there is locally, as Starlette
routes.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.api.transport import (
    Context,
    HttpError,
    Request,
    Response,
    answer,
    failure,
    too_large,
)
from ai_coordination_engine.api.webhooks import PATH
from ai_coordination_engine.entrypoints.aws.http_events import nothing_here
from ai_coordination_engine.errors import BadUserInput

PATHS = ("/graphql", "/{endpoint_id}/graphql", "/{endpoint_id}/ai_coordination_graphql")
GONE = 499
"""Status of a response that nobody is there to read."""

Answerer = Callable[[HttpRequest], Awaitable[HttpResponse]]


class AnyMethod:
    """An endpoint for all methods: it answers those that it does not take itself."""

    def __init__(self, endpoint: Answerer) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._endpoint(HttpRequest(scope, receive))
        await response(scope, receive, send)


def only_get(endpoint: Answerer) -> Answerer:
    """The endpoint, which answers GET and HEAD; others are refused."""

    async def refusing(http: HttpRequest) -> HttpResponse:
        if http.method in ("GET", "HEAD"):
            return await endpoint(http)
        return _sent(
            failure(_head(http), HttpError(405, BadUserInput("use GET"), allow="GET, HEAD"))
        )

    return refusing


@dataclass(frozen=True)
class GraphQLRoutes:
    """Serves one schema. `context` makes the GraphQL context of an endpoint id, a part id and an
    HTTP method.

    `page` is what a person gets who opens the address in a browser, or None when a program asks.
    """

    documents: Documents
    context: Callable[[str | None, str | None, str], Context]
    cors_origins: Sequence[str] = ()
    page: Callable[[HttpRequest], HttpResponse | None] = lambda _: None

    def routes(self) -> list[Route]:
        """The routes of the API, with and without an endpoint in the path."""
        return [
            Route(path + slash, AnyMethod(self._endpoint)) for path in PATHS for slash in ("", "/")
        ]

    async def _endpoint(self, http: HttpRequest) -> HttpResponse:
        return self.page(http) or await _answered(
            http, partial(self._graphql, http), self.documents.limits.body_bytes, self.cors_origins
        )

    async def _graphql(self, http: HttpRequest, request: Request) -> Response:
        part_id = request.headers.get("part-id")
        made = partial(self.context, http.path_params.get("endpoint_id"), part_id, request.method)
        return await answer(request, self.documents, made, self.cors_origins)


def webhook_route(webhook: Callable[[Request], Awaitable[Response]], limits: Limits) -> Route:
    """The route on which long jobs report."""

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return await _answered(http, webhook, limits.body_bytes)

    return Route(PATH, AnyMethod(endpoint))


def everything_else(cors_origins: Sequence[str]) -> Route:
    """The route of all other paths."""

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return _sent(failure(_head(http), nothing_here(), cors_origins))

    return Route("/{path:path}", AnyMethod(endpoint))


async def _answered(
    http: HttpRequest,
    answerer: Callable[[Request], Awaitable[Response]],
    max_bytes: int,
    cors_origins: Sequence[str] = (),
) -> HttpResponse:
    """The response to a request, whatever happens."""
    request = _head(http)
    try:
        if http.method == "POST":
            request = replace(request, body=await _body(http, max_bytes))
        return _sent(await answerer(request))
    except ClientDisconnect:
        return HttpResponse(status_code=GONE)
    except Exception as error:
        return _sent(failure(request, error, cors_origins))


def _sent(response: Response) -> HttpResponse:
    return HttpResponse(response.body, response.status, response.headers)


def _head(http: HttpRequest) -> Request:
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(http.method, headers, http.query_params.multi_items())


async def _body(http: HttpRequest, max_bytes: int) -> bytes:
    """The body; raises `HttpError` 413 as soon as it is known to be too large."""
    body = bytearray()
    if _announced(http) > max_bytes:
        raise too_large(max_bytes)
    async for chunk in http.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    return bytes(body)


def _announced(http: HttpRequest) -> int:
    length = http.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
