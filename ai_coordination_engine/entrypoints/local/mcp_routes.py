"""Starlette routes of the Model Context Protocol, below the tenant in the path."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Route

from ai_coordination_engine.api import cors
from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.asgi_routes import AnyMethod, respond, while_connected
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.mcp.server import McpServer

PATHS = ("/mcp", "/{endpoint_id}/mcp")


def mcp_routes(
    app: App,
    tenant: Callable[[str | None, str | None], str],
    limits: Limits,
    cors_origins: Sequence[str],
) -> list[BaseRoute]:
    """Return the routes.

    `tenant` returns the tenant of an endpoint id and a part id, or raises `CoordinationError`.
    """
    mcp = McpServer(app, has_streams=True)

    async def answer(http: HttpRequest, request: Request) -> Response | HttpResponse:
        if cors.is_preflight(request.method, request.headers, cors_origins):
            allowed = cors.response_headers(request.headers, cors_origins)
            return Response(204, allowed | cors.preflight_headers())
        ids: tuple[Any, Any] = http.path_params.get("endpoint_id"), request.headers.get("part-id")
        # the server's guard has checked the origin
        answered = await while_connected(http, mcp.answer(request, partial(tenant, *ids)))
        headers = dict(answered.headers) | cors.response_headers(request.headers, cors_origins)
        if isinstance(answered, EventStream):
            http.state.is_stream = True
            return StreamingResponse(answered.events, headers=headers)
        return Response(answered.status, headers, answered.body)

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return await respond(http, partial(answer, http), limits.body_bytes, cors_origins)

    return [Route(path + slash, AnyMethod(endpoint)) for path in PATHS for slash in ("", "/")]
