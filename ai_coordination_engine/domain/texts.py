"""Measure JSON values, suggest similar words and split names into words. Pure."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def size_of(value: object, limit: int) -> int:
    """A lower bound of the number of characters in the JSON text of `value`.

    Counting stops above `limit`. Escapes and spaces are not counted. The text is never built: a
    value may contain the same part many times.
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


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A part of an error message: a suggestion if `word` resembles a known word, whatever its case,
    else empty. It goes before the list of all that is known, if there is one.
    """
    words = {each.casefold(): each for each in known}
    close = get_close_matches(word[:100].casefold(), words, 1) if isinstance(word, str) else ()
    return f'; did you mean "{words[close[0]]}"?' if close else ""


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: `apiKey`, `API_KEY` and `api-key` give the same list."""
    return [word for word in _BETWEEN_WORDS.split(_HUMP.sub(" ", name).lower()) if word]
