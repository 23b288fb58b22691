"""How long the text of a JSON value is, without writing it: a value may repeat a part many times;
and which word was meant. Pure.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def size_of(value: object, limit: int) -> int:
    """At least how many characters the JSON text of `value` has; it stops counting above `limit`.

    The text is longer by what must be escaped, and by its spaces.
    """
    size, rest = 0, [value]
    while rest and size <= limit:
        each = rest.pop()
        if isinstance(each, str):
            size += 2 + len(each)
        elif isinstance(each, list):
            size += 1 + max(len(each), 1)  # brackets and commas
            if size <= limit:
                rest.extend(each)
        elif isinstance(each, dict):
            size += 1 + max(len(each), 1) + sum(3 + len(name) for name in each)
            if size <= limit:
                rest.extend(each.values())
        else:
            size += 1
    return size


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to be put behind a message, when one of the known words is close."""
    close = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, however they are joined: `apiKey`, `API_KEY` and `api-key`
    have the same.
    """
    return [word for word in _BETWEEN_WORDS.split(_HUMP.sub(" ", name).lower()) if word]
