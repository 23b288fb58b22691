"""A local server for tests of subscriptions, and a client of its WebSocket."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from ai_coordination_engine.api.live.protocol import SUBPROTOCOL
from tests.kit.servers import COORDINATION, DIAMOND, TASK

SESSION = """subscription($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status sessionAgents { agentUuid state agentOutput } } }"""
LIST = "subscription { sessionList { sessionList { sessionUuid status } } }"
EVENTS = {"Accept": "text/event-stream"}


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


class Stream:
    """The events of a response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """Return the next event and its data; a comment has no event."""
        lines = []
        while line := await anext(self._lines):
            lines.append(line)
        fields = dict(line.split(":", 1) for line in lines)
        data = fields.get("data", "").strip()
        return fields.get("event", "").strip(), json.loads(data) if data else None


@asynccontextmanager
async def streamed(
    url: str, query: str, headers: Any = EVENTS, method: str = "POST", **variables: Any
) -> AsyncIterator[Stream]:
    given: dict[str, Any] = {"json": {"query": query, "variables": variables}}
    if method == "GET":
        given = {"params": {"query": query, "variables": json.dumps(variables)}}
    async with (
        httpx.AsyncClient() as client,
        client.stream(method, url, headers=headers, **given) as response,
    ):
        yield Stream(response)


async def post(url: str, query: str, **variables: Any) -> Any:
    async with httpx.AsyncClient() as client:
        answered = await client.post(url, json={"query": query, "variables": variables})
    assert "errors" not in answered.json()
    return answered.json()["data"]


async def diamond(url: str) -> None:
    await post(url, COORDINATION, agents=[{"agentUuid": each} for each in DIAMOND])
    await post(url, TASK, actions={each: {"predecessors": DIAMOND[each]} for each in DIAMOND})
