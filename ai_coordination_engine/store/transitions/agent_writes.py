"""Conditional writes of a session agent: a row of the life cycle, and what it sets."""

from collections.abc import Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.attempts import ending
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.rows import row_condition, update


class AgentWrites:
    """What the transitions of session agents are made of."""

    def __init__(self, repository: Repository) -> None:
        self._agents = repository.table(SESSION_AGENT)
        self._clock = repository.clock

    def _write(
        self, row: Transition, seen: SessionAgent, *actions: Action, **given: Any
    ) -> Outcome[SessionAgent]:
        """The transition of an agent that was read; what is `unchanged` is as it was `seen`."""
        return self._write_at(row, seen.partition_key, seen.key, actions, seen=seen, **given)

    def _write_at(
        self, row: Transition, tenant: str, key: Key, actions: Sequence[Action], **given: Any
    ) -> Outcome[SessionAgent]:
        changes = update(row, SessionAgent, actions)
        try:
            changed = self._agents.update(
                tenant, key, changes, self._condition(row, tenant, **given)
            )
        except Refused as refused:
            return Rejected(refused.old)
        return Applied(changed)

    def _condition(self, row: Transition, tenant: str, **given: Any) -> Any:
        return row_condition(row, SessionAgent, {"tenant": tenant, **given})

    def _inbox(self, agent: SessionAgent, due_at: float | None) -> list[Action]:
        """Let the agent appear in the inbox; the wait has an end at `due_at`, if given."""
        since = f"{self._clock.now().isoformat(timespec='microseconds')}#{agent.session_agent_uuid}"
        inbox: list[Action] = [
            SessionAgent.inbox.set(agent.partition_key),
            SessionAgent.waits_since.set(since),
        ]
        return inbox if due_at is None else [*inbox, SessionAgent.due_at.set(due_at)]

    def _ending(self) -> list[Action]:
        return [ending(self._clock.now().timestamp()), self._now()]

    def _now(self) -> Action:
        return SessionAgent.updated_at.set(self._clock.now())
