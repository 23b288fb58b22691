"""The usage that a runtime reports: tokens, requests, model. Pure.

The standard names, which `AgentResult.usage` and `AgentFailure.usage` use:

- `input_tokens`: all tokens of the prompt. `cached_tokens` (read from a cache) and
  `cache_write_tokens` (written into one) are parts of it.
- `output_tokens`: all tokens of the answer. `reasoning_tokens` is a part of it.
- `total_tokens`, `requests` (to the model), `tool_calls` (a count).
- `model`, and `provider`: who is paid for it.

A runtime whose API counts otherwise converts; `Usage.of` knows the names of OpenAI and Anthropic.
"""

import re
from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.data_classes import dataclass

_ENTRIES = 20
_TEXT = 200
MAX_COUNT = 2**31 - 1  # the largest integer of GraphQL
_COUNTS: Mapping[str, tuple[str, ...]] = {  # by name, the names that runtimes use
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "cached_tokens": ("cached_tokens", "cache_read_tokens"),
    "cache_write_tokens": ("cache_write_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
    "requests": ("requests",),
    "tool_calls": ("tool_calls",),
}
_TEXTS = ("model", "provider")
_PARTS = (  # objects in which APIs like OpenAI's report parts of the counts
    ("input_tokens_details", ("cached_tokens", "cache_write_tokens")),
    ("prompt_tokens_details", ("cached_tokens", "cache_write_tokens")),
    ("output_tokens_details", ("reasoning_tokens",)),
    ("completion_tokens_details", ("reasoning_tokens",)),
)
_BESIDE_INPUT = {  # Anthropic's API leaves these out of `input_tokens`
    "cache_read_input_tokens": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one attempt used, as far as it is known; see the module for the names."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    requests: int | None = None
    tool_calls: int | None = None
    model: str | None = None
    provider: str | None = None

    @classmethod
    def of(cls, usage: object) -> "Usage":
        """Read what a runtime reports. What is missing or has the wrong type is None, and so is a
        count below 0 or above `MAX_COUNT`. The total may
        follow from input and output.
        """
        given = _named(usage)
        counts = {name: _first(given, names) for name, names in _COUNTS.items()}
        into, out, total = (counts[f"{each}_tokens"] for each in ("input", "output", "total"))
        if total is None and into is not None and out is not None:
            counts["total_tokens"] = into + out
        known: dict[str, Any] = {name: _limited(count) for name, count in counts.items()}
        texts: dict[str, Any] = {
            name: given[name] for name in _TEXTS if isinstance(given.get(name), str)
        }
        return cls(**known, **texts)

    @property
    def is_metered(self) -> bool:
        """Whether it says that a model was asked, so that it costs something, known or not."""
        counts = self.input_tokens, self.output_tokens, self.total_tokens
        return self.model is not None or any(count is not None for count in counts)


COUNTS = tuple(_COUNTS)


def plain_usage(usage: object) -> dict[str, object]:
    """The numbers and short texts in `usage`, at most 20, under snake_case names; standard names
    come first.

    Empty if `usage` is not an object.
    """
    named = _named(usage)
    first = [name for name in named if name in _COUNTS or name in _TEXTS]
    kept = [*first, *(name for name in named if name not in first and len(name) <= _TEXT)]
    values = ((name, named[name]) for name in kept[:_ENTRIES])
    return {
        _utf8(name): _utf8(value) if isinstance(value, str) else value for name, value in values
    }


def whole_number(value: object) -> int | None:
    """The value as an int if it is a whole number ≥ 0 (`5` or `5.0`); else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _named(usage: object) -> dict[str, object]:
    """The plain values under snake_case names, counted as the standard names say."""
    if not isinstance(usage, Mapping):
        return {}
    named = {_HUMP.sub("_", str(name)).lower(): value for name, value in usage.items()}
    plain = {name: value for name, value in named.items() if _is_plain(value)}
    for place, parts in _PARTS:
        within = named.get(place)
        inner = _named(within) if isinstance(within, Mapping) else {}
        for name in parts:
            if (count := whole_number(inner.get(name))) is not None:
                plain.setdefault(name, count)
    return _with_all_input(plain)


def _with_all_input(plain: dict[str, object]) -> dict[str, object]:
    """Count the tokens that Anthropic's API reports beside the input as input, too."""
    beside = {name: whole_number(plain.get(name)) for name in _BESIDE_INPUT}
    counts = {_BESIDE_INPUT[name]: count for name, count in beside.items() if count is not None}
    given = whole_number(plain.get("input_tokens"))
    if not counts or given is None:
        return plain
    rest = {name: value for name, value in plain.items() if name not in _BESIDE_INPUT}
    return {**rest, "input_tokens": given + sum(counts.values()), **counts}


def _first(given: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    counts = (whole_number(given.get(name)) for name in names)
    return next((count for count in counts if count is not None), None)


def _limited(count: int | None) -> int | None:
    return count if count is not None and count <= MAX_COUNT else None


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT
    # Every JSON reader holds integers below 2**53 exactly. NaN and infinity fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _utf8(text: str) -> str:
    """Replace lone surrogates by `?`: JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
