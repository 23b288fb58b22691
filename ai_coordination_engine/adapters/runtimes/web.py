"""One bounded POST: what `http` and `openai` agents have in common."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.ports import AgentFailure

ANSWER_LIMIT = 5_000_000
LONGEST_RETRY_AFTER = 86_400.0  # seconds; who asks for more is asked again after a day
_DETAIL_LIMIT = 300
# What repeating the same request cannot mend.
_FINAL_ERRORS = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
)
_ERROR_CLASSES = {408: "timeout", 429: "rate_limit"}
_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer; `text` is decoded as UTF-8."""

    content_type: str
    text: str
    status: int = 200


class Web:
    """Posts JSON: follows no redirect, keeps no cookie, reads `ANSWER_LIMIT` bytes at most. Thread-safe."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            transport=transport,
            mounts=dict.fromkeys(_LOOPBACK) if transport is None else None,  # a proxy has no business there
            # One client serves all tenants: a cookie of one must not travel with the request of another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # No connection outlives its request: Lambda freezes between two, and one that died meanwhile
            # would fail an attempt that a handshake would have saved.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, whom: str) -> Reply:
        """The reply to `body`, complete within `seconds`; `whom` names the other side in messages.

        Raises `AgentFailure`: retryable for a connection that fails, a time that is over, 408, 429, 5xx (with
        the `Retry-After` of RFC 9110 section 10.2.3) and an answer that cannot be used, final for any other status.
        """
        try:
            return run_within(seconds, lambda: self._post(url, body, headers, seconds, whom))
        except (DeadlinePassed, httpx.TimeoutException) as error:
            message = f"{whom} did not answer within {max(seconds, 0):.3g} s"
            raise AgentFailure(message, retryable=True, error_class="timeout") from error
        except httpx.InvalidURL as error:
            raise AgentFailure(f"{whom} has an invalid URL", error_class="invalid_request") from error
        except httpx.DecodingError as error:
            raise invalid_output(f"{whom} answered what does not decode") from error
        except httpx.RequestError as error:
            # Only an operating system's message is quoted: others may quote a header.
            reason = str(error) if isinstance(error, httpx.NetworkError) else type(error).__name__
            final = isinstance(error, _FINAL_ERRORS)
            raise AgentFailure(
                f"{whom} cannot be reached: {reason}",
                retryable=not final,
                error_class="invalid_request" if final else "unavailable",
            ) from error

    def _post(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float, whom: str) -> Reply:
        ends = time.monotonic() + seconds
        sent = {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}
        with self._client.stream("POST", url, content=body, headers=sent, timeout=seconds) as response:
            parts: list[bytes] = []
            size = 0
            for part in response.iter_bytes():
                size += len(part)
                if size > ANSWER_LIMIT:
                    raise invalid_output(f"{whom} answered more than {ANSWER_LIMIT // 1_000_000} MB")
                if time.monotonic() > ends:  # nobody waits any longer: let the connection go
                    raise DeadlinePassed(seconds)
                parts.append(part)
        text = b"".join(parts).decode("utf-8", "replace")
        if not response.is_success:
            raise _refused(response, text, whom)
        return Reply(response.headers.get("Content-Type", ""), text, response.status_code)


def _refused(response: httpx.Response, text: str, whom: str) -> AgentFailure:
    status = response.status_code
    if response.has_redirect_location:
        return AgentFailure(
            f"{whom} answered {status}, a redirect, which is not followed", error_class="invalid_request"
        )
    error_class = "unavailable" if status >= 500 else _ERROR_CLASSES.get(status, "invalid_request")
    return AgentFailure(
        f"{whom} answered {status}{_detail(text)}",
        retryable=error_class != "invalid_request",
        retry_after=_retry_after(response.headers.get("Retry-After", "")),
        error_class=error_class,
    )


def _detail(text: str) -> str:
    """What an error's body says to people, as `: …`, in one line; nothing for a page of HTML."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    found: object = text if body is None and not text.lstrip().startswith("<") else ""
    if isinstance(body, dict):
        error = body.get("error")
        nested = error.get("message") if isinstance(error, dict) else error
        found = nested or body.get("message") or body.get("detail")
    line = " ".join(found.split())[:_DETAIL_LIMIT] if isinstance(found, str) else ""
    return f": {line}" if line else ""


def _retry_after(value: str) -> float | None:
    """Seconds from now, for either form of the header; None when it is absent or says nothing."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY_AFTER)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max(0.0, (then - datetime.now(UTC)).total_seconds()), LONGEST_RETRY_AFTER)
