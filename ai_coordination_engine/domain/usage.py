"""The usage (tokens, model, cost) that a runtime reports, reduced to what a run can store. Pure."""

import re
from collections.abc import Mapping

_ENTRIES = 20
_TEXT = 200
MAX_COUNT = 2**31 - 1  # the largest integer of GraphQL
_COUNTS = {  # by name, the names that runtimes use
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_usage(usage: object) -> dict[str, object]:
    """The numbers and short texts in `usage`, at most 20, under snake_case names.

    Empty if `usage` is not an object.
    """
    if not isinstance(usage, Mapping):
        return {}
    named = {
        _HUMP.sub("_", str(name)).lower(): value
        for name, value in usage.items()
        if _is_plain(value)
    }
    kept = [(name, value) for name, value in named.items() if len(name) <= _TEXT][:_ENTRIES]
    return {_utf8(name): _utf8(value) if isinstance(value, str) else value for name, value in kept}


def token_counts(usage: object) -> dict[str, int]:
    """The counts `input_tokens`, `output_tokens` and `total_tokens` in `usage`, if they are known.

    If only the total is missing, it is the sum of the two others. A count above `MAX_COUNT` is
    left out.
    """
    given = usage if isinstance(usage, Mapping) else {}
    counts = {
        name: next(
            (count for each in names if (count := whole_number(given.get(each))) is not None), None
        )
        for name, names in _COUNTS.items()
    }
    parts = counts["input_tokens"], counts["output_tokens"]
    if counts["total_tokens"] is None and None not in parts:
        counts["total_tokens"] = sum(part for part in parts if part is not None)
    return {
        name: count for name, count in counts.items() if count is not None and count <= MAX_COUNT
    }


def whole_number(value: object) -> int | None:
    """The value as an int if it is a whole number ≥ 0 (`5` or `5.0`); else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT
    # Every JSON reader holds integers below 2**53 exactly. NaN and infinity fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _utf8(text: str) -> str:
    """Replace lone surrogates by `?`: JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
