"""Read the card of a remote A2A agent, and choose the interface by which it is called."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.proxies import is_loopback
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import a2a
from ai_coordination_engine.runtime_ports import AgentFailure

_BINDINGS = (a2a.JSON_RPC, a2a.HTTP_JSON)


@dataclass(frozen=True, slots=True)
class Interface:
    """How an agent is called. `tenant` is repeated in each request. `pushes`: it sends notices."""

    url: str
    binding: str
    tenant: str
    pushes: bool


def card_url(url: str) -> str:
    """The URL of the card: the one of the settings if it ends so, else below it (section 8.2)."""
    return url if urlsplit(url).path.endswith(".json") else url.rstrip("/") + a2a.CARD_PATH


def interface_of(card: object, url: str, hosts: Sequence[str], service: str) -> Interface:
    """The first interface that this runtime speaks (section 8.3.2); `url` is that of the card.

    A card is the word of the other side, and requests carry the operator's key. So the interface
    must be at the host of the card, or at one of `hosts`. Raises `AgentFailure`.
    """
    if not isinstance(card, dict) or not isinstance(card.get("supportedInterfaces"), list):
        raise invalid_output(f"the card of {service} has no `supportedInterfaces`")
    offered = [each for each in card["supportedInterfaces"] if isinstance(each, dict)]
    found = next((each for each in offered if _is_spoken(each)), None)
    if found is None:
        raise AgentFailure(
            f"{service} offers no interface that can be used: it must be {' or '.join(_BINDINGS)}"
            f" of version {a2a.VERSION}",
            error_class="invalid_request",
        )
    _check_place(found["url"], url, hosts, service)
    capabilities = card.get("capabilities")
    pushes = isinstance(capabilities, dict) and capabilities.get("pushNotifications") is True
    tenant = found.get("tenant")
    return Interface(
        found["url"].rstrip("/") if found["protocolBinding"] == a2a.HTTP_JSON else found["url"],
        found["protocolBinding"],
        tenant if isinstance(tenant, str) else "",
        pushes,
    )


def _is_spoken(interface: Mapping[str, Any]) -> bool:
    if interface.get("protocolBinding") not in _BINDINGS:
        return False
    version = interface.get("protocolVersion")
    has_texts = isinstance(interface.get("url"), str) and isinstance(version, str)
    return has_texts and a2a.is_supported(str(version))


def _check_place(interface: str, card: str, hosts: Sequence[str], service: str) -> None:
    host = host_of(interface)
    if host != host_of(card) and host not in hosts:
        raise AgentFailure(
            f"the card of {service} sends requests to {host[:200]}, which is not the host of the"
            " card; if that is right, add it to `hosts` of the agent in ACE_A2A_AGENTS",
            error_class="not_allowed",
        )
    check_scheme(interface, service)


def check_scheme(url: str, service: str) -> None:
    """Raise `AgentFailure` for a URL that is not https, unless it is this machine's."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise AgentFailure(f"{service} must be called by https", error_class="not_allowed")


def host_of(url: str) -> str:
    """The host and port of a URL, in lower case."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
