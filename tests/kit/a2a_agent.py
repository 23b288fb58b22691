"""A remote A2A agent on loopback, made with `a2a-sdk`, whose messages say what it does."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import (
    create_agent_card_routes,
    create_jsonrpc_routes,
    create_rest_routes,
)
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Part,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request

BINDINGS = ("JSONRPC", "HTTP+JSON")


class Executor(AgentExecutor):
    """Does what the first word of a message says; `go` lets long tasks end."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.messages: list[Any] = []
        self.cancelled: list[str] = []

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Handle one message."""
        self.messages.append(context.message)
        text = context.get_user_input()
        if text.startswith("message"):
            await event_queue.enqueue_event(new_text_message("a direct answer"))
            return
        task = context.current_task
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
            await updater.start_work()
        await self._work(text, task, updater)

    async def _work(self, text: str, task: Any, updater: TaskUpdater) -> None:
        word = text.split(" ", 1)[0].strip()
        if word in ("long", "slow"):
            await self.go.wait()
        if task is None and word == "ask":
            await updater.requires_input(_said(updater, "Which colour?"))
        elif word == "fail":
            await updater.failed(_said(updater, "no ink"))
        elif word == "reject":
            await updater.reject(_said(updater, "not my job"))
        elif word == "authorize":
            await updater.requires_auth(_said(updater, "log in"))
        elif word == "data":
            value = ParseDict({"n": 1.5, "Key": ["x"]}, Value())
            await updater.add_artifact([Part(data=value)])
            await updater.complete()
        elif word == "files":
            await updater.add_artifact(
                [Part(text="see"), Part(url="https://files/x.png", media_type="image/png")]
            )
            await updater.complete()
        else:
            await updater.add_artifact([Part(text=f"done: {text}")], name="result")
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel a task."""
        self.cancelled.append(str(context.task_id))
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def _said(updater: TaskUpdater, text: str) -> Any:
    return updater.new_agent_message([Part(text=text)])


class RemoteAgent:
    """A running agent. `requests` are the paths that were called, with their headers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.executor = Executor()
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def messages(self) -> list[Any]:
        """The messages that reached the agent."""
        return self.executor.messages

    def let_go(self) -> None:
        """Let the long tasks end."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.executor.go.set)

    def forget(self) -> None:
        """Forget what was called; long tasks wait again."""
        self.requests.clear()
        self.executor.messages.clear()
        self.executor.cancelled.clear()
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.executor.go.clear)


class _Recording:
    """Notes each request, and refuses those without the key."""

    def __init__(self, app: Any, agent: RemoteAgent, key: str) -> None:
        self.app, self.agent, self.key = app, agent, key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.agent.loop = asyncio.get_running_loop()
            headers = dict(Request(scope).headers)
            self.agent.requests.append((scope["method"], scope["path"], headers))
            if self.key and headers.get("authorization") != f"Bearer {self.key}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": f"not {self.key}".encode()})
                return
        await self.app(scope, receive, send)


def card_of(url: str, bindings: Sequence[str] = BINDINGS, *, pushes: bool = False) -> AgentCard:
    """The card of the agent."""
    places = {"JSONRPC": f"{url}/rpc", "HTTP+JSON": f"{url}/rest"}
    return AgentCard(
        name="remote",
        description="does what it is told",
        version="1",
        supported_interfaces=[
            AgentInterface(url=places[each], protocol_binding=each, protocol_version="1.0")
            for each in bindings
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=pushes),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="do", name="do", description="does", tags=["x"])],
    )


@contextmanager
def remote_agent(
    bindings: Sequence[str] = BINDINGS, *, pushes: bool = False, key: str = "", port: int = 0
) -> Iterator[RemoteAgent]:
    """Run an agent while the context is open."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        agent = RemoteAgent(f"http://127.0.0.1:{listener.getsockname()[1]}")
        card = card_of(agent.url, bindings, pushes=pushes)
        configs = InMemoryPushNotificationConfigStore()
        # it keeps no connections: nobody would close them in the loop to which they belong
        limits = httpx.Limits(max_keepalive_connections=0)
        client = httpx.AsyncClient(trust_env=False, limits=limits)
        sender = BasePushNotificationSender(client, configs)
        handler = DefaultRequestHandler(
            agent.executor,
            InMemoryTaskStore(),
            card,
            push_config_store=configs if pushes else None,
            push_sender=sender if pushes else None,
        )
        routes = [
            *create_agent_card_routes(card),
            *create_jsonrpc_routes(handler, "/rpc"),
            *create_rest_routes(handler, path_prefix="/rest"),
        ]
        app = Starlette(routes=routes, middleware=[Middleware(_Recording, agent=agent, key=key)])
        with _serving(app, listener):
            yield agent


@contextmanager
def _serving(app: Any, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    ends = time.monotonic() + 10
    while not server.started and time.monotonic() < ends:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
