"""Conditional writes of a session, each of which may be repeated."""

import zlib
from collections.abc import Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import setting_status
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.rows import same

SHARDS = 16  # of the index of sessions that the sweep looks at: starts of all tenants meet there
_OF_A_TENANT = 4  # of these: however many sessions a tenant has, few others share all of its shards


def watch_shard(tenant: str, session_uuid: str) -> str:
    """The hash key of the sweep's index under which a session is watched."""
    which = zlib.crc32(session_uuid.encode()) % _OF_A_TENANT
    return f"{zlib.crc32(f'{which} {tenant}'.encode()) % SHARDS:02d}"


class SessionWrites:
    """What the transitions of sessions are made of."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    def _touched(self) -> list[Action]:
        """Whose agents have ended is confirmed."""
        return [Session.updated_at.set(self._clock.now()), Session.unconfirmed.remove()]

    def _change_session(
        self, tenant: str, key: Key, actions: Sequence[Action], condition: Any
    ) -> Session | None:
        try:
            return self._sessions.update(tenant, key, actions, condition)
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]


def status_of(session: Session, status: str) -> list[Action]:
    """The update that gives the session this status."""
    return setting_status(session.partition_key, session.session_uuid, status)


def watching(tenant: str, key: Key, at: float) -> list[Action]:
    """The update that has the sweep look at the session at that time (epoch seconds)."""
    return [Session.watch.set(watch_shard(tenant, key[1])), Session.watch_at.set(at)]


def is_still(session: Session) -> Any:
    """Whether no other session stands under the key of this one; one of an earlier version has no
    nonce.
    """
    return Session.session_uuid.exists() & same(Session.nonce, session.nonce)
