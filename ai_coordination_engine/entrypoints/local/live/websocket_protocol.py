"""uvicorn's WebSocket protocol with a bound on what it holds for a client that does not read, and
with the close code of a server that stops.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ai_coordination_engine.api.live.protocol import GOING_AWAY
from ai_coordination_engine.entrypoints.local.open_socket import OpenSocket
from ai_coordination_engine.forks import close_in_children

_MOST_UNREAD = 1_000_000  # bytes of answers to pings


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def connection_made(self, transport: Any) -> None:
        """Begin; forked children close the socket."""
        super().connection_made(transport)
        self._in_children = OpenSocket(transport.get_extra_info("socket"))
        close_in_children(self._in_children)

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
