"""uvicorn's HTTP/1.1 protocol with time limits for clients that stall.

A request must arrive within `request_seconds`, plus a second for every `bytes_per_second` received,
without a pause longer than `request_seconds`. A client must not stop reading its response for
longer than that either. Otherwise the connection is closed, after a 408 response if one can still
be sent.
"""

from asyncio import TimerHandle
from contextlib import suppress
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from ai_coordination_engine.api.transport import HttpError, failure
from ai_coordination_engine.entrypoints.local.open_socket import OpenSocket
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.forks import close_in_children
from ai_coordination_engine.http_messages import Request


class BoundedProtocol(H11Protocol):
    """One connection. Subclasses may set other limits."""

    request_seconds: ClassVar[float] = 30.0
    bytes_per_second: ClassVar[float] = 10_000.0
    linger_seconds: ClassVar[float] = 5.0
    """How long the rest of a request is read and discarded after it has been answered."""

    _is_upgraded = False
    _timer: TimerHandle | None = None
    _writing: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request."""
        super().connection_made(transport)
        self._in_children = OpenSocket(transport.get_extra_info("socket"))
        close_in_children(self._in_children)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop("_timer")
        self._stop("_writing")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request; the timer stops when the request is complete."""
        self._received += len(data)
        self._last = self.loop.time()
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the timer of the next request, or of the rest of this one, which is discarded."""
        unread = self.conn.their_state is h11.SEND_BODY
        self._begin()
        if unread:
            self._end = self.loop.time() + self.linger_seconds
            self._stop("_timer")  # it is set for a later time
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        """Close the connection, but finish a response whose request was received. A stream never
        ends by itself.
        """
        if self.cycle is not None and self.cycle.scope["state"].get("is_stream"):
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()
            return
        if self._awaits_request and self.cycle is not None and not self.cycle.response_complete:
            self._drop()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """Start a timer because the client reads more slowly than the server writes."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(self.request_seconds, self._check_writing)

    def resume_writing(self) -> None:
        """Stop that timer."""
        self._stop("_writing")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not valid HTTP with JSON."""
        hint = "a URL and its headers have at most 16 KB; send long documents with POST"
        self._refuse(
            HttpError(
                400,
                BadUserInput(
                    f"the request is not valid HTTP/1.1, or its head is too large: {hint}"
                ),
            )
        )
        self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection to the WebSocket protocol."""
        super().handle_websocket_upgrade(event)
        self._is_upgraded = True
        self._stop("_timer")

    def _should_upgrade(self) -> bool:
        # another protocol is ignored, and the request is answered as plain HTTP
        return self._get_upgrade() == b"websocket" and self._should_upgrade_to_ws()

    @property
    def _awaits_request(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _begin(self) -> None:
        self._received, self._begun = 0, self.loop.time()
        self._last, self._end = self._begun, float("inf")
        self._watch()

    def _watch(self) -> None:
        if self._is_upgraded or not self._awaits_request or self.transport.is_closing():
            self._stop("_timer")
        elif self._timer is None:
            self._timer = self.loop.call_at(self._deadline(), self._check)

    def _deadline(self) -> float:
        whole = self._begun + self.request_seconds + self._received / self.bytes_per_second
        return min(whole, self._last + self.request_seconds, self._end)

    def _check(self) -> None:
        self._timer = None
        if self.loop.time() < self._deadline():
            self._watch()
        else:
            self._drop()

    def _check_writing(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= self._unread:
            self.transport.abort()
            return
        self._unread = unread
        self._writing = self.loop.call_later(self.request_seconds, self._check_writing)

    def _drop(self) -> None:
        """Answer 408 if a request has begun, and tell the application that the client has
        disconnected.
        """
        waiting = self.cycle is not None and not self.cycle.response_complete
        if waiting:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._received and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            seconds = f"{self.request_seconds:g} seconds"
            self._refuse(
                HttpError(
                    408,
                    BadUserInput(f"the request was not complete within {seconds}: send it again"),
                )
            )
        self.transport.close()

    def _refuse(self, error: HttpError) -> None:
        response = failure(Request("POST", {}), error)
        headers = {
            **response.headers,
            "content-length": str(len(response.body)),
            "connection": "close",
        }
        head = h11.Response(
            status_code=response.status,
            headers=list(headers.items()),
            reason=STATUS_PHRASES[response.status],
        )
        with suppress(h11.LocalProtocolError):  # a response to HEAD has no body
            for event in (head, h11.Data(data=response.body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")

    def _stop(self, name: str) -> None:
        timer: TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
        setattr(self, name, None)
