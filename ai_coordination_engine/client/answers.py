"""Read an HTTP response: its data, or the error that it stands for."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any

import httpx

from ai_coordination_engine.client.errors import ApiError, Problem, UnexpectedAnswer, Unreachable

_CODES = {400: "BAD_USER_INPUT", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 413: "TOO_COMPLEX"}
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def data_of(response: httpx.Response, on_warning: Callable[[str], object]) -> Any:
    """Return the `data` of a GraphQL response; pass its warnings to `on_warning`.

    Raises `ApiError`.
    """
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not ("data" in answer or answer.get("errors")):
        raise _not_graphql(response)
    return read(answer, on_warning, retry_after(response.headers))


def read(
    answer: Mapping[str, Any],
    on_warning: Callable[[str], object],
    after: float | None = None,
) -> Any:
    """Return the `data` of a GraphQL response object; raises `ApiError`."""
    extensions = answer.get("extensions")
    warnings = extensions.get("warnings") if isinstance(extensions, dict) else None
    for warning in _listed(warnings):
        on_warning(str(warning))
    if errors := answer.get("errors"):
        raise _error([_problem(each) for each in _listed(errors)], answer.get("data"), after)
    if not isinstance(answer.get("data"), dict):
        raise UnexpectedAnswer("the answer has neither data nor errors")
    return answer["data"]


def is_truncated(answer: Mapping[str, Any]) -> bool:
    """Whether the server has left values out of a response because it was too large."""
    extensions = answer.get("extensions")
    return isinstance(extensions, dict) and extensions.get("truncated") is True


def lost(error: httpx.HTTPError, where: str) -> ApiError:
    """Return the error for a request without an answer. The message never quotes headers."""
    kind = type(error).__name__
    why = f"{kind}: {error}" if isinstance(error, httpx.NetworkError) and str(error) else kind
    return Unreachable(
        f"{where} does not answer ({why})", retryable=True, sent=not isinstance(error, _NOT_SENT)
    )


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that `Retry-After` asks to wait (RFC 9110: a number or a date)."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now or datetime.now(UTC))
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _until(text: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return -1.0
    return max((then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds(), 0.0)


def _listed(value: Any) -> list[Any]:
    """Return a value that should be a list as one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _problem(error: Any) -> Problem:
    error = error if isinstance(error, dict) else {"message": json.dumps(error)}
    extensions = error.get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    code = extensions.get("code")
    path = error.get("path")
    return Problem(
        message=str(error.get("message", "")),
        code=code if isinstance(code, str) else "UNEXPECTED_ANSWER",
        path=tuple(path) if isinstance(path, list) else (),
        extensions=extensions,
    )


def _error(problems: list[Problem], data: Any, after: float | None) -> ApiError:
    message = "; ".join(dict.fromkeys(each.message for each in problems))
    return ApiError.of(
        problems[0].code,
        message,
        problems=problems,
        data=data,
        retryable=all(each.extensions.get("retryable") is True for each in problems),
        retry_after=after,
    )


def _not_graphql(response: httpx.Response) -> ApiError:
    """Return the error for an answer of something between the client and the API."""
    status = response.status_code
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    busy = "THROTTLED" if status in _RETRYABLE else UnexpectedAnswer.code
    return ApiError.of(
        _CODES.get(status, busy),
        f"HTTP {status} {phrase} without a GraphQL answer from {place(response.url)}",
        retryable=status in _RETRYABLE,
        retry_after=retry_after(response.headers),
    )


def place(url: httpx.URL) -> str:
    """Return a URL for messages, without credentials and parameters."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
