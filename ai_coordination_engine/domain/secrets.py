"""Refuse secrets in records: they belong in the server's settings. Pure.

`domain.shapes` calls `refuse_secrets` for the keys of a `runtime` that it does not know.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from ai_coordination_engine.domain.texts import words_of

_ALWAYS = (
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "authorisation",
    "credential",
    "secret",
)
"""A name that ends with one of these, or its plural, names a secret."""
_KEYS = {
    "api",
    "access",
    "private",
    "secret",
    "signing",
    "encryption",
    "subscription",
    "account",
    "master",
    "auth",
}
"""Words before "key" that make it a secret, as in `api_key`. A `sort_key` is not a secret."""
_TOKENS = {
    "access",
    "api",
    "auth",
    "bearer",
    "bot",
    "csrf",
    "id",
    "identity",
    "jwt",
    "oauth",
    "refresh",
    "security",
}
"""Words before "tokens" that make them secrets, as in `access_tokens`. In any other name, such as
`max_tokens`, tokens are pieces of a text.
"""
# fmt: off
_POSITIONS = {
    "after", "before", "bos", "change", "class", "cls", "continuation", "continue", "cursor",
    "delta", "end", "eos", "eot", "first", "idempotency", "image", "iterator", "last", "list",
    "marker", "mask", "max", "min", "new", "next", "offset", "page", "pagination", "paging",
    "pad", "per", "position", "prev", "previous", "resume", "scroll", "search", "sep", "skip",
    "special", "start", "stop", "sync", "unk", "unknown", "word",
}
# fmt: on
"""Words before "token" that make it a position or a piece of text (`page_token`), not a secret."""
_DESCRIBE = ("properties", "$defs", "definitions")
"""The keywords of a JSON Schema whose keys are names that the schema's author chose."""
_GLUED = (
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "accesstoken",
    "apitoken",
    "authtoken",
    "baseurl",
)
_USERINFO = re.compile(r"^\s*[a-z][a-z0-9+.-]*://[^/?#\s]*@", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a key with this name holds a secret, or the base URL to which one would be sent.

    Whole words are compared, not parts of words.
    """
    owner, last = _last_two(name)
    if last.removesuffix("s").endswith(_ALWAYS) or last.endswith(_GLUED):
        return True
    if last == "token":
        return owner not in _POSITIONS
    if last == "tokens":
        return owner in _TOKENS
    if last in ("key", "keys"):
        return owner in _KEYS
    return (owner, last) == ("base", "url")


def _last_two(name: str) -> tuple[str, str]:
    """The last two words of a name, without digits at their ends; "" for a word that is missing."""
    words = [word.rstrip("0123456789") for word in words_of(name)]
    *_, owner, last = ["", "", *filter(None, words)]
    return owner, last


def refuse_secrets(values: Mapping[str, object]) -> None:
    """Raise `ValueError` for a key that names a secret or an endpoint, or a URL with credentials.

    All levels are checked, also those inside lists.
    """
    for place, key, value in _entries(values):
        if isinstance(value, str) and _USERINFO.match(value):
            raise ValueError(f"{place} holds credentials, which do not belong in a record")
        if key is not None and is_secret_name(key):
            raise ValueError(
                f"{place} does not belong in a record; name an endpoint of the server's settings"
            )


def _entries(values: Mapping[str, object]) -> Iterator[tuple[str, str | None, object]]:
    """Every value in `values` with its path and its key (None for an element of a list).

    The key is also None for a property that a JSON Schema describes: `properties.password` is a
    schema, not a password.
    """
    rest: list[tuple[str, object]] = [("", values)]
    while rest:
        place, value = rest.pop()
        if isinstance(value, Mapping):
            described = place.endswith(_DESCRIBE)
            for key, each in value.items():
                at = f"{place}.{key[:100]}".lstrip(".")[-200:]
                yield at, None if described and isinstance(each, Mapping) else key, each
                rest.append((at, each))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for index, each in enumerate(value):
                at = f"{place}[{index}]"
                yield at, None, each
                rest.append((at, each))
