"""How a plan is pinned: the end of the planning agent, the agents of the plan, and what the session
waits for are written together, or nothing of it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import agents, sessions
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import Write
from ai_coordination_engine.store.tables.table import Refused, Table
from ai_coordination_engine.store.transitions.attempts import ending
from ai_coordination_engine.store.transitions.rows import assignments, row_condition, update


class Plans:
    """Pins the plans of sessions. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._sessions = repository.table(SESSION)
        self._agents = repository.table(SESSION_AGENT)
        self._clock = repository.clock

    def pin(
        self,
        planner: SessionAgent,
        values: Mapping[str, Any],
        steps: Sequence[SessionAgent],
        session: Session,
        session_values: Mapping[str, Any],
    ) -> bool:
        """Complete the planning agent with these values and write the agents of its plan, none of
        which exists; the session gets its values.

        False, and nothing is written, when the attempt is no longer the current one, or the
        session is not as it was read. One request, whatever the number of steps.
        """
        now = self._clock.now()
        ends = [ending(now.timestamp()), SessionAgent.updated_at.set(now)]
        ended = [*assignments(SessionAgent, values), *ends]
        changed = [*assignments(Session, session_values), Session.updated_at.set(now)]
        unknown = SessionAgent.session_agent_uuid.does_not_exist()
        parts = [
            _change(self._agents, agents.PIN_PLAN, planner, ended),
            _change(self._sessions, sessions.PIN_PLAN, session, changed),
            *(self._agents.put_of(each, unknown) for each in steps),
        ]
        try:
            self._agents.database.write_together(parts)
        except Refused:
            return False
        return True


def _change(table: Table[M], row: Transition, seen: M, actions: Sequence[Action]) -> Write:
    """The part of the transaction that carries out a transition of a record that was read."""
    condition = row_condition(row, type(seen), {"seen": seen})
    return table.update_of(
        seen.partition_key, seen.key, update(row, type(seen), actions), condition
    )
