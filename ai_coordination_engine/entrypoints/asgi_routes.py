"""GraphQL over HTTP as Starlette routes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.transport import Context, Request, answer, failure

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
        headers: dict[str, str] = {}
        for name, value in http.headers.items():
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        request = Request(http.method, headers, http.query_params.multi_items(), await self._body(http))
        made = partial(self.context, http.path_params.get("endpoint_id"), headers.get("part-id"), request.method)
        try:
            response = await answer(request, self.documents, made, self.cors_origins)
        except Exception as error:
            response = failure(request, error, self.cors_origins)
        return HttpResponse(response.body, response.status, response.headers)

    async def _body(self, http: HttpRequest) -> bytes:
        """The body, or as much of it as shows that it is too large."""
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > self.documents.limits.body_bytes:
                break
        return bytes(body)
