"""What the error of another service says: its words for people, and of which class it is.

Reads the documents of OpenAI, Azure, Anthropic, Gemini (a list), Mistral, vLLM, Ollama, llama.cpp,
LiteLLM, FastAPI (422), Spring and NestJS, AWS, GraphQL, JSON-RPC, JSON:API, OAuth, and of RFC 9457
("Problem Details").
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

WORDS_LIMIT = 300  # characters
_READ_LIMIT = 4_000  # characters of a page or a message
_MOST_ERRORS = 3
_DEPTH = 6

_HOLDERS = ("error", "errors", "Error", "fault")
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

# Words in codes, without what is no letter; the first that is found counts.
_BY_WORD = (
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
_OVER_ITS_STATUS = 3  # of them: a used-up account is a 429, too, and AWS throttles with 400
_BY_STATUS = {408: "timeout", 409: "unavailable", 425: "unavailable", 429: "rate_limit"}
_PASSES = ("timeout", "rate_limit", "unavailable")


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """`words` are one line, maybe empty; `error_class` is None where no code says it."""

    words: str
    error_class: str | None

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.error_class in _PASSES


def read_error(text: str, status: int) -> ErrorDocument:
    """What the body of an answer says whose HTTP `status` is an error; its class follows from
    both.
    """
    body = _json(text)
    return ErrorDocument(_line(_shown(text, body)), _class_of(body, status))


def error_in(body: object) -> ErrorDocument:
    """What a JSON body says whose status said success, but which is not the answer that it should
    be.
    """
    # not plain texts
    errors = [each for each in body if isinstance(each, dict)] if isinstance(body, list) else body
    return ErrorDocument(_line(_words(errors)), _class_of(errors, None))


def title_of(text: str) -> str:
    """What a page of HTML says that came instead of an answer: of a proxy, or of a server's
    console. Else nothing.
    """
    return _line(_page(text)) if _is_page(text) else ""


def one_line(text: str) -> str:
    """A text for people, cut: one line without control characters."""
    return _line(text)


def _shown(text: str, body: object) -> str:
    """The words of the body of an error: of JSON, of a page of HTML, or the text itself."""
    if body is not None:
        return _words(body)
    return _page(text) if _is_page(text) else text


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _words(value: object, depth: int = _DEPTH) -> str:
    if isinstance(value, str):
        return value
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(
            dict.fromkeys(filter(None, (_words(each, depth - 1) for each in value[:_MOST_ERRORS])))
        )
    return _words_of_object(value, depth) if isinstance(value, dict) else ""


def _words_of_object(value: Mapping[str, object], depth: int) -> str:
    for name in _HOLDERS:
        if isinstance(value.get(name), dict | list) and (inner := _words(value[name], depth - 1)):
            return inner
    found = next(filter(None, (_words(value.get(name), depth - 1) for name in _MESSAGES)), "")
    location = _location(value)
    if location is not None:
        found = f"{location}: {found}"
    if said := _said_by_provider(value):
        found = f"{found}: {said}".removeprefix(": ")
    titles = (value.get(name) for name in _TITLES)
    title = next((each for each in titles if isinstance(each, str) and each), "")
    return ": ".join(dict.fromkeys(filter(None, (title, found))))


def _location(error: Mapping[str, object]) -> str | None:
    """Where a request is wrong, as FastAPI says it."""
    location = error.get("loc") if "msg" in error else None
    return ".".join(str(each) for each in location[:10]) if isinstance(location, list) else None


def _said_by_provider(error: Mapping[str, object]) -> str:
    """What the provider behind OpenRouter said."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return raw if isinstance(raw, str) else ""


def _page(text: str) -> str:
    """The title of a page of HTML, or else what it shows."""
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
        :WORDS_LIMIT
    ]


def _class_of(body: object, status: int | None) -> str | None:
    codes = [str(each) for each in _codes(body)]
    rank = _rank(codes)
    number = status or next(
        (int(each) for each in codes if re.fullmatch("[45][0-9][0-9]", each)), None
    )
    if number is not None and rank >= _OVER_ITS_STATUS:
        return _BY_STATUS.get(number) or ("unavailable" if number >= 500 else "invalid_request")
    return _BY_WORD[rank][0] if rank < len(_BY_WORD) else None


def _rank(codes: list[str]) -> int:
    """The first row of `_BY_WORD` that has a word of the codes; the number of rows when none
    has.
    """
    words = " ".join(re.sub("[^a-z]", "", each.lower()) for each in codes)
    for rank, (_, parts) in enumerate(_BY_WORD):
        if any(part in words for part in parts):
            return rank
    return len(_BY_WORD)


def _codes(body: object, depth: int = _DEPTH) -> Iterator[object]:
    """The codes of an error, the innermost first."""
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict) or not depth:
        return
    for name in _HOLDERS:
        yield from _codes(body.get(name), depth - 1)
    yield from _own_codes(body, depth)


def _own_codes(error: Mapping[str, object], depth: int) -> Iterator[object]:
    for name in _CODES:
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield value
        elif name == "extensions":
            yield from _codes(value, depth - 1)
    code = error.get("error")  # of OAuth; elsewhere it is a sentence
    if isinstance(code, str) and " " not in code:
        yield code
