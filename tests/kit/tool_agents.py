"""Scripted models and tools for agents that call tools, and an MCP server on loopback."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from ai_coordination_engine import AgentFailure, ToolContext

MODEL = "scripted:one"
HERE = "tests.kit.tool_agents"
Turn = Any
"""A text, calls `[(tool, arguments), …]`, an exception, or a function of the messages."""


class Script:
    """A model that answers with one turn after the other; `asked` has the messages of each."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.asked: list[list[ModelMessage]] = []
        self.offered: list[list[str]] = []

    def play(self, *turns: Turn) -> None:
        self.turns, self.asked, self.offered = [*turns], [], []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.asked.append(list(messages))
        self.offered.append([tool.name for tool in info.function_tools])
        turn = self.turns.pop(0)
        if callable(turn) and not isinstance(turn, type):
            turn = turn(messages, info)
        if isinstance(turn, Exception):
            raise turn
        usage = RequestUsage(input_tokens=10, output_tokens=2, cache_read_tokens=4)
        return ModelResponse(parts=_parts(turn, len(self.asked)), usage=usage)

    def returns(self) -> list[tuple[str, Any, str]]:
        """The tool returns in the last messages: tool, content, outcome."""
        return [
            (part.tool_name, part.content, part.outcome)
            for message in self.asked[-1]
            for part in message.parts
            if isinstance(part, ToolReturnPart)
        ]


def _parts(turn: Turn, number: int) -> Sequence[Any]:
    if isinstance(turn, str):
        return [TextPart(turn)]
    return [
        ToolCallPart(tool, arguments, tool_call_id=f"call-{number}-{index}")
        for index, (tool, arguments) in enumerate(turn)
    ]


script = Script()


def model() -> FunctionModel:
    """The factory in the settings of tests."""
    return FunctionModel(script, model_name="scripted")


async def _stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    for each in ("hello", " you"):
        yield each


def streaming_model() -> FunctionModel:
    """A model that writes its answer bit by bit."""
    return FunctionModel(stream_function=_stream, model_name="streams")


refusals: list[Exception] = []
"""What the next streams of the model below raise."""


async def _refuse(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    raise refusals.pop(0)
    yield ""


def refusing() -> FunctionModel:
    """The scripted model, at a provider that refuses streams."""
    return FunctionModel(script, stream_function=_refuse, model_name="scripted")


seen: list[ToolContext] = []
"""What the tools below were told of who calls them."""
ordered: list[str] = []
begin: list[Callable[[], None]] = []
"""Called by `order` after it has ordered: a test may die there."""


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first
        b: the second
    """
    return a + b


def order(ctx: RunContext[ToolContext], item: str) -> str:
    """Order an item."""
    seen.append(ctx.deps)
    ordered.append(item)
    for each in begin:
        each()
    return f"ordered {item}"


async def shout(text: str) -> str:
    """Say it loudly."""
    await asyncio.sleep(0)
    return text.upper()


def broken(text: str) -> str:
    """Always fails."""
    raise ValueError(f"cannot read {text}")


def picky(text: str) -> str:
    """Wants another text."""
    raise ModelRetry("try another text")


def stopping() -> str:
    """Ends the attempt."""
    raise AgentFailure("the shop is closed", error_class="unavailable", retryable=True)


TOOLS = {
    name: f"{HERE}:{name}" for name in ("add", "order", "shout", "broken", "picky", "stopping")
}


# MCP

requests: list[dict[str, Any]] = []
"""The `_meta` and the headers of calls over HTTP."""


def server_of(key: str = "") -> MCPServer:
    """An MCP server with two tools."""
    server = MCPServer("files")

    @server.tool()
    def read(path: str, ctx: Context[Any, Any]) -> str:
        """Read a file."""
        context = ctx.request_context
        meta = context.meta
        got = dict(context.request.headers) if context.request is not None else {}
        requests.append({"meta": dict(meta or {}), "headers": got})
        return f"{path}: {os.environ.get('GREETING', 'hello')}"

    @server.tool()
    def remove(path: str) -> str:
        """Remove a file."""
        if path == "/":
            raise ValueError("not this one")
        if path == "who":
            return f"called with {requests[-1]['headers']['authorization']}"
        return f"removed {path}"

    return server


@contextmanager
def mcp_over_http() -> Iterator[str]:
    """The URL of the server over streamable HTTP, on a free port of loopback."""
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    app = server_of().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{own.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join(5)
        own.close()


OVER_STDIO = [sys.executable, "-m", HERE]

if __name__ == "__main__":
    server_of().run("stdio")
