"""The state of a call that its client sends again: the session, bound to the call that began it.

A client could write a state of its own, and would find only what it may see anyway: each access
checks the tenant. The digest keeps the state of one call from another one. Each round of questions
has another state.
"""

import hashlib
import hmac
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.served.mcp.wire import INVALID_PARAMS, WireError

_SEPARATOR = "."  # in no handle: they are base64url


def write(
    tenant: str, tool: str, arguments: Mapping[str, Any], handle: str, asked: Iterable[str]
) -> str:
    """The state of a call whose session has this handle and asks these questions (their keys)."""
    place = f"{handle}{_SEPARATOR}{zlib.crc32(' '.join(sorted(asked)).encode()):08x}"
    return f"{place}{_SEPARATOR}{_digest(tenant, tool, arguments, place)}"


def read(tenant: str, tool: str, arguments: Mapping[str, Any], state: object) -> str:
    """The handle in a state; raises `WireError` if it is not one of this call."""
    place, _, digest = state.rpartition(_SEPARATOR) if isinstance(state, str) else ("", "", "")
    expected = _digest(tenant, tool, arguments, place)
    if not hmac.compare_digest(digest.encode(errors="replace"), expected.encode()):
        raise WireError(INVALID_PARAMS, "requestState is not one of this call.")
    return place.partition(_SEPARATOR)[0]


def _digest(tenant: str, tool: str, arguments: Mapping[str, Any], place: str) -> str:
    said = json_text.dumps(_sorted(dict(arguments)))
    return hashlib.sha256(json.dumps([tenant, tool, said, place]).encode()).hexdigest()[:32]


def _sorted(value: Any) -> Any:
    """The value with the keys of its objects in order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
