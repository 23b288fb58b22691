"""The runs of attempts as the engine writes them: each once, and never changed (promise P5)."""

from collections.abc import Iterator

from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION_RUN
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected


class SessionRuns:
    """The runs of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._runs = repository.table(SESSION_RUN)

    def put_once(self, run: SessionRun) -> Outcome[SessionRun]:
        """Write the run of an attempt, unless it is written already. Rejected when another run has
        its uuid.
        """
        try:
            there = self._runs.put_new(run)
        except Refused as refused:
            return Rejected(refused.old)
        if there is None:
            return Applied(run)
        # the answer to this very write was lost
        is_own = all(
            there.stored(name) == run.stored(name) for name in ("created_at", "async_task")
        )
        return Applied(there, again=not is_own)

    def take_back(self, agent: SessionAgent, run_uuid: str) -> bool:
        """Delete the run of an attempt whose agent is deleted. False when the engine has not
        written a run for it under this uuid.
        """
        by_engine = SessionRun.confirmed.does_not_exist()
        own = by_engine & (SessionRun.session_agent_uuid == agent.session_agent_uuid)
        try:
            self._runs.delete(agent.partition_key, (agent.session_uuid, run_uuid), own)
        except Refused:
            return False
        return True

    def of_agent(
        self, tenant: str, session_uuid: str, session_agent_uuid: str
    ) -> Iterator[SessionRun]:
        """The runs of an agent, whichever session of this uuid it is in. One Query a megabyte of
        all runs there.
        """
        rows = self._runs.query_all(tenant, session_uuid, consistent=True)
        return (each for each in rows if each.session_agent_uuid == session_agent_uuid)

    def delete(self, run: SessionRun) -> None:
        """Delete a run; it may be gone already."""
        try:
            self._runs.delete(run.partition_key, run.key, SessionRun.run_uuid.exists())
        except Refused:
            return
