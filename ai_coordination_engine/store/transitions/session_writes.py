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

SHARDS = 7  # of the index of sessions that the sweep looks at; a prime number
KEPT_SECONDS = 120.0  # the sweep keeps a watch: a request that owes something takes less
FORMER = range(SHARDS, 16)  # further shards, in which earlier versions have stored sessions
_OF_A_TENANT = 3  # shards: however many sessions a tenant has, others have shards of their own


def watch_shard(tenant: str, session_uuid: str) -> str:
    """The hash key of the sweep's index under which a session is watched."""
    which = zlib.crc32(session_uuid.encode()) % _OF_A_TENANT
    step, first = divmod(zlib.crc32(tenant.encode()), SHARDS)
    return f"{(first + which * (1 + step % (SHARDS - 1))) % SHARDS:02d}"


def shards_at(now: float) -> list[int]:
    """The shards that the sweep reads at a time (epoch seconds).

    These are all present shards, and each minute another one of earlier versions. A session moves
    out of an old shard when its watch is set again.
    """
    return [*range(SHARDS), FORMER[int(now // 60) % len(FORMER)]]


class SessionWrites:
    """The writes of all transitions of sessions: a row of the life cycle and the values to set."""

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
