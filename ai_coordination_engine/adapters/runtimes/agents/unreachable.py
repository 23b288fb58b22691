"""Say why an MCP server cannot be reached, and what to look at."""

from urllib.parse import urlsplit

from ai_coordination_engine.adapters.causes import causes, why
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.runtime_settings import McpServer


def unreachable(name: str, server: McpServer, error: Exception) -> AgentFailure:
    """The failure of an attempt that cannot list the tools of a server; another may."""
    is_late = any(isinstance(each, TimeoutError) for each in causes(error))
    reason = "it did not answer in time" if is_late else why(error)
    if server.command:
        what = f"was started, but is no use as an MCP server: {reason}"
        hint = f"start {server.command!r:.200} by hand to see what it writes"
    else:
        what = f"at {urlsplit(server.url).netloc} cannot be used: {reason}"
        hint = "look whether it runs, and at its url and headers"
    return AgentFailure(
        f"the MCP server {name!r} {what}; {hint}; see ACE_MCP_SERVERS",
        retryable=True,
        error_class="timeout" if is_late else "unavailable",
    )
