"""Usage that becomes known late: after its attempt was recorded as lost, or its long job expired.

The same write notes that the session is to be counted (`engine.advance.accounts`), and has the
sweep look at it: a process that dies before it counts the session leaves that to the sweep.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionRun
from ai_coordination_engine.store.records.entities import SESSION, SESSION_RUN
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import Write
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.rows import assignments
from ai_coordination_engine.store.transitions.session_writes import KEPT_SECONDS, watch_shard
from ai_coordination_engine.store.transitions.usage_counters import UNCOUNTED

_SOON = 60.0  # seconds until the sweep looks whether the session was counted
_IS_THERE = Session.session_uuid.exists()


class LateUsage:
    """The writes of late usage of one store; made once each."""

    def __init__(self, repository: Repository) -> None:
        self._clock = repository.clock
        self._sessions = repository.table(SESSION)
        self._runs = repository.table(SESSION_RUN)
        self._jobs = self._runs.holding(Job)

    def of_run(self, run: SessionRun, late: Mapping[str, Any]) -> bool:
        """Keep what is known of a lost attempt by now. False if something is known already, or its
        run or session is gone.
        """
        is_unknown = (
            SessionRun.session_agent_uuid == run.session_agent_uuid
        ) & SessionRun.late.does_not_exist()
        learn = [SessionRun.late.set(late)]
        part = self._runs.update_of(run.partition_key, run.key, learn, is_unknown)
        return self._written(part, run.partition_key, run.session_key)

    def of_job(self, job: Job, session_key: Key, values: Mapping[str, Any]) -> bool:
        """Keep what an expired job of the session has used. False if that is known already, or
        something is gone.
        """
        is_unknown = (Job.status == "expired") & Job.usage.does_not_exist()
        learn = assignments(Job, values)
        part = self._jobs.update_of(job.partition_key, job.key, learn, is_unknown)
        return self._written(part, job.partition_key, session_key)

    def note(self, tenant: str, session_key: Key) -> None:
        """Note that more is about to be known of what a session has used, if it exists."""
        with suppress(Refused):
            self._sessions.update(tenant, session_key, self._owing(tenant, session_key), _IS_THERE)

    def _written(self, part: Write, tenant: str, session_key: Key) -> bool:
        owing = self._owing(tenant, session_key)
        session = self._sessions.update_of(tenant, session_key, owing, _IS_THERE)
        try:
            self._sessions.database.write_together([part, session])
        except Refused:
            return False
        return True

    def _owing(self, tenant: str, session_key: Key) -> list[Action]:
        now = self._clock.now().timestamp()
        return [
            Session.metered.set(True),
            Session.counted_epoch.set(UNCOUNTED),
            Session.watch.set(watch_shard(tenant, session_key[1])),
            Session.watch_at.set(Session.watch_at | now + _SOON),
            Session.watch_kept_until.set(now + KEPT_SECONDS),
        ]
