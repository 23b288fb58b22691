"""Conditional writes of a session agent that may be repeated: a second try answers with what the first one left."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.store.attempts import Lease, ending, held_by, key_of, same
from ai_coordination_engine.store.entities import SESSION_AGENT
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.repository import Repository
from ai_coordination_engine.store.session_transitions import setting
from ai_coordination_engine.store.table import Key, Refused


class AgentWrites:
    """What the transitions of session agents are made of."""

    def __init__(self, repository: Repository) -> None:
        self._agents = repository.table(SESSION_AGENT)
        self._clock = repository.clock

    def handed_on(self, agent: SessionAgent, held: Iterable[int]) -> None:
        """What the end of the agent made ready was sent again: whoever comes back to it need not, but for those
        (ordinals) that others `held` then.
        """
        ended = SessionAgent.state.is_in(*TERMINAL_AGENT_STATES) & same(SessionAgent.epoch, agent.epoch)
        names: set[float] = {*held}
        but = SessionAgent.held_after.set(names) if names else SessionAgent.held_after.remove()
        self._change(agent.partition_key, key_of(agent), [SessionAgent.handed_on.set(agent.epoch or 0), but], ended)

    def _hold(
        self, tenant: str, key: Key, actions: Sequence[Action], lease: Lease, condition: Any, state: str
    ) -> SessionAgent:
        try:
            return self._agents.update(tenant, key, actions, condition)  # type: ignore[no-any-return]
        except Refused as refused:
            if refused.old is None or (refused.old.lease_token, refused.old.state) != (lease.token, state):
                raise
            return refused.old  # type: ignore[no-any-return]  # the client repeated a write whose answer was lost

    def _wait_until(
        self, agent: SessionAgent, not_before: float, values: Mapping[str, Any], actions: Sequence[Action]
    ) -> SessionAgent:
        """Let go of a held agent until `not_before`; it is pending until then."""
        pending = [SessionAgent.state.set("pending"), SessionAgent.not_before.set(not_before)]
        try:
            return self._agents.update(  # type: ignore[no-any-return]
                agent.partition_key,
                key_of(agent),
                [*pending, *setting(SessionAgent, values), *actions],
                held_by(agent),
            )
        except Refused as refused:
            old = refused.old
            if old is None or (old.state, old.attempt, old.not_before) != ("pending", agent.attempt, not_before):
                raise
            return old  # type: ignore[no-any-return]  # the client repeated a write whose answer was lost

    def _change(self, tenant: str, key: Key, actions: list[Action], condition: Any) -> SessionAgent | None:
        """The agent as it is afterwards, also when the condition did not hold."""
        try:
            return self._agents.update(tenant, key, actions, condition)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]

    def _ending(self) -> list[Action]:
        return [ending(self._clock.now().timestamp()), self._now()]

    def _now(self) -> Action:
        return SessionAgent.updated_at.set(self._clock.now())
