"""The tools that a record names, checked against the settings."""

from collections.abc import Iterator, Sequence

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.runtime_settings import McpServer
from ai_coordination_engine.settings import Settings

MCP = "mcp:"
USER = "USER"
_KEYS = frozenset({"name", "approval"})


@dataclass(frozen=True)
class Chosen:
    """A function (`server` is None), one tool of an MCP server, or all of them (`name` is None).

    `approval`: the record asks that a person allows each call, whatever the settings say.
    """

    name: str | None
    server: str | None = None
    approval: bool = False


def chosen(given: object, settings: Settings) -> list[Chosen]:
    """The tools of a record: `"search"`, `"mcp:files"` or `"mcp:files/read"`, or objects with such
    a `name` and `"approval": "USER"`. Raises `AgentFailure`.
    """
    if given is None:
        return []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise _invalid("`runtime.tools` must be a list of names")
    return list(_each(given, settings))


def _each(given: Sequence[object], settings: Settings) -> Iterator[Chosen]:
    for each in given:
        name, approval = _named(each)
        server, _, tool = name.removeprefix(MCP).partition("/")
        if not name.startswith(MCP):
            _check(name, settings.tools, "the tool", "ACE_TOOLS")
            yield Chosen(name, approval=approval)
            continue
        _check(server, settings.mcp_servers, "the MCP server", "ACE_MCP_SERVERS")
        if wrong := _not_here(settings.mcp_servers[server], settings):
            message = f"the MCP server {server!r} {wrong}; see ACE_MCP_SERVERS"
            raise AgentFailure(message, error_class="not_allowed")
        yield Chosen(tool or None, server, approval)


def _not_here(server: McpServer, settings: Settings) -> str:
    """Why a server that is a command cannot be started here; empty if nothing is wrong."""
    if server.command and settings.queue_url:
        return "is a command, which runs on one machine only"
    if server.command and not server.can_start():
        return f"cannot be started: there is no program {server.command!r:.200} on this machine"
    return ""


def _named(given: object) -> tuple[str, bool]:
    if isinstance(given, str):
        return given, False
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        if unknown := {*given} - _KEYS:
            wrong = min(unknown)
            hint = did_you_mean(wrong, _KEYS)
            raise _invalid(f"a tool in `runtime.tools` has no key {wrong!r:.100}{hint}")
        if given.get("approval") not in (None, USER):
            raise _invalid('the `approval` of a tool in `runtime.tools` is "USER" or left out')
        return given["name"], given.get("approval") == USER
    raise _invalid('a tool in `runtime.tools` is a name, or {"name", "approval"}')


def _check(name: str, known: object, what: str, setting: str) -> None:
    assert isinstance(known, dict)
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        hint = did_you_mean(name, known) or ";"
        message = f"{what} {name!r:.100} is not offered{hint} it is one of: {names}; see {setting}"
        raise AgentFailure(message, error_class="not_allowed")


def _invalid(message: str) -> AgentFailure:
    return AgentFailure(message, error_class="invalid_request")
