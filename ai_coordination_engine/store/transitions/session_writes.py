"""Conditional writes of a session. Each may be repeated: a second try returns what the first one
left.
"""

import zlib
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import valued
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import setting_status
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.rows import row_condition, update

SHARDS = 16  # of the index of sessions that the sweep looks at: starts of all tenants meet there
_OF_A_TENANT = 4  # of these: however many sessions a tenant has, few others share all of its shards


def watch_shard(tenant: str, session_uuid: str) -> str:
    """The hash key of the sweep's index under which a session is watched."""
    which = zlib.crc32(session_uuid.encode()) % _OF_A_TENANT
    return f"{zlib.crc32(f'{which} {tenant}'.encode()) % SHARDS:02d}"


class SessionWrites:
    """What the transitions of sessions are made of: a row of the life cycle, and what it sets."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    def _write(
        self, row: Transition, seen: Session, *actions: Action, beside: Any = None, **given: Any
    ) -> Outcome[Session]:
        """Write a transition of the session as it was `seen`; like `_write_at`."""
        return self._write_at(
            row, seen.partition_key, seen.key, *actions, beside=beside, seen=seen, **given
        )

    def _write_at(
        self,
        row: Transition,
        tenant: str,
        key: Key,
        *actions: Action,
        beside: Any = None,
        **given: Any,
    ) -> Outcome[Session]:
        """Write a transition. `given`: what the row names; `beside`: a condition that is not of the
        life cycle.
        """
        status = valued(row.target, given)
        becomes = [] if status is None else setting_status(tenant, key[1], str(status))
        changes = update(row, Session, [*becomes, *actions])
        needs = row_condition(row, Session, given)
        needs = needs if beside is None else needs & beside
        try:
            return Applied(self._sessions.update(tenant, key, changes, needs))
        except Refused as refused:
            return Rejected(refused.old)

    def _now(self) -> Action:
        return Session.updated_at.set(self._clock.now())


def watching(tenant: str, key: Key, at: float) -> list[Action]:
    """The update that has the sweep look at the session at that time (epoch seconds)."""
    return [Session.watch.set(watch_shard(tenant, key[1])), Session.watch_at.set(at)]
