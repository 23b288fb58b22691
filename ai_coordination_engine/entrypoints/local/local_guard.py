"""Protect the local server, which authenticates nobody, from web pages of other sites.

A page can make a browser send requests to this server in two ways. With a host name that resolves
to loopback (DNS rebinding), `Host` is that name. With a request across origins, the browser sends
`Origin`, or else `Sec-Fetch-Site`.
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ai_coordination_engine.api.cors import LOOPBACK, allows
from ai_coordination_engine.api.transport import HttpError, failure
from ai_coordination_engine.errors import BadUserInput, Forbidden
from ai_coordination_engine.http_messages import Request

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)


class LocalGuard:
    """Passes requests to `app` from programs, from pages of loopback, and from pages of
    `origins`.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = (*LOOPBACK, *origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 400 or 403."""
        is_guarded = scope["type"] in ("http", "websocket")
        problem = self._problem(Headers(scope=scope)) if is_guarded else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        response = failure(Request(scope.get("method", "GET"), {}), problem)
        # starlette answers the request for a WebSocket with it, too
        await HttpResponse(response.body, response.status, response.headers)(scope, receive, send)

    def _problem(self, headers: Headers) -> Exception | None:
        if not _HOST.fullmatch(headers.get("host", "")):
            return HttpError(
                400,
                BadUserInput("the Host header is not this server: use 127.0.0.1 or localhost"),
            )
        origin = headers.get("origin")
        navigates = headers.get("sec-fetch-mode") == "navigate"
        is_foreign = headers.get("sec-fetch-site") == "cross-site" and not navigates
        if is_foreign if origin is None else not allows(self._origins, origin):
            return Forbidden("this origin is not allowed: add it to ACE_CORS_ORIGINS")
        return None
