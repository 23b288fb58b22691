"""The tool calls that a runtime reports, reduced to what a run can store. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from ai_coordination_engine.domain import json_text

OUTCOMES = ("completed", "failed", "denied", "asked")
"""`denied`: a person did not allow it; `asked`: a person was asked whether to allow it."""
MAX_CALLS = 200
MAX_CONTENT = 4_000
"""Characters of the arguments, and of the result, of one call."""
MAX_CONTENTS = 100_000
"""Characters of the arguments and results of all calls of a run; later ones are left out."""
_MAX_NAME = 200
_CONTENTS = ("arguments", "result")


def plain_tool_calls(calls: object, *, with_content: bool = True) -> list[dict[str, Any]]:
    """What is kept of the calls: the first `MAX_CALLS`, each with `name`, `outcome`, `started_at`,
    `duration_ms`, `arguments` and `result`, as far as they are known.

    Arguments and results that are too long, or not JSON, become the beginning of their text, and
    `truncated` names them. Without `with_content`, they are left out. What is not a call is
    ignored.
    """
    left, kept = MAX_CONTENTS, []
    for call in [each for each in _listed(calls) if isinstance(each, Mapping)][:MAX_CALLS]:
        details = _details(call)
        if with_content:
            left -= _add_contents(details, call, left)
        kept.append(details)
    return kept


def _listed(calls: object) -> Iterable[object]:
    return calls if isinstance(calls, list | tuple) else ()


def _details(call: Mapping[str, Any]) -> dict[str, Any]:
    outcome, duration = call.get("outcome"), call.get("duration_ms")
    details = {
        "name": _text(call.get("name"), _MAX_NAME) or "?",
        "outcome": outcome if outcome in OUTCOMES else "failed",
        "started_at": _text(call.get("started_at"), _MAX_NAME),
        "duration_ms": _milliseconds(duration),
    }
    return {name: value for name, value in details.items() if value is not None}


def _add_contents(details: dict[str, Any], call: Mapping[str, Any], left: int) -> int:
    """Add arguments and result; return how many characters they take."""
    taken, truncated = 0, []
    for name in _CONTENTS:
        if call.get(name) is None:
            continue
        text, is_json = _json(call[name])
        room = max(min(MAX_CONTENT, left - taken), 0)
        if is_json and len(text) <= room:
            details[name] = call[name]
        else:
            details[name] = text[:room]
            truncated.append(name)
        taken += min(len(text), room)
    if truncated:
        details["truncated"] = truncated
    return taken


def _json(value: object) -> tuple[str, bool]:
    try:
        text = json_text.encode(value)
        text.encode()
    except ValueError:
        return _utf8(str(value)), False
    return text, True


def _milliseconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return round(value, 3) if 0 <= value < 2**53 else None


def _text(value: object, most: int) -> str | None:
    return _utf8(value[:most]) if isinstance(value, str) and value else None


def _utf8(text: str) -> str:
    """Replace lone surrogates by `?`: JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
