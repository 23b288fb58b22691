"""The Agent2Agent protocol on AWS, by the function of the API; loaded when a system calls."""

from collections.abc import Callable

from ai_coordination_engine.api import cors
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.http_events import A2APlace
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.a2a.server import A2AServer


async def answer_a2a(
    app: App, request: Request, place: A2APlace, tenant: Callable[[], str]
) -> Response:
    """Return the response to a request at this place.

    `tenant` returns the tenant that the caller's credentials allow, or raises `CoordinationError`.
    """
    origins = app.settings.cors_origins
    if cors.is_preflight(request.method, request.headers, origins):
        allowed = cors.response_headers(request.headers, origins)
        return Response(204, allowed | cors.preflight_headers())
    server, url = A2AServer(app), _base(app, request) + place.address
    if place.is_card:
        answered: Response | EventStream = await server.card(request, tenant, url)
    else:
        answered = await server.answer(request, tenant, url, place.below)
    assert not isinstance(answered, EventStream)  # an HTTP API has no streams
    headers = dict(answered.headers) | cors.response_headers(request.headers, origins)
    return Response(answered.status, headers, answered.body)


def _base(app: App, request: Request) -> str:
    """The URL of the API: that of the settings, else as the caller has called it."""
    return app.settings.public_url.rstrip("/") or f"https://{request.headers.get('host', '')}"
