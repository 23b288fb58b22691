"""What an attempt used, as far as it can be kept."""

import re
from collections.abc import Mapping
from typing import Any

_ENTRIES = 20
_TEXT = 200
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_usage(usage: object) -> dict[str, Any]:
    """Of `usage` only numbers and short texts, 20 at most, under snake_case names; nothing of what is no object."""
    if not isinstance(usage, Mapping):
        return {}
    named = {_HUMP.sub("_", str(name)).lower(): value for name, value in usage.items() if _is_plain(value)}
    return dict([(_sound(name), _sound(value)) for name, value in named.items() if len(name) <= _TEXT][:_ENTRIES])


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT
    # Within what a JSON reader holds exactly; not a number and infinity fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _sound(value: Any) -> Any:
    """Half surrogates, which JSON can carry and UTF-8 cannot, become `?`."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
