"""GraphQL over HTTP, and the reports of long jobs, as Starlette routes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.api.transport import Context, Request, Response, answer, failure
from ai_coordination_engine.api.webhooks import PATH

PATHS = ("/graphql", "/{endpoint_id}/graphql", "/{endpoint_id}/ai_coordination_graphql")
METHODS = ("GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE")
"""All of them: the transport answers those that it does not take."""


@dataclass(frozen=True)
class GraphQLRoutes:
    """Serves one schema. `context` makes the GraphQL context of an endpoint id, a part id and an HTTP method."""

    documents: Documents
    context: Callable[[str | None, str | None, str], Context]
    cors_origins: Sequence[str] = ()

    def routes(self) -> list[Route]:
        """The routes of the API, with and without an endpoint in the path."""
        return [Route(path, self._endpoint, methods=METHODS) for path in PATHS]

    async def _endpoint(self, http: HttpRequest) -> HttpResponse:
        request = await _request(http, self.documents.limits.body_bytes)
        part_id = request.headers.get("part-id")
        made = partial(self.context, http.path_params.get("endpoint_id"), part_id, request.method)
        try:
            response = await answer(request, self.documents, made, self.cors_origins)
        except Exception as error:
            response = failure(request, error, self.cors_origins)
        return HttpResponse(response.body, response.status, response.headers)


def webhook_route(webhook: Callable[[Request], Awaitable[Response]], limits: Limits) -> Route:
    """The route on which long jobs report."""

    async def endpoint(http: HttpRequest) -> HttpResponse:
        request = await _request(http, limits.body_bytes)
        try:
            response = await webhook(request)
        except Exception as error:
            response = failure(request, error)
        return HttpResponse(response.body, response.status, response.headers)

    return Route(PATH, endpoint, methods=METHODS)


async def _request(http: HttpRequest, max_bytes: int) -> Request:
    """The request with its body, or as much of that as shows that it is too large."""
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > max_bytes:
            break
    return Request(http.method, headers, http.query_params.multi_items(), bytes(body))
