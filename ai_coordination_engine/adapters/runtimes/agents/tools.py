"""The tools of one attempt: functions, and connections to MCP servers."""

import logging
from collections.abc import Mapping, Sequence, Set
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from pydantic_ai import RunContext, Tool
from pydantic_ai.exceptions import UserError
from pydantic_ai.toolsets import AbstractToolset

from ai_coordination_engine.adapters.allowed import AllowedFunctions
from ai_coordination_engine.adapters.runtimes.agents.chosen import MCP, Chosen
from ai_coordination_engine.adapters.runtimes.agents.recorder import Recorded, Recorder, Recording
from ai_coordination_engine.adapters.runtimes.agents.unreachable import unreachable
from ai_coordination_engine.adapters.runtimes.attempts import trace_headers
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, ToolContext
from ai_coordination_engine.runtime_settings import McpServer
from ai_coordination_engine.settings import Settings

_FIRST_ANSWER_SECONDS = 30.0
# A library's lines would stand between those of `ace run`; the failure of the attempt says it.
for _name in ("mcp", "fastmcp"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
Toolset = AbstractToolset[ToolContext]
IDEMPOTENCY_KEY = "ai-coordination-engine/idempotencyKey"
"""The key of `_meta` in the call of an MCP tool."""


class Tools:
    """Makes the toolsets of an attempt from the settings. Thread-safe."""

    def __init__(self, settings: Settings, secrets: Secrets, functions: AllowedFunctions) -> None:
        self._settings, self._secrets, self._functions = settings, secrets, functions
        self._tools: dict[str, Tool[ToolContext]] = {}

    async def open(
        self,
        names: Sequence[Chosen],
        request: AgentRequest,
        recorder: Recorder,
        stack: AsyncExitStack,
    ) -> list[Toolset]:
        """The toolsets of servers, with connections that `stack` closes; all of it is one task.
        Raises `AgentFailure`.
        """
        servers: dict[str, list[Chosen]] = {}
        for each in names:
            if each.server is not None:
                servers.setdefault(each.server, []).append(each)
        opened: list[Toolset] = []
        for name, of_server in servers.items():
            toolset = await self._connect(name, of_server, request, recorder, stack)
            opened.append(toolset.prefixed(name))
        return opened

    def secrets_of(self, names: Sequence[Chosen]) -> list[str]:
        """The values of headers and variables that no message and no record may show; of a header
        with a scheme (`Bearer …`), also what follows it.
        """
        servers = [self._settings.mcp_servers[each.server] for each in names if each.server]
        given = [
            value for each in servers for value in (*each.headers.values(), *each.env.values())
        ]
        read = [self._secret(secret) for each in servers for secret in each.headers_secret.values()]
        values = [*(each.get_secret_value() for each in given), *read]
        return [*values, *(each.partition(" ")[2] for each in values)]

    # Functions

    def own(
        self, names: Sequence[Chosen], recorder: Recorder
    ) -> tuple[list[Tool[ToolContext]], Recording]:
        """The functions among the tools, and what records their calls. Raises `AgentFailure`."""
        strict = {each.name for each in names if each.server is None and each.approval}
        own = dict.fromkeys(str(each.name) for each in names if each.server is None)

        def needs_approval(name: str) -> bool:
            return name in strict or self._settings.tools[name].approval is not None

        return [self._tool(name) for name in own], Recording(recorder, needs_approval, own.keys())

    def _tool(self, name: str) -> Tool[ToolContext]:
        function = self._functions.find(name, f"the tool {name!r}")
        known = self._tools.get(name)
        if known is not None and known.function is function:  # not loaded anew
            return known
        try:
            made = self._tools[name] = Tool(function, name=name)
        except (UserError, TypeError, ValueError, NameError) as error:
            message = f"the tool {name!r} has no schema: {error}"
            raise AgentFailure(message, error_class="not_allowed") from error
        return made

    # MCP servers

    async def _connect(
        self,
        name: str,
        names: Sequence[Chosen],
        request: AgentRequest,
        recorder: Recorder,
        stack: AsyncExitStack,
    ) -> Toolset:
        server = self._settings.mcp_servers[name]
        wanted = {str(each.name) for each in names}
        toolset = self._toolset(name, server, request)
        try:
            await stack.enter_async_context(toolset)
            offered = {tool.name for tool in await toolset.list_tools()}
        except Exception as error:
            raise unreachable(name, server, error) from error
        if any(each.name is None for each in names):
            wanted = offered
        if missing := sorted(wanted - offered):
            raise AgentFailure(
                f"the MCP server {name!r} offers no tool {missing[0]!r:.100}"
                f"{did_you_mean(missing[0], offered)}",
                error_class="invalid_request",
            )
        strict = {each.name for each in names if each.approval}
        kept = toolset.filtered(lambda _, tool: tool.name in wanted)
        needs_approval = partial(_needs_approval, server, strict)
        return Recorded(kept, recorder, needs_approval, f"{MCP}{name}/")

    def _toolset(self, name: str, server: McpServer, request: AgentRequest) -> Any:
        # 0.2 s, which agents without MCP servers do not need
        from pydantic_ai.mcp import (  # type: ignore[attr-defined]  # noqa: PLC0415
            MCPToolset,
            StdioTransport,
        )

        common: Mapping[str, Any] = {
            "id": name,
            "tool_error_behavior": "failed",
            "process_tool_call": partial(_with_identity, request),
            "init_timeout": min(request.timeout_seconds, _FIRST_ANSWER_SECONDS),
            "read_timeout": request.timeout_seconds,
        }
        if server.url:
            return MCPToolset(server.url, headers=self._headers(server, request), **common)
        env = {each: value.get_secret_value() for each, value in server.env.items()}
        stdio = StdioTransport(server.command, server.args, env or None, keep_alive=False)
        return MCPToolset(stdio, **common)

    def _headers(self, server: McpServer, request: AgentRequest) -> dict[str, str]:
        given = {name: value.get_secret_value() for name, value in server.headers.items()}
        read = {name: self._secret(secret) for name, secret in server.headers_secret.items()}
        return {**given, **read, **trace_headers(request)}

    def _secret(self, name: str) -> str:
        read = partial(self._secrets.value, name)
        return read_key(read, "a header of an MCP server").strip()


def _needs_approval(server: McpServer, strict: Set[str | None], tool: str) -> bool:
    return None in strict or tool in strict or server.needs_approval(tool)


async def _with_identity(
    request: AgentRequest, context: RunContext[ToolContext], call: Any, name: str, args: Any
) -> Any:
    """Call a tool of an MCP server with the idempotency key and the trace in its `_meta`."""
    meta = {IDEMPOTENCY_KEY: context.deps.idempotency_key, **trace_headers(request)}
    return await call(name, args, metadata=meta)
