"""The routes on which the local server checks run files, for everybody who reaches it."""

import asyncio
from collections.abc import Awaitable, Callable

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.run_file.run_file_route import checked_text, text_of
from ai_coordination_engine.errors import Unauthenticated
from ai_coordination_engine.http_messages import Request, Response

PATHS = ("/run-file", "/{endpoint_id}/run-file")


def run_file_answerer(app: App) -> Callable[..., Awaitable[Response]]:
    """Return what answers the requests; it checks one text at a time, beside the event loop."""
    turn = asyncio.Lock()

    async def answerer(request: Request, endpoint_id: str | None = None) -> Response:
        # what is allowed is the same for all tenants
        if app.settings.auth != "local":
            raise Unauthenticated("this server cannot verify credentials: set ACE_AUTH=local")
        text = text_of(request)
        async with turn:
            return await asyncio.to_thread(checked_text, app, text)

    return answerer
