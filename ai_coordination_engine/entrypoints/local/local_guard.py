"""Keeps pages of other sites away from a server that believes every caller on this machine.

A page can make a browser send requests here in two ways: under a name of its own that it has made
to resolve to loopback (then `Host` is that name), and across origins (then the browser says so in
`Origin`, or in `Sec-Fetch-Site` where it sends no origin).
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ai_coordination_engine.api.cors import LOOPBACK, allows
from ai_coordination_engine.api.transport import HttpError, Request, failure
from ai_coordination_engine.errors import BadUserInput, Forbidden

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)


class LocalGuard:
    """Passes to `app` what programs send, pages of loopback, and pages of the allowed `origins`."""

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = (*LOOPBACK, *origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        problem = self._problem(Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        response = failure(Request(scope["method"], {}), problem)
        await HttpResponse(response.body, response.status, response.headers)(scope, receive, send)

    def _problem(self, headers: Headers) -> Exception | None:
        if not _HOST.fullmatch(headers.get("host", "")):
            return HttpError(
                400,
                BadUserInput("the header Host names another server: call 127.0.0.1 or localhost"),
            )
        origin = headers.get("origin")
        navigates = headers.get("sec-fetch-mode") == "navigate"
        is_foreign = headers.get("sec-fetch-site") == "cross-site" and not navigates
        if is_foreign if origin is None else not allows(self._origins, origin):
            return Forbidden("pages of this origin may not call: add it to ACE_CORS_ORIGINS")
        return None
