"""The settings in which all processes of a data directory agree: they decide what agents may call,
and how an attempt is made.

A process that lacks what the server offers would fail the sessions of the others. Beside settings
these are the keys of providers in the environment, the programs of MCP servers and the extra that
they need. Of secrets only their names are compared, and whether they are set: values are stored
nowhere.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urlsplit

from ai_coordination_engine.entrypoints.local.data_dir import DataDirError, said_by_server, say
from ai_coordination_engine.entrypoints.local.processes import Processes
from ai_coordination_engine.observability import logger
from ai_coordination_engine.settings import Settings, provider_keys

Shared = Mapping[str, Any]
"""The settings in which processes must agree, by name."""
_WHAT_TO_DO = (
    "Processes that share a directory need the same settings: set these variables to the values of"
    " the other process, or stop that one first."
)

_OF_EACH_PROCESS = frozenset(
    {
        # of the API alone
        "auth",
        "tenant_claim",
        "iam_tenants",
        "cors_origins",
        "webhook_key",
        "webhook_key_secret",
        "watch_seconds",
        "public_url",
        "a2a_push",
        # of AWS alone
        "queue_url",
        "agents_queue_url",
        "worker_extra",
        "bucket",
        "aws_client",
        # of how a process works
        "worker_concurrency",
        "log_level",
        "metrics_emf",
        "metrics_by_tenant",
    }
)
"""The settings in which the processes of a directory may differ."""
_SHOWN = ("kind", "name", "endpoint", "model")  # of a runtime: a record may hold anything else


class SettingsDiffer(DataDirError):
    """The processes of a directory have different settings."""


def shared(settings: Settings) -> Shared:
    """The settings in which processes must agree, without values of secrets."""
    # JSON of pydantic has stars in place of a secret
    values = settings.model_dump(mode="json", exclude=set(_OF_EACH_PROCESS))
    runtime = settings.default_runtime
    values["default_runtime"] = {name: runtime[name] for name in _SHOWN if name in runtime}
    for endpoint in values["openai_endpoints"].values():
        endpoint["base_url"] = _without_query(endpoint["base_url"])
    for server in values["mcp_servers"].values():
        server["url"] = _without_query(server["url"])
    for name, what in _surroundings(settings):
        values[name][what] = "here"
    return values


def _surroundings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what settings need of the machine and is here, as (setting, what)."""
    without_keys = [
        name
        for name, each in settings.agent_models.items()
        if not (each.factory or each.api_key or each.api_key_secret)
    ]
    for variable in provider_keys(without_keys):
        yield "agent_models", variable
    for server in settings.mcp_servers.values():
        if server.command and server.can_start():
            yield "mcp_servers", server.command
    if settings.agent_models and find_spec("pydantic_ai") is not None:
        yield "agent_models", "the extra agents"


def _without_query(url: str) -> str:
    return urlsplit(url)._replace(query="").geturl()  # it may hold a key


def differences(own: Shared, others: Shared) -> Iterator[str]:
    """Yield a line for each setting in which this process differs from others: the variable, and
    what is here and there. A setting that only one version knows is none.
    """
    for name in own.keys() & others.keys():
        if own[name] != others[name]:
            yield f"ACE_{name.upper()}: {_difference(own[name], others[name])}"


def _difference(own: Any, others: Any) -> str:
    here, there = _parts(own), _parts(others)
    if here is None or there is None:
        return f"it has {_text(others)}, this process {_text(own)}"
    words = (
        ("missing here", [each for each in there if each not in here]),
        ("only here", [each for each in here if each not in there]),
        ("different here", [each for each in here if each in there and here[each] != there[each]]),
    )
    return "; ".join(f"{', '.join(map(_text, names))} {what}" for what, names in words if names)


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """The entries of a list or an object by name; None for any other value."""
    if isinstance(value, list):
        return dict.fromkeys(value)
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value is not None else "nothing"


def agree(data_dir: Path, processes: Processes, own: Shared, *, is_server: bool) -> float:
    """Compare the settings with those of the processes that live, and of the last server, which
    another server may change. A server notes its own. Raises `SettingsDiffer`.

    Returns since when these settings apply (epoch seconds); 0 if there were no others before.
    """
    for pid, theirs in processes.settings_of_others():
        _refuse([*differences(own, theirs)], f"Process {pid or '(unknown)'} in {data_dir} has")
    said = said_by_server(data_dir)
    since, before = said.get("since"), said.get("settings")
    since = since if isinstance(since, int | float) else 0
    if isinstance(before, dict) and (changed := [*differences(own, before)]):
        if not is_server:
            _refuse(changed, f"The server of {data_dir} had")
        logger.warning("settings have changed", extra={"differences": changed})
        since = time()
    if is_server:
        with suppress(OSError):  # the disk is full: the next process knows less
            say(data_dir, {"settings": own, "since": since})
    return since


def _refuse(found: Sequence[str], who: str) -> None:
    if found:
        lines = [f"{who} other settings than this process:", *found]
        raise SettingsDiffer("\nace: ".join([*lines, _WHAT_TO_DO]))
