"""The keys of the sparse index of sessions by status.

With the index, a list of the few failed sessions does not read the many completed ones. Its hash
key is the tenant, the status and a shard; shards keep the writes of one tenant out of a single
partition. `completed` sessions are not in the index; lists of them read the sessions themselves.
"""

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import SESSION_STATUSES
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.parent_keys import ParentKey

INDEXED = frozenset(SESSION_STATUSES) - {"completed"}
SHARDS = 4


def status_key(tenant: str, session_uuid: str, status: str | None) -> str | None:
    """The hash key of a session in the index; None if the index does not hold this status."""
    if status not in INDEXED:
        return None
    return ParentKey.stored(tenant, f"{status} {zlib.crc32(session_uuid.encode()) % SHARDS}")


def status_keys(tenant: str, statuses: Iterable[str]) -> list[str]:
    """The hash keys under which sessions with these statuses are found.

    A session that is `in_progress` may be stored as `dispatched` (`store.records.begun`).
    """
    stored = {*statuses} | ({"dispatched"} if "in_progress" in statuses else set())
    return [
        ParentKey.stored(tenant, f"{each} {shard}")
        for each in sorted(stored)
        for shard in range(SHARDS)
    ]


def setting_status(tenant: str, session_uuid: str, status: str) -> list[Action]:
    """The update actions that set the status of a session, also in the index."""
    key = status_key(tenant, session_uuid, status)
    return [
        Session.status.set(status),
        Session.by_status.remove() if key is None else Session.by_status.set(key),
    ]


def derived(tenant: str, key: Key, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that must be written together with `values` of a session."""
    return {"by_status": status_key(tenant, key[1], values["status"])} if "status" in values else {}
