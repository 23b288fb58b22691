"""Operations that are answered as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse

from ai_coordination_engine.api import cors
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.live import events
from ai_coordination_engine.api.live.subscription import errors_of, is_subscription
from ai_coordination_engine.api.media_types import EVENTS, accepts, negotiated
from ai_coordination_engine.api.transport import Parameters, check_read_only, parameters_of
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.entrypoints.local.live.feeds import Feeds
from ai_coordination_engine.entrypoints.local.live.operations import Refusal, results
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.http_messages import Request

MOST_STREAMS = 1_000


class EventStreams:
    """Answers the requests of one server that accept events, at most `MOST_STREAMS` at a time."""

    def __init__(
        self, documents: Documents, feeds: Feeds, cors_origins: Sequence[str] = ()
    ) -> None:
        self._documents, self._feeds, self._cors_origins = documents, feeds, cors_origins
        self._open = 0

    def answer(self, request: Request, context: Callable[[], Context]) -> HttpResponse | None:
        """Return the stream that answers a request, or None if it is not answered with one.

        A client that accepts JSON, too, gets a stream for subscriptions only. Raises `HttpError`
        and `CoordinationError` for what is wrong with the request itself; errors of its document
        are events.
        """
        accept = request.headers.get("accept", "")
        if request.method not in ("GET", "POST") or not accepts(accept, EVENTS):
            return None
        context()  # raises for the caller's credentials
        parameters = parameters_of(request, self._documents.limits)
        if negotiated(accept) is not None and not is_subscription(parameters, self._documents):
            return None
        if request.method == "GET":
            check_read_only(parameters, self._documents)
        if self._open >= MOST_STREAMS:
            raise Throttled(f"the server has {MOST_STREAMS} streams already: try again later")
        headers = events.HEADERS | cors.response_headers(request.headers, self._cors_origins)
        return StreamingResponse(self._stream(parameters, context), headers=headers)

    async def _stream(
        self, parameters: Parameters, context: Callable[[], Context]
    ) -> AsyncIterator[str]:
        self._open += 1
        try:
            found = results(parameters, self._documents, context, self._feeds)
            async with aclosing(found):
                async for payload in _with_pauses(found):
                    yield events.KEEP_ALIVE if payload is None else events.next_event(payload)
        except Refusal as refusal:
            yield events.next_event(json_text.encode({"errors": refusal.errors}))
        except Exception as error:
            yield events.next_event(json_text.encode({"errors": errors_of(error)}))
        finally:
            self._open -= 1
        yield events.COMPLETE


async def _with_pauses(found: AsyncGenerator[str, None]) -> AsyncIterator[str | None]:
    """Yield the results, and None whenever there was none for a while."""
    while True:
        waiting = asyncio.ensure_future(anext(found, None))
        try:
            while not (await asyncio.wait({waiting}, timeout=events.KEEP_ALIVE_SECONDS))[0]:
                yield None
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        payload = waiting.result()
        if payload is None:
            return
        yield payload
