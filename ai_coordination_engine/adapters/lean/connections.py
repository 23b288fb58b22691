"""Send requests over open connections.

botocore's session opens the connections and keeps them: TLS, certificates, proxies, time-outs and
the errors of connecting are botocore's own. Only the exchange over a connection that is open
already is done here.
"""

from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

_PORTS = {"http": 80, "https": 443}
# A request with one of these needs more than to be written.
_NOT_PLAIN = ("Expect", "Host", "Transfer-Encoding")
_WITH_CONTENT = ("HTTP/1.1 200", "HTTP/1.1 400")


class WarmConnections:
    """Does for an endpoint of botocore what the `URLLib3Session` does that it is given.
    Thread-safe.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._pools: dict[str, Any] = {}  # by URL

    def send(self, request: Any) -> Any:
        """Send a request and read its response; raises the errors of botocore."""
        head = _head(request)
        if head is None or self._session._proxy_config.proxy_url_for(request.url) is not None:
            return self._session.send(request)
        if (pool := self._pools.get(request.url)) is None:
            pool = self._session._manager.connection_from_url(request.url)
            self._pools[request.url] = pool
        connection = pool._get_conn()  # without a socket if it is new or the service has closed it
        try:
            if connection.sock is not None:
                return _exchange(connection, head, request)
        finally:
            pool._put_conn(connection)
        return self._session.send(request)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pools.clear()
        self._session.close()


class _Body:
    """The body of a response in the form of urllib3's responses."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        """Yield the body."""
        yield self._content


def _exchange(connection: Any, head: bytes, request: Any) -> Any:
    keep = False
    try:
        connection.sock.sendall(head + request.body)
        with connection.sock.makefile("rb") as file:
            status, headers, content, keep = _read(file) or _read_any(file, request.method)
    except TimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except (OSError, HTTPException) as error:
        raise ConnectionClosedError(
            endpoint_url=request.url, request=request, error=error
        ) from error
    finally:
        if not keep:
            connection.close()
    of_response: Any = headers
    return AWSResponse(request.url, status, of_response, _Body(content))


def _read(file: Any) -> tuple[int, dict[str, str], bytes, bool] | None:
    """Status, headers and content of the next response, and whether the connection can be kept.

    None, and nothing is read, unless its head has come as a whole and gives the length.
    """
    start = file.peek()
    end = start.find(b"\r\n\r\n")
    first, *lines = start[: max(end, 0)].decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = {name.lower(): value.lstrip(" \t") for name, _, value in pairs}
    length = headers.get("content-length", "")
    plain = len(headers) == len(lines) and "transfer-encoding" not in headers
    if not (plain and length.isdecimal() and first[:12] in _WITH_CONTENT):
        return None
    file.read(end + 4)
    content = file.read(int(length))
    if len(content) < int(length):
        raise IncompleteRead(content, int(length) - len(content))
    return int(first[9:12]), headers, content, "close" not in headers.get("connection", "").lower()


class _Started:
    """A socket whose file has been created."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def makefile(self, mode: str) -> BinaryIO:
        """The file."""
        return self._file


def _read_any(file: Any, method: str) -> tuple[int, dict[str, str], bytes, bool]:
    """As `_read`, for every response of HTTP/1."""
    answer = HTTPResponse(_Started(file), method=method)  # type: ignore[arg-type]
    answer.begin()
    content = answer.read()
    headers = {name: ", ".join(answer.headers.get_all(name, ())) for name in answer.headers}
    return answer.status, headers, content, not answer.will_close


def _head(request: Any) -> bytes | None:
    """The request line and the headers; None if the request is not plain."""
    if request.stream_output or not isinstance(request.body, bytes):
        return None
    if any(name in request.headers for name in _NOT_PLAIN):
        return None
    target, host = target_and_host(request.url)
    lines = [
        f"{request.method} {target} HTTP/1.1".encode(),
        b"Host: " + host.encode(),
        b"Accept-Encoding: identity",
        *(b"%s: %s" % (name.encode(), _bytes(value)) for name, value in request.headers.items()),
    ]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        return None  # a line break in a value, which `http.client` refuses
    return head + b"\r\n\r\n"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


@lru_cache(maxsize=16)
def target_and_host(url: str) -> tuple[str, str]:
    """The target of the request line, and the value of `Host` in the form that is signed."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return target, host
