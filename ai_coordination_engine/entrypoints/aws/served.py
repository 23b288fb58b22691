"""What is served to other systems by the function of the API; loaded when one calls."""

from collections.abc import Callable

from ai_coordination_engine.api import cors
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.invocations import check_size
from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.mcp.server import McpServer, refusal


async def answer_mcp(app: App, request: Request, tenant: Callable[[], str]) -> Response:
    """Return the response to a request of the Model Context Protocol.

    `tenant` returns the tenant that the caller's credentials allow, or raises `CoordinationError`.
    """
    origins = app.settings.cors_origins
    if cors.is_preflight(request.method, request.headers, origins):
        allowed = cors.response_headers(request.headers, origins)
        return Response(204, allowed | cors.preflight_headers())
    answered = await McpServer(app).answer(
        request, tenant, lambda origin: cors.allows(origins, origin)
    )
    assert not isinstance(answered, EventStream)  # an HTTP API has no streams
    try:
        check_size(answered)
    except TooComplex as error:
        answered = refusal(error, request)
    headers = dict(answered.headers) | cors.response_headers(request.headers, origins)
    return Response(answered.status, headers, answered.body)
