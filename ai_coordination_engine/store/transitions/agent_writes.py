"""Conditional writes of a session agent that may be repeated: a second try answers with what the
first one left.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.attempts import Lease, ending, until
from ai_coordination_engine.store.transitions.rows import assignments, condition, update


class AgentWrites:
    """What the transitions of session agents are made of: a row of the life cycle, and what it
    sets.
    """

    def __init__(self, repository: Repository) -> None:
        self._agents = repository.table(SESSION_AGENT)
        self._clock = repository.clock

    def handed_off(self, agent: SessionAgent, held: Iterable[int]) -> None:
        """What the end of the agent made ready was sent again: whoever comes back to it need not,
        but for those (ordinals) that others `held` then.
        """
        names: set[float] = {*held}
        but = [SessionAgent.held_after.set(names)] if names else []
        self._change(rows.HANDED_OFF, agent, SessionAgent.handed_off.set(agent.epoch or 0), *but)

    def _write(
        self, row: Transition, seen: SessionAgent, *actions: Action, **given: Any
    ) -> SessionAgent:
        """The agent, as it was `seen`, after the transition. Raises `Refused`."""
        return self._write_at(row, seen.partition_key, seen.key, actions, seen=seen, **given)

    def _write_at(
        self, row: Transition, tenant: str, key: Key, actions: Sequence[Action], **given: Any
    ) -> SessionAgent:
        changes = update(row, SessionAgent, "state", actions)
        return self._agents.update(tenant, key, changes, self._condition(row, tenant, **given))  # type: ignore[no-any-return]

    def _change(
        self, row: Transition, seen: SessionAgent, *actions: Action, **given: Any
    ) -> SessionAgent | None:
        """The agent as it is afterwards, also when the condition did not hold."""
        return self._change_at(row, seen.partition_key, seen.key, actions, seen=seen, **given)

    def _change_at(
        self, row: Transition, tenant: str, key: Key, actions: Sequence[Action], **given: Any
    ) -> SessionAgent | None:
        try:
            return self._write_at(row, tenant, key, actions, **given)
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]

    def _hold(
        self,
        row: Transition,
        seen: SessionAgent,
        lease: Lease,
        actions: Sequence[Action],
        state: str,
    ) -> SessionAgent:
        return self._hold_at(row, seen.partition_key, seen.key, lease, actions, state, seen=seen)

    def _hold_at(
        self,
        row: Transition,
        tenant: str,
        key: Key,
        lease: Lease,
        actions: Sequence[Action],
        state: str,
        **given: Any,
    ) -> SessionAgent:
        """The agent under the lease. Raises `Refused`, but not for a repetition of a write whose
        answer was lost.
        """
        taken = [
            SessionAgent.lease_until.set(until(lease)),
            SessionAgent.lease_token.set(lease.token),
            self._now(),
        ]
        times = {"now": lease.now, "lost_before": lease.lost_before}
        try:
            return self._write_at(row, tenant, key, [*actions, *taken], **times, **given)
        except Refused as refused:
            old = refused.old
            if old is None or (old.lease_token, old.state) != (lease.token, state):
                raise
            return old  # type: ignore[no-any-return]

    def _wait_until(
        self,
        row: Transition,
        agent: SessionAgent,
        not_before: float,
        values: Mapping[str, Any],
        actions: Sequence[Action],
    ) -> SessionAgent:
        """Let go of a held agent until `not_before`; it is pending until then."""
        until_then = SessionAgent.not_before.set(not_before)
        try:
            return self._write(row, agent, until_then, *assignments(SessionAgent, values), *actions)
        except Refused as refused:
            old = refused.old
            if old is None or (old.state, old.attempt, old.not_before) != (
                "pending",
                agent.attempt,
                not_before,
            ):
                raise
            # the client repeated a write whose answer was lost
            return old  # type: ignore[no-any-return]

    def _condition(self, row: Transition, tenant: str, **given: Any) -> Any:
        return row.condition and condition(row.condition, SessionAgent, {"tenant": tenant, **given})

    def _ending(self) -> list[Action]:
        return [ending(self._clock.now().timestamp()), self._now()]

    def _now(self) -> Action:
        return SessionAgent.updated_at.set(self._clock.now())
