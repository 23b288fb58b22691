"""A local server for tests of subscriptions, and a client of its WebSocket."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from ai_coordination_engine.api.live.protocol import SUBPROTOCOL


class Socket:
    """A connection with the protocol `graphql-transport-ws`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Mapping[str, Any] | str | bytes) -> None:
        """Send a message, or what is none."""
        is_raw = isinstance(message, str | bytes)
        await self.connection.send(message if is_raw else json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        found: dict[str, Any] = json.loads(await self.connection.recv())
        return found

    async def init(self, payload: Mapping[str, Any] | None = None) -> None:
        """Begin the connection."""
        await self.send({"type": "connection_init", "payload": payload})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, id: str = "1", **variables: Any) -> None:
        """Begin an operation."""
        payload = {"query": query, "variables": variables}
        await self.send({"type": "subscribe", "id": id, "payload": payload})

    async def answer(self, query: str, id: str = "1", **variables: Any) -> dict[str, Any]:
        """Return the result of a query or a mutation."""
        await self.subscribe(query, id, **variables)
        answer = await self.receive()
        if answer["type"] == "next":
            assert await self.receive() == {"type": "complete", "id": id}
        assert answer["id"] == id
        return answer

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the end of the connection; return its code and reason."""
        await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Socket]:
    """Open a connection to the GraphQL endpoint at this HTTP address."""
    options = {"subprotocols": [SUBPROTOCOL], "proxy": None, "compression": None, **options}
    async with connect(url.replace("http", "ws", 1), **options) as connection:
        yield Socket(connection)
