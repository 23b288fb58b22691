"""Clients of `a2a-sdk` for both bindings, in functions that wait for their answers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

BINDINGS = ("JSONRPC", "HTTP+JSON")


class A2AClient:
    """Calls an agent by one binding; answers are plain JSON."""

    def __init__(self, url: str, binding: str, headers: dict[str, str] | None = None) -> None:
        self._url, self._binding, self._headers = url, binding, headers or {}

    def run(
        self, work: Callable[[Any], Coroutine[Any, Any, Any]], *, streaming: bool = False
    ) -> Any:
        """The result of `work` on a client of the SDK, which is made from the card."""

        async def running() -> Any:
            async with httpx.AsyncClient(
                trust_env=False, headers=self._headers, timeout=30
            ) as http:
                card = await A2ACardResolver(http, self._url).get_agent_card()
                config = ClientConfig(
                    streaming=streaming,
                    httpx_client=http,
                    supported_protocol_bindings=[self._binding],
                )
                async with ClientFactory(config).create(card) as client:
                    return await work(client)

        return asyncio.run(running())

    def send(self, message: Message, *, streaming: bool = False, **configuration: Any) -> list[Any]:
        """The events that answer a message."""
        request = SendMessageRequest(
            message=message, configuration=SendMessageConfiguration(**configuration)
        )

        async def work(client: Any) -> list[Any]:
            return [MessageToDict(each) async for each in client.send_message(request)]

        return list(self.run(work, streaming=streaming))

    def task(self, message: Message, **configuration: Any) -> Any:
        """The task that answers a message, without streaming."""
        (event,) = self.send(message, **configuration)
        return event["task"]

    def get(self, task_id: str, **given: Any) -> Any:
        """GetTask."""
        return self._one("get_task", GetTaskRequest(id=task_id, **given))

    def listed(self, **given: Any) -> Any:
        """ListTasks."""
        return self._one("list_tasks", ListTasksRequest(**given))

    def cancel(self, task_id: str) -> Any:
        """CancelTask."""
        return self._one("cancel_task", CancelTaskRequest(id=task_id))

    def extended_card(self) -> Any:
        """GetExtendedAgentCard."""
        return self._one("get_extended_agent_card", GetExtendedAgentCardRequest())

    def call(self, method: str, request: Any) -> Any:
        """Another method of the client."""
        return self._one(method, request)

    def subscribe(self, task_id: str, tell: Callable[[Any], None] = lambda event: None) -> None:
        """SubscribeToTask: `tell` gets each event."""

        async def work(client: Any) -> None:
            async for each in client.subscribe(SubscribeToTaskRequest(id=task_id)):
                tell(MessageToDict(each))

        self.run(work, streaming=True)

    def _one(self, method: str, request: Any) -> Any:
        async def work(client: Any) -> Any:
            found = await getattr(client, method)(request)
            return None if found is None else MessageToDict(found)

        return self.run(work)


def said(
    text: str | None = None,
    *,
    data: Any = None,
    message_id: str = "m-1",
    metadata: dict[str, Any] | None = None,
    **given: Any,
) -> Message:
    """A message of a user."""
    parts = [] if text is None else [Part(text=text)]
    if data is not None:
        parts.append(Part(data=ParseDict(data, Value())))
    message = Message(message_id=message_id, role=Role.ROLE_USER, parts=parts, **given)
    if metadata:
        message.metadata.update(metadata)
    return message
