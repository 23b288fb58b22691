"""One bounded POST: what `http` and `openai` agents have in common."""

import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.adapters.runtimes.error_documents import read_error
from ai_coordination_engine.adapters.runtimes.proxies import ProxiedTransport
from ai_coordination_engine.domain.charsets import Undecodable, decode
from ai_coordination_engine.ports import AgentFailure, AgentRequest
from ai_coordination_engine.settings import proxies

ANSWER_LIMIT = 5_000_000  # bytes, decompressed
LONGEST_RETRY_AFTER = 86_400.0  # seconds; who asks for more is asked again after a day
_ERROR_LIMIT = 64_000  # bytes that are read of an error's body
# What repeating the same request cannot mend.
_FINAL_ERRORS = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
)
_WRONG_PLACE = (404, 405, 410)
_UNCOMPRESSED = ("", "identity")
_COMPRESSED = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer; `text` is decoded by its byte order mark or charset. `retry_after`:
    seconds, or None.
    """

    content_type: str
    text: str
    status: int = 200
    retry_after: float | None = None


def attempt_headers(request: AgentRequest) -> dict[str, str]:
    """`Idempotency-Key` for what is attempted, the same for every attempt, and `X-Ace-Run` for this
    one.
    """
    return {
        "Idempotency-Key": request.idempotency_key or request.run_uuid,
        "X-Ace-Run": request.run_uuid,
    }


class Web:
    """Posts JSON: follows no redirect, keeps no cookie, reads `ANSWER_LIMIT` bytes at most.
    Thread-safe.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._ways = ProxiedTransport(proxies()) if transport is None else None
        self._client = httpx.Client(
            transport=transport or self._ways,
            trust_env=False,
            # One client serves all tenants: a cookie of one must not travel with the request of
            # another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, whom: str
    ) -> Reply:
        """The reply to `body`, complete within `seconds`; `whom` names the other side in messages.

        Raises `AgentFailure`: retryable for a connection that fails, a time that is over, 408, 409,
        425, 429, 5xx (with the `Retry-After` of RFC 9110 section 10.2.3) and an answer that cannot
        be used, final for any other status. What an error's body says goes into the message, and
        where it names a class that the status does not have (a used-up account is a 429), into the
        class.
        """
        try:
            return run_within(seconds, lambda: self._post(url, body, headers, seconds, whom))
        except (DeadlinePassed, httpx.TimeoutException) as error:
            message = f"{whom} did not answer within {max(seconds, 0):.3g} s"
            raise AgentFailure(message, retryable=True, error_class="timeout") from error
        # no name of a host that could be looked up
        except (httpx.InvalidURL, UnicodeError) as error:
            raise AgentFailure(
                f"{whom} has an invalid URL", error_class="invalid_request"
            ) from error
        except httpx.RequestError as error:
            final = isinstance(error, _FINAL_ERRORS)
            raise AgentFailure(
                f"{whom} cannot be reached{self._through(url)}: {_reason(error)}",
                retryable=not final,
                error_class="invalid_request" if final else "unavailable",
            ) from error

    def _through(self, url: str) -> str:
        variable = self._ways.variable(httpx.URL(url)) if self._ways else None
        return f" through the proxy of {variable}" if variable else ""

    def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], seconds: float, whom: str
    ) -> Reply:
        ends = time.monotonic() + seconds
        sent = {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}
        with self._client.stream(
            "POST", url, content=body, headers=sent, timeout=seconds
        ) as response:
            if not response.is_success:
                raise _refused(response, whom, ends)
            try:
                data = _read(response, _parts(response), ends)
                text = decode(data, response.headers.get("Content-Type", ""))
            except _Unusable as error:
                raise invalid_output(f"{whom} answered {error}") from error
            except Undecodable as error:
                raise invalid_output(f"the answer of {whom} {error}") from error
        again = _retry_after(response.headers)
        return Reply(response.headers.get("Content-Type", ""), text, response.status_code, again)


@contextmanager
def hiding(secrets: Iterable[str]) -> Iterator[None]:
    """An `AgentFailure` raised in the context holds `***` in place of each secret: services quote
    what they refuse.
    """
    try:
        yield
    except AgentFailure as failure:
        for secret in filter(None, secrets):
            failure.message = _hidden(failure.message, secret)
        failure.args = (failure.message,)
        raise


def _hidden(message: str, secret: str) -> str:
    message = message.replace(secret, "***")
    # what a limit cut in two
    cut = next((n for n in range(len(secret), 5, -1) if message.endswith(secret[:n])), 0)
    return message[: len(message) - cut] + ("***" if cut else "")


class _Unusable(Exception):
    """The body cannot be read; the message says what was answered."""


def _parts(response: httpx.Response) -> Iterable[bytes]:
    """The body as it is sent; a transport of a test may have read it already."""
    return [response.content] if response.is_stream_consumed else response.iter_raw()


def _read(response: httpx.Response, parts: Iterable[bytes], ends: float) -> bytes:
    """The body, decompressed; raises `_Unusable`, and `DeadlinePassed` after `ends` (nobody waits
    any longer).
    """
    inflate = zlib.decompressobj(wbits=47) if _is_compressed(response) else None
    data = bytearray()
    for part in parts:
        room = ANSWER_LIMIT + 1 - len(data)
        data += _inflated(inflate, part, room) if inflate else part[:room]
        if len(data) > ANSWER_LIMIT:
            raise _Unusable(f"more than {ANSWER_LIMIT // 1_000_000} MB")
        if time.monotonic() > ends:
            raise DeadlinePassed(0)
    if inflate and data:
        ends_well = inflate.eof and not inflate.unused_data
        if not ends_well:
            raise _Unusable("what does not decode")
    return bytes(data)


def _inflated(inflate: "zlib._Decompress", part: bytes, room: int) -> bytes:
    try:
        return inflate.decompress(part, room)
    except zlib.error as error:
        raise _Unusable("what does not decode") from error


def _is_compressed(response: httpx.Response) -> bool:
    """Whether the body is compressed; raises `_Unusable` for any other encoding."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in _UNCOMPRESSED:
        return False
    if coding not in _COMPRESSED:  # a list of them may be a bomb in a bomb
        raise _Unusable(f"in the encoding {coding[:40]!r}, which was not asked for")
    return True


def _refused(response: httpx.Response, whom: str, ends: float) -> AgentFailure:
    status = response.status_code
    if response.has_redirect_location:
        message = f"{whom} answered {status}, a redirect, which is not followed"
        return AgentFailure(message, error_class="invalid_request")
    document = read_error(_words(response, ends), status)
    place = (
        f" for {response.url.copy_with(query=None, fragment=None)}"
        if status in _WRONG_PLACE
        else ""
    )
    return AgentFailure(
        f"{whom} answered {status}{place}{': ' if document.words else ''}{document.words}",
        retryable=document.retryable,
        retry_after=_retry_after(response.headers),
        error_class=document.error_class or "invalid_request",
    )


def _words(response: httpx.Response, ends: float) -> str:
    """The body of an error, or its beginning; nothing when it cannot be read, for the status says
    enough.
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
    """Only an operating system's message is quoted: others may quote a header."""
    if isinstance(error, httpx.RemoteProtocolError):
        return "it broke off, or does not speak HTTP"
    return str(error) if isinstance(error, httpx.NetworkError) else type(error).__name__


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds from now, by `retry-after-ms`, or `Retry-After` as a number or a date; None for
    neither.
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
