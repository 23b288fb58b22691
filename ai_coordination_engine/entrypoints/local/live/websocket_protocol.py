"""uvicorn's WebSocket protocol with a bound on what it holds for a client that does not read, and
with the close code of a server that stops.
"""

from asyncio import TimerHandle
from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ai_coordination_engine.api.live.protocol import GOING_AWAY
from ai_coordination_engine.entrypoints.local.open_socket import OpenSocket
from ai_coordination_engine.forks import close_in_children

_MOST_UNREAD = 1_000_000  # bytes of answers to pings


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection. Subclasses may set another limit."""

    unread_seconds: ClassVar[float] = 30.0
    """How long a client may read nothing of what is written."""

    _writing: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; forked children close the socket."""
        super().connection_made(transport)
        self._in_children = OpenSocket(transport.get_extra_info("socket"))
        close_in_children(self._in_children)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start a timer because the client reads more slowly than the server writes."""
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        """Stop that timer."""
        self._stop_timer()
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        """End a connection whose client does not answer pings."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():  # closing would wait until it has read all
            self.transport.abort()

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # refused: uvicorn would log that nothing was answered

    def handle_ping(self) -> None:
        """Answer a ping, unless the client reads none of the answers."""
        if self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self.transport.abort()
        else:
            super().handle_ping()

    def shutdown(self) -> None:
        """Close the connection because the server stops."""
        if self.close_sent or not self.handshake_complete:
            super().shutdown()
            return
        self.stop_keepalive()
        code, reason = GOING_AWAY.code, GOING_AWAY.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def _look_later(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(self.unread_seconds, self._check_writing)

    def _check_writing(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unread:
            self.transport.abort()
        else:
            self._look_later()

    def _stop_timer(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
