"""Encode and decode the cursors of lists. A cursor is valid only for the query that made it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ai_coordination_engine.errors import BadUserInput

_MAX_PART = 256  # characters of a key's value, four bytes each at most


def fingerprint(*parts: Any) -> str:
    """A short hash of a query's parts (entity, tenant, filters); equal queries have equal
    hashes.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def encode(query: str, position: Sequence[str]) -> str:
    """The cursor for a position in the query with this fingerprint."""
    return base64.urlsafe_b64encode(json.dumps([query, *position]).encode()).decode().rstrip("=")


def decode(query: str, cursor: str) -> list[str]:
    """The position in a cursor; raises `BadUserInput` if it is damaged or of another query."""
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadUserInput("cursor is damaged; pass on nextCursor as it came.") from error
    if not isinstance(found, list) or len(found) < 2 or not all(_is_key(part) for part in found):
        raise BadUserInput("cursor is damaged; pass on nextCursor as it came.")
    if found[0] != query:
        raise BadUserInput("cursor belongs to another query; start again without it.")
    return found[1:]


def _is_key(part: Any) -> bool:
    """Whether the value can be part of a key; DynamoDB would refuse any other."""
    return isinstance(part, str) and 0 < len(part) <= _MAX_PART and part.isprintable()
