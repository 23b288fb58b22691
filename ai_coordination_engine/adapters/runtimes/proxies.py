"""Choose the HTTP proxy of the environment for each request.

Proxies are set up only when a request needs them, so an invalid proxy does not break other
requests.
"""

import ipaddress
import threading

import httpx

from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import Proxies

# Connections are not reused: Lambda freezes between requests, and a connection that broke
# meanwhile would fail the next attempt.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_PORTS = {"http": 80, "https": 443}


class ProxiedTransport(httpx.BaseTransport):
    """Sends each request directly or through the proxy for its URL; to loopback always directly.

    Raises `AgentFailure`, naming the environment variable, when the proxy cannot be used.
    Thread-safe.
    """

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._direct = httpx.HTTPTransport(limits=_LIMITS)
        self._lock = threading.Lock()
        self._transports: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response."""
        variable = self.proxy_variable(request.url)
        return (self._proxied(variable) if variable else self._direct).handle_request(request)

    def proxy_variable(self, url: httpx.URL) -> str | None:
        """Return the environment variable whose proxy applies to the URL, or None."""
        if is_loopback(url.host) or any(_covers(each, url) for each in self._proxies.bypassed):
            return None
        return next(
            (name for scheme, name in self._proxies.variables if scheme in (url.scheme, "all")),
            None,
        )

    def _proxied(self, variable: str) -> httpx.HTTPTransport:
        with self._lock:
            if variable not in self._transports:
                try:
                    proxy = httpx.Proxy(self._proxies.urls[variable].get_secret_value())
                    self._transports[variable] = httpx.HTTPTransport(proxy=proxy, limits=_LIMITS)
                except (ImportError, ValueError, httpx.InvalidURL) as error:
                    reason = (
                        "SOCKS needs the Python package `socksio`"
                        if isinstance(error, ImportError)
                        else "it is not the URL of an HTTP or SOCKS5 proxy"
                    )
                    message = (
                        f"the proxy of {variable} cannot be used: {reason}; list hosts that need"
                        " no proxy in NO_PROXY"
                    )
                    raise AgentFailure(message, error_class="not_allowed") from error
            return self._transports[variable]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: `localhost` or a loopback address."""
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
    """Whether an entry of NO_PROXY covers the URL.

    An entry is `*`, a host (which includes its subdomains), an address, or a network in CIDR
    notation. All but a network may have a port.
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
    """Whether `host` is `domain` or one of its subdomains; never for an empty domain."""
    return host == domain or (bool(domain) and host.endswith(f".{domain}"))
