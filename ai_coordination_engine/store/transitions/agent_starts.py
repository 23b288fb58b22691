"""How session agents are created: items, asked, or as elements of a map."""

from collections.abc import Callable, Sequence
from functools import partial

from ai_coordination_engine.store.models import CounterShard, SessionAgent
from ai_coordination_engine.store.tables.items import BATCH_WRITE_LIMIT
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.agent_writes import AgentWrites


class AgentStarts(AgentWrites):
    """The first writes of session agents."""

    def writes(self, items: Sequence[SessionAgent | CounterShard]) -> list[Callable[[], None]]:
        """The calls that write the agents and counter shards of a session that does not run yet:
        one request for 25 of them, without a condition.
        """
        return [
            partial(self._agents.put_many, items[start : start + BATCH_WRITE_LIMIT])
            for start in range(0, len(items), BATCH_WRITE_LIMIT)
        ]

    def put_once(self, agent: SessionAgent) -> bool:
        """Write an agent unless it exists, whatever has become of it. False when another agent has
        its key.
        """
        try:
            self._agents.put_new(agent)
        except Refused:
            return False
        return True

    def reserve(self, agent: SessionAgent) -> bool:
        """Write an unconfirmed agent. False when another agent has its key."""
        try:
            self._agents.put(agent, SessionAgent.session_agent_uuid.does_not_exist())
        except Refused:
            return False
        return True
