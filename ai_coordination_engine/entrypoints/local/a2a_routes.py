"""Starlette routes of the Agent2Agent protocol, below the tenant in the path, and of the cards."""

from collections.abc import Callable, Sequence
from functools import partial

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Route

from ai_coordination_engine.api import cors
from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.domain.a2a import CARD_PATH
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.asgi_routes import AnyMethod, respond, while_connected
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.a2a.server import A2AServer

PATH = "/a2a"
Tenant = Callable[[str | None, str | None], str]


def a2a_routes(
    app: App, tenant: Tenant, limits: Limits, cors_origins: Sequence[str]
) -> list[BaseRoute]:
    """Return the routes. `tenant` returns the tenant of an endpoint id and a part id, or raises
    `CoordinationError`.
    """
    server = A2AServer(app, has_streams=True)

    async def answer(http: HttpRequest, request: Request) -> Response | HttpResponse:
        if cors.is_preflight(request.method, request.headers, cors_origins):
            allowed = cors.response_headers(request.headers, cors_origins)
            return Response(204, allowed | cors.preflight_headers())
        endpoint_id = http.path_params.get("endpoint_id")
        acting_for = partial(tenant, endpoint_id, request.headers.get("part-id"))
        url = f"{_base(app, http)}{'' if endpoint_id is None else '/' + endpoint_id}{PATH}"
        if http.url.path.endswith(CARD_PATH):
            answered: Response | EventStream = await server.card(request, acting_for, url)
        else:
            below = http.path_params.get("path", "").strip("/")
            segments = below.split("/") if below else []
            answered = await while_connected(
                http, server.answer(request, acting_for, url, segments)
            )
        headers = dict(answered.headers) | cors.response_headers(request.headers, cors_origins)
        if isinstance(answered, EventStream):
            http.state.is_stream = True
            return StreamingResponse(answered.events, headers=headers)
        return Response(answered.status, headers, answered.body)

    async def endpoint(http: HttpRequest) -> HttpResponse:
        return await respond(http, partial(answer, http), limits.body_bytes, cors_origins)

    prefixes = ("", "/{endpoint_id}")
    paths = (CARD_PATH, PATH, PATH + "/{path:path}")
    return [Route(prefix + path, AnyMethod(endpoint)) for prefix in prefixes for path in paths]


def _base(app: App, http: HttpRequest) -> str:
    """The URL of this server: that of the settings, else as the caller has called it."""
    return app.settings.public_url.rstrip("/") or f"{http.url.scheme}://{http.url.netloc}"
