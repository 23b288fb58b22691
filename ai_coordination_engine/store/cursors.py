"""Cursors: where a list goes on, bound to the query that made them."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ai_coordination_engine.errors import BadUserInput


def fingerprint(*parts: Any) -> str:
    """What tells one query from another: entity, tenant and filters."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def encode(query: str, position: Sequence[str]) -> str:
    """An opaque text for `position` in the query with this fingerprint."""
    return base64.urlsafe_b64encode(json.dumps([query, *position]).encode()).decode().rstrip("=")


def decode(query: str, cursor: str) -> list[str]:
    """The position; raises `BadUserInput` for a cursor that is damaged or comes from another query."""
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadUserInput("cursor is damaged; pass on nextCursor as it came.") from error
    if not isinstance(found, list) or not all(isinstance(part, str) and part for part in found) or len(found) < 2:
        raise BadUserInput("cursor is damaged; pass on nextCursor as it came.")
    if found[0] != query:
        raise BadUserInput("cursor belongs to another query; start again without it.")
    return found[1:]
