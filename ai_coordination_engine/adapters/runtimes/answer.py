"""Turns what an agent answered into an `AgentResult` that every store and every client can carry."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.ports import AgentResult

_USAGE_ENTRIES = 20
_USAGE_TEXT = 200
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def answer(output: object, usage: object = None) -> AgentResult:
    """The result for `output`: text as it is, nothing for None, anything else as JSON.

    Of `usage` only numbers and short texts are kept, under snake_case names. Half surrogates, which JSON can
    carry and UTF-8 cannot, become `?`. Raises `ValueError`, `TypeError` or `RecursionError` if it is no JSON.
    """
    return AgentResult(_text(output), _usage(usage))


def _text(output: object) -> str:
    if output is None:
        return ""
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _usage(usage: object) -> dict[str, Any]:
    if not isinstance(usage, Mapping):
        return {}
    kept = [(str(name), value) for name, value in usage.items() if _is_plain(value)][:_USAGE_ENTRIES]
    return {
        _text(_HUMP.sub("_", name).lower()): _text(value) if isinstance(value, str) else value for name, value in kept
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _USAGE_TEXT
    # Within what a JSON reader holds exactly; not a number and infinity fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
