"""The route `/health`: whether the server can do its work, for those who watch it."""

from collections.abc import Callable, Collection

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from ai_coordination_engine.entrypoints.local.asgi_routes import AnyMethod, only_get

PATH = "/health"


def health_route(
    problem: Callable[[], str | None], processes: Callable[[], Collection[int]]
) -> Route:
    """Return the route; it answers 200 with the ids of the `processes` that run agents, or 503 with
    the message of `problem`.
    """

    async def endpoint(_: HttpRequest) -> JSONResponse:
        headers = {"cache-control": "no-store"}
        if (message := problem()) is None:
            return JSONResponse({"status": "ok", "processes": sorted(processes())}, headers=headers)
        return JSONResponse({"status": "failed", "message": message}, 503, headers)

    return Route(PATH, AnyMethod(only_get(endpoint)))
