"""The proxies of the environment, chosen for each request: one that a host does not need cannot
break its calls.
"""

import ipaddress
import threading

import httpx

from ai_coordination_engine.ports import AgentFailure
from ai_coordination_engine.settings import Proxies

# No connection outlives its request: Lambda freezes between two, and one that died meanwhile
# would fail an attempt that a handshake would have saved.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_PORTS = {"http": 80, "https": 443}


class ProxiedTransport(httpx.BaseTransport):
    """Sends a request directly, or through the proxy that `proxies` name for its URL; loopback is
    always direct.

    A proxy that is wanted and cannot be used is an `AgentFailure` that names its variable.
    Thread-safe.
    """

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._direct = httpx.HTTPTransport(limits=_LIMITS)
        self._lock = threading.Lock()
        self._through: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request, on the way that its URL takes."""
        variable = self.variable(request.url)
        return (self._proxied(variable) if variable else self._direct).handle_request(request)

    def variable(self, url: httpx.URL) -> str | None:
        """The variable whose proxy the URL takes; None when it takes none."""
        if is_loopback(url.host) or any(_covers(each, url) for each in self._proxies.bypassed):
            return None
        return next(
            (name for scheme, name in self._proxies.variables if scheme in (url.scheme, "all")),
            None,
        )

    def _proxied(self, variable: str) -> httpx.HTTPTransport:
        with self._lock:
            if variable not in self._through:
                try:
                    proxy = httpx.Proxy(self._proxies.urls[variable].get_secret_value())
                    self._through[variable] = httpx.HTTPTransport(proxy=proxy, limits=_LIMITS)
                except (ImportError, ValueError, httpx.InvalidURL) as error:
                    reason = (
                        "SOCKS needs the Python package `socksio`"
                        if isinstance(error, ImportError)
                        else "it is not the URL of an HTTP or SOCKS5 proxy"
                    )
                    message = (
                        f"the proxy of {variable} cannot be used: {reason}; NO_PROXY lists the"
                        " hosts without one"
                    )
                    raise AgentFailure(message, error_class="not_allowed") from error
            return self._through[variable]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _covers(entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY covers the URL: `*`, a host and those below it, an address, a
    network in CIDR notation; each but the last with a port, if need be.
    """
    if entry == "*":
        return True
    if network := _network(entry):
        address = _address(url.host)
        return address is not None and address in network
    scheme, _, rest = entry.rpartition("://")
    name, _, port = rest.rpartition(":")
    if not port.isdecimal():
        name, port = rest, ""
    if scheme and scheme != url.scheme:
        return False
    if port and int(port) != (url.port or _PORTS[url.scheme]):
        return False
    return _is_within(url.host.rstrip("."), name.strip("[]").lstrip("*").strip("."))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _is_within(host: str, domain: str) -> bool:
    """Whether a host is this domain, or lies below it; nothing lies below none."""
    return host == domain or (bool(domain) and host.endswith(f".{domain}"))
