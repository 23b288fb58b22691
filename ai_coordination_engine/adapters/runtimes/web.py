"""Send one request with a deadline and size limits; the runtimes that speak HTTP share it."""

import re
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.adapters.runtimes.error_documents import read_error, usage_in
from ai_coordination_engine.adapters.runtimes.proxies import ProxiedTransport
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.charsets import Undecodable, decode
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import proxies

ANSWER_LIMIT = 5_000_000  # bytes, decompressed
STREAM_LIMIT = 50_000_000  # of a stream, which has some hundred bytes for each word
LONGEST_RETRY_AFTER = 86_400.0  # seconds; longer waits are cut to a day
_ERROR_LIMIT = 64_000  # bytes of an error's body that are read
# Errors that a retry cannot fix.
_FINAL_ERRORS = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
)
_SHORTEST = 6  # characters of a secret that is looked for in what a tool has answered
_WRONG_PLACE = (404, 405, 410)
_UNCOMPRESSED = ("", "identity")
_COMPRESSED = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful response.

    `text` is decoded by its byte order mark or charset. `retry_after` is in seconds, or None.
    """

    content_type: str
    text: str
    status: int = 200
    retry_after: float | None = None


class Web:
    """Posts JSON. Follows no redirects, keeps no cookies, reads `ANSWER_LIMIT` bytes at most.
    Thread-safe.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._proxied = ProxiedTransport(proxies()) if transport is None else None
        self._client = httpx.Client(
            transport=transport or self._proxied,
            trust_env=False,
            # One client serves all tenants, so it must not send the cookies of one for another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        seconds: float,
        service: str,
        watch: Callable[[bytes], None] | None = None,
        also: Collection[int] = (),
    ) -> Reply:
        """Send `body` and return the complete response within `seconds`.

        `watch` gets the bytes of a successful response while they arrive; then a stream of events
        may have `STREAM_LIMIT` bytes.

        `service` names the other side in messages. Raises `AgentFailure`. Retryable are connection
        errors, timeouts, the statuses 408, 409, 425, 429 and 5xx (with the `Retry-After` of RFC
        9110 section 10.2.3), and responses that cannot be read. Other statuses are final. The
        message quotes the error in the body. A class in the body overrides that of the status: a
        used-up account is a 429, but not a rate limit. `also`: statuses of errors whose responses
        are returned like successful ones.
        """
        asked = _Asked("POST", url, body, headers, service, watch, also)
        return self._answer(asked, seconds)

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        service: str,
        also: Collection[int] = (),
    ) -> Reply:
        """Return the response to a GET, as `post` does."""
        return self._answer(_Asked("GET", url, None, headers, service, None, also), seconds)

    def _answer(self, asked: "_Asked", seconds: float) -> Reply:
        service = asked.service
        try:
            return run_within(seconds, lambda: self._send(asked, seconds))
        except (DeadlinePassed, httpx.TimeoutException) as error:
            message = f"{service} did not answer within {max(seconds, 0):.3g} s"
            raise AgentFailure(message, retryable=True, error_class="timeout") from error
        # httpx raises these for a host name that cannot be encoded.
        except (httpx.InvalidURL, UnicodeError) as error:
            raise AgentFailure(
                f"{service} has an invalid URL", error_class="invalid_request"
            ) from error
        except httpx.RequestError as error:
            final = isinstance(error, _FINAL_ERRORS)
            raise AgentFailure(
                f"{service} cannot be reached{self._proxy_note(asked.url)}: {_reason(error)}",
                retryable=not final,
                error_class="invalid_request" if final else "unavailable",
            ) from error

    def _proxy_note(self, url: str) -> str:
        variable = self._proxied.proxy_variable(httpx.URL(url)) if self._proxied else None
        return f" through the proxy of {variable}" if variable else ""

    def _send(self, asked: "_Asked", seconds: float) -> Reply:
        ends, service, watch = time.monotonic() + seconds, asked.service, asked.watch
        content_type = {"Content-Type": "application/json"} if asked.body is not None else {}
        sent = {**content_type, "Accept-Encoding": "identity", **asked.headers}
        with self._client.stream(
            asked.method, asked.url, content=asked.body, headers=sent, timeout=seconds
        ) as response:
            if not response.is_success and response.status_code not in asked.also:
                raise _refused(response, service, ends)
            try:
                data = _read(response, _parts(response), ends, watch)
                text = decode(data, response.headers.get("Content-Type", ""))
            except _Unusable as error:
                raise invalid_output(f"{service} answered with {error}") from error
            except Undecodable as error:
                raise invalid_output(f"the answer of {service} {error}") from error
        wait = _retry_after(response.headers)
        return Reply(response.headers.get("Content-Type", ""), text, response.status_code, wait)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request; the fields are the arguments of `Web.post`."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    service: str
    watch: Callable[[bytes], None] | None
    also: Collection[int]


@contextmanager
def redacting(secrets: Iterable[str]) -> Iterator[None]:
    """Replace each secret by `***` in the message of an `AgentFailure` that the context raises.

    Services may quote parts of the request that they refuse.
    """
    try:
        yield
    except AgentFailure as failure:
        for secret in filter(None, secrets):
            failure.message = _redacted(failure.message, secret)
        failure.args = (failure.message,)
        raise


def redacted(value: Any, secrets: Sequence[str]) -> Any:
    """The JSON value without the secrets in its texts; a text holds shorter ones by chance."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***") if len(secret) >= _SHORTEST else value
        return value
    if isinstance(value, dict):
        return {redacted(name, secrets): redacted(each, secrets) for name, each in value.items()}
    return [redacted(each, secrets) for each in value] if isinstance(value, list) else value


def _redacted(message: str, secret: str) -> str:
    message = message.replace(secret, "***")
    # A length limit may have cut the secret at the end of the message.
    cut = next((n for n in range(len(secret), 5, -1) if message.endswith(secret[:n])), 0)
    return message[: len(message) - cut] + ("***" if cut else "")


def is_stream(content_type: str) -> bool:
    """Whether the content is a stream of server-sent events."""
    return content_type.strip().lower().startswith("text/event-stream")


def more_than(limit: int) -> str:
    """What a body is that has more bytes than its limit, for messages."""
    return f"more than {limit // 1_000_000} MB"


class _Unusable(Exception):
    """The body cannot be read; the message completes "… answered with"."""


def _parts(response: httpx.Response) -> Iterable[bytes]:
    """Return the body in chunks as received; a test's transport may have read it already."""
    return [response.content] if response.is_stream_consumed else response.iter_raw()


def _read(
    response: httpx.Response,
    parts: Iterable[bytes],
    ends: float,
    watch: Callable[[bytes], None] | None = None,
) -> bytes:
    """Return the decompressed body.

    Raises `_Unusable`, or `DeadlinePassed` after `ends`, when the caller has stopped waiting.
    """
    inflate = zlib.decompressobj(wbits=47) if _is_compressed(response) else None
    data, limit = bytearray(), ANSWER_LIMIT if watch is None else _limit(response)
    for part in parts:
        room = limit + 1 - len(data)
        more = _inflated(inflate, part, room) if inflate else part[:room]
        data += more
        _check_progress(len(data), limit, ends)
        if watch:
            watch(more)
    if inflate and data:
        ends_well = inflate.eof and not inflate.unused_data
        if not ends_well:
            raise _Unusable("a body that cannot be decompressed")
    return bytes(data)


def _check_progress(size: int, limit: int, ends: float) -> None:
    """Raise `_Unusable` for a body above its limit, and `DeadlinePassed` after `ends`."""
    if size > limit:
        raise _Unusable(f"more than {limit // 1_000_000} MB")
    if time.monotonic() > ends:
        raise DeadlinePassed(0)


def _limit(response: httpx.Response) -> int:
    """The most bytes of a response that is watched."""
    is_long = is_stream(response.headers.get("Content-Type", ""))
    return STREAM_LIMIT if is_long else ANSWER_LIMIT


def _inflated(inflate: "zlib._Decompress", part: bytes, room: int) -> bytes:
    try:
        return inflate.decompress(part, room)
    except zlib.error as error:
        raise _Unusable("a body that cannot be decompressed") from error


def _is_compressed(response: httpx.Response) -> bool:
    """Whether the body is compressed; raises `_Unusable` for an unknown encoding."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in _UNCOMPRESSED:
        return False
    if coding not in _COMPRESSED:  # nested compression could hide a decompression bomb
        raise _Unusable(f"the encoding {coding[:40]!r}, which was not requested")
    return True


def _refused(response: httpx.Response, service: str, ends: float) -> AgentFailure:
    status = response.status_code
    if response.has_redirect_location:
        message = f"{service} answered {status}, a redirect, which is not followed"
        return AgentFailure(message, error_class="invalid_request")
    text = _error_text(response, ends)
    document = read_error(text, status)
    place = (
        f" for {response.url.copy_with(query=None, fragment=None)}"
        if status in _WRONG_PLACE
        else ""
    )
    return AgentFailure(
        f"{service} answered {status}{place}{': ' if document.message else ''}{document.message}",
        retryable=document.retryable,
        retry_after=_retry_after(response.headers),
        error_class=document.error_class or "invalid_request",
        usage=usage_in(text),
    )


def _error_text(response: httpx.Response, ends: float) -> str:
    """Return the beginning of an error's body; empty if it cannot be read, since the status
    suffices.
    """
    data = bytearray()
    try:
        for part in _parts(response):
            data += part
            if len(data) > _ERROR_LIMIT or time.monotonic() > ends:
                break
        return decode(
            _read(response, [bytes(data)], ends), response.headers.get("Content-Type", "")
        )
    except (httpx.RequestError, _Unusable, Undecodable, DeadlinePassed):
        return ""


def _reason(error: httpx.RequestError) -> str:
    """Describe a connection error. Only messages of the operating system are quoted; others may
    quote a header.
    """
    if isinstance(error, httpx.RemoteProtocolError):
        return "it closed the connection, or does not speak HTTP"
    return str(error) if isinstance(error, httpx.NetworkError) else type(error).__name__


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds from now that `retry-after-ms` or `Retry-After` (a number or a date) ask
    for.

    None when neither is present or valid.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", value):
            return min(float(value) * unit, LONGEST_RETRY_AFTER)
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max(0.0, (then - datetime.now(UTC)).total_seconds()), LONGEST_RETRY_AFTER)
