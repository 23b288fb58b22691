"""One WebSocket connection with the protocol `graphql-transport-ws`."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import field
from functools import partial
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.live import protocol
from ai_coordination_engine.api.live.protocol import Close, Phase
from ai_coordination_engine.api.live.subscription import errors_of
from ai_coordination_engine.api.transport import Parameters
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.entrypoints.local.live.feeds import Feeds
from ai_coordination_engine.entrypoints.local.live.operations import Refusal, results
from ai_coordination_engine.errors import BadUserInput, CoordinationError
from ai_coordination_engine.observability import logger

MakeContext = Callable[[str | None, str | None, str], Context]
"""(endpoint id, part id, HTTP method) → a context; raises the errors of credentials."""


MOST_CONNECTIONS = 1_000


class LiveSockets:
    """Serves the WebSocket connections of one server, at most `MOST_CONNECTIONS`."""

    def __init__(self, documents: Documents, context: MakeContext, feeds: Feeds) -> None:
        self._documents, self._context, self._feeds = documents, context, feeds
        self._open = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection."""
        if self._open >= MOST_CONNECTIONS:
            await socket.send_denial_response(PlainTextResponse("too many connections\n", 503))
            return
        self._open += 1
        try:
            await Connection(socket, self._documents, self._context, self._feeds).serve()
        finally:
            self._open -= 1


@dataclass
class Connection:
    """Serves one connection until the client or the server closes it."""

    socket: WebSocket
    documents: Documents
    context: MakeContext
    feeds: Feeds
    _phase: Phase = Phase.OPENED
    _make: Callable[[], Context] | None = None
    _active: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def serve(self) -> None:
        """Serve the connection."""
        if protocol.SUBPROTOCOL not in self.socket.scope["subprotocols"]:
            await self.socket.accept()
            await self._close(protocol.NO_SUBPROTOCOL)
            return
        await self.socket.accept(protocol.SUBPROTOCOL)
        try:
            await self._close(await self._received())
        except WebSocketDisconnect:
            pass
        finally:
            await self._end_all()

    async def _received(self) -> Close:
        """Act on the messages of the client until the connection must be closed."""
        try:
            async with asyncio.timeout(protocol.INIT_SECONDS) as limit:
                while True:
                    end = await self._act(await self._receive())
                    if end is not None:
                        return end
                    if self._phase is Phase.ACKNOWLEDGED:
                        limit.reschedule(None)
        except TimeoutError:
            return protocol.INIT_TIMEOUT

    async def _receive(self) -> str | bytes:
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        text: str | bytes | None = message.get("text")
        return message.get("bytes", b"") if text is None else text

    async def _act(self, text: str | bytes) -> Close | None:
        match protocol.action_of(text, self._phase, self.documents.limits):
            case protocol.Init(payload):
                return await self._init(payload)
            case protocol.Reply(reply):
                await self._send(reply)
            case protocol.Subscribe(operation_id, parameters):
                return await self._begin(operation_id, parameters)
            case protocol.Complete(operation_id):
                self._complete(operation_id)
            case Close() as close:
                return close
        return None

    async def _init(self, payload: Mapping[str, Any]) -> Close | None:
        """Authenticate the client with what its first message or its request names."""
        self._phase = Phase.INITIALISING
        try:
            given = protocol.credentials_of(payload)
            endpoint_id = _one(
                "endpointId", self.socket.path_params.get("endpoint_id"), given.endpoint_id
            )
            part_id = _one("partId", self.socket.headers.get("part-id"), given.part_id)
            make = partial(self.context, endpoint_id, part_id, "POST")
            make()
        except Exception as error:
            if not isinstance(error, CoordinationError):
                logger.exception("could not authenticate a connection")
            return protocol.refused(error)
        self._make, self._phase = make, Phase.ACKNOWLEDGED
        await self._send(protocol.ACK)
        return None

    async def _begin(self, operation_id: str, parameters: Parameters) -> Close | None:
        if operation_id in self._active:
            return protocol.exists(operation_id)
        if len(self._active) >= protocol.MOST_OPERATIONS:
            errors = errors_of(protocol.too_many_operations())
            await self._send(protocol.error_message(operation_id, errors))
            return None
        task = asyncio.create_task(self._operate(operation_id, parameters))
        self._active[operation_id] = task
        return None

    async def _operate(self, operation_id: str, parameters: Parameters) -> None:
        """Answer one operation to its end."""
        last = protocol.complete_message(operation_id)
        try:
            await self._send_results(operation_id, parameters)
        except Refusal as refusal:
            last = protocol.error_message(operation_id, refusal.errors)
        except WebSocketDisconnect:
            return
        except Exception as error:
            last = protocol.error_message(operation_id, errors_of(error))
        del self._active[operation_id]  # first: then the client may use the id again
        with suppress(WebSocketDisconnect):
            await self._send(last)

    async def _send_results(self, operation_id: str, parameters: Parameters) -> None:
        assert self._make is not None  # the connection is acknowledged
        found = results(parameters, self.documents, self._make, self.feeds)
        async with aclosing(found):
            async for payload in found:
                async with self._sending:  # the message is made for its turn: the payload is shared
                    await self.socket.send_text(protocol.next_message(operation_id, payload))

    def _complete(self, operation_id: str) -> None:
        task = self._active.pop(operation_id, None)
        if task is not None:
            task.cancel()

    async def _send(self, text: str) -> None:
        """Send a message when the client has read those before: one waits at a time."""
        async with self._sending:
            await self.socket.send_text(text)

    async def _close(self, end: Close) -> None:
        with suppress(WebSocketDisconnect):
            await self.socket.close(end.code, end.reason)

    async def _end_all(self) -> None:
        """End all operations; a write that has begun is carried out."""
        tasks = [*self._active.values()]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _one(name: str, first: str | None, second: str | None) -> str | None:
    """Return the value that is given in one place, or the same in both."""
    if first is not None and second is not None and first != second:
        raise BadUserInput(f"`{name}` of connection_init is not that of the request")
    return second if first is None else first
