"""Extract the message and the error class from an error response of another service.

The HTTP runtimes call it. It reads the documents of OpenAI, Azure, Anthropic, Gemini (a list),
Mistral, vLLM, Ollama, llama.cpp, LiteLLM, FastAPI (422), Spring and NestJS, AWS, GraphQL, JSON-RPC,
JSON:API, OAuth, and of RFC 9457 ("Problem Details").
"""

import html
import json
import re
from collections.abc import Iterator, Mapping

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.usage import plain_usage

MESSAGE_LIMIT = 300  # characters
_READ_LIMIT = 4_000  # characters of a page or a message
_MOST_ERRORS = 3
_DEPTH = 6

_ERROR_KEYS = ("error", "errors", "Error", "fault")
_MESSAGES = (
    "message",
    "Message",
    "error_message",
    "errorMessage",
    "msg",
    "detail",
    "error_description",
    "description",
)
_TITLES = ("error", "title")
_CODES = (
    "code",
    "Code",
    "status",
    "statusCode",
    "status_code",
    "type",
    "error_type",
    "errorType",
    "__type",
    "extensions",
)

# The class of an error by parts of its codes (only letters are compared); the first match counts.
_CLASSES_BY_CODE = (
    (
        "invalid_request",
        ("insufficientquota", "insufficientbalance", "billing", "creditbalance", "paymentrequired"),
    ),
    ("invalid_request", ("contextlength", "modelnotfound", "contentfilter", "contentpolicy")),
    ("rate_limit", ("ratelimit", "resourceexhausted", "toomanyrequests", "throttl")),
    ("timeout", ("timeout", "deadlineexceeded")),
    (
        "unavailable",
        (
            "overloaded",
            "unavailable",
            "servererror",
            "internal",
            "apierror",
            "badgateway",
            "loading",
        ),
    ),
    (
        "invalid_request",
        ("invalid", "notfound", "unauth", "authentication", "permission", "forbidden", "denied"),
    ),
    ("invalid_request", ("badrequest", "unsupported", "precondition", "outofrange")),
)
# The first rows override the HTTP status: a used-up account is a 429, and AWS throttles with 400.
_ROWS_OVER_STATUS = 3
_BY_STATUS = {408: "timeout", 409: "unavailable", 425: "unavailable", 429: "rate_limit"}
_RETRYABLE = ("timeout", "rate_limit", "unavailable")


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """`message` is one line, possibly empty; `error_class` is None if no code tells
    it.
    """

    message: str
    error_class: str | None

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.error_class in _RETRYABLE


def read_error(text: str, status: int) -> ErrorDocument:
    """Read the body of a response whose HTTP `status` is an error; both decide the class."""
    body = _json(text)
    return ErrorDocument(_line(_shown(text, body)), _class_of(body, status))


def error_in(body: object) -> ErrorDocument:
    """Read the error in a JSON body that came with a successful status but is no valid answer."""
    # Texts in a list are part of an answer, not of an error.
    errors = [each for each in body if isinstance(each, dict)] if isinstance(body, list) else body
    return ErrorDocument(_line(_message(errors)), _class_of(errors, None))


def usage_in(text: str) -> dict[str, object]:
    """Return the usage that the body of an error reports; empty if it reports none."""
    body = _json(text)
    return plain_usage(body.get("usage")) if isinstance(body, dict) else {}


def title_of(text: str) -> str:
    """Return the text of an HTML page, such as a proxy's error page; empty for anything else."""
    return _line(_page(text)) if _is_page(text) else ""


def one_line(text: str) -> str:
    """Return a text as one line without control characters, cut to `MESSAGE_LIMIT`."""
    return _line(text)


def _shown(text: str, body: object) -> str:
    """Return the message in the body of an error: from JSON, from an HTML page, or the
    text itself.
    """
    if body is not None:
        return _message(body)
    return _page(text) if _is_page(text) else text


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(value: object, depth: int = _DEPTH) -> str:
    if isinstance(value, str):
        return value
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(
            dict.fromkeys(
                filter(None, (_message(each, depth - 1) for each in value[:_MOST_ERRORS]))
            )
        )
    return _message_of_object(value, depth) if isinstance(value, dict) else ""


def _message_of_object(value: Mapping[str, object], depth: int) -> str:
    for name in _ERROR_KEYS:
        if isinstance(value.get(name), dict | list) and (inner := _message(value[name], depth - 1)):
            return inner
    found = next(filter(None, (_message(value.get(name), depth - 1) for name in _MESSAGES)), "")
    location = _location(value)
    if location is not None:
        found = f"{location}: {found}"
    if said := _provider_message(value):
        found = f"{found}: {said}".removeprefix(": ")
    titles = (value.get(name) for name in _TITLES)
    title = next((each for each in titles if isinstance(each, str) and each), "")
    return ": ".join(dict.fromkeys(filter(None, (title, found))))


def _location(error: Mapping[str, object]) -> str | None:
    """Return the place of the invalid value in a FastAPI error, for example `body.items.0`."""
    location = error.get("loc") if "msg" in error else None
    return ".".join(str(each) for each in location[:10]) if isinstance(location, list) else None


def _provider_message(error: Mapping[str, object]) -> str:
    """Return the message of the provider behind OpenRouter."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return raw if isinstance(raw, str) else ""


def _page(text: str) -> str:
    """Return the title of an HTML page, or else its visible text."""
    text = text[:_READ_LIMIT]
    text = re.sub(
        r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", " ", text, flags=re.DOTALL | re.IGNORECASE
    )
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    shown = title[1] if title and title[1].strip() else re.sub(r"<[^<>]*>?", " ", text)
    return html.unescape(shown)


def _is_page(text: str) -> bool:
    return text[:_READ_LIMIT].lstrip().startswith("<")


def _line(text: str) -> str:
    text = text[:_READ_LIMIT]
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[
        :MESSAGE_LIMIT
    ]


def _class_of(body: object, status: int | None) -> str | None:
    codes = [str(each) for each in _codes(body)]
    rank = _rank(codes)
    number = status or next(
        (int(each) for each in codes if re.fullmatch("[45][0-9][0-9]", each)), None
    )
    if number is not None and rank >= _ROWS_OVER_STATUS:
        return _BY_STATUS.get(number) or ("unavailable" if number >= 500 else "invalid_request")
    return _CLASSES_BY_CODE[rank][0] if rank < len(_CLASSES_BY_CODE) else None


def _rank(codes: list[str]) -> int:
    """Return the index of the first row of `_CLASSES_BY_CODE` that matches; their number if none
    does.
    """
    letters = " ".join(re.sub("[^a-z]", "", each.lower()) for each in codes)
    for rank, (_, parts) in enumerate(_CLASSES_BY_CODE):
        if any(part in letters for part in parts):
            return rank
    return len(_CLASSES_BY_CODE)


def _codes(body: object, depth: int = _DEPTH) -> Iterator[object]:
    """Yield the codes of an error, the innermost first."""
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict) or not depth:
        return
    for name in _ERROR_KEYS:
        yield from _codes(body.get(name), depth - 1)
    yield from _own_codes(body, depth)


def _own_codes(error: Mapping[str, object], depth: int) -> Iterator[object]:
    for name in _CODES:
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield value
        elif name == "extensions":
            yield from _codes(value, depth - 1)
    code = error.get("error")  # a code in OAuth; elsewhere a sentence
    if isinstance(code, str) and " " not in code:
        yield code
