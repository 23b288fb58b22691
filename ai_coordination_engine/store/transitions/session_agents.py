"""The state changes of session agents: each is one conditional write, named as a transition.

States, conditions and what is cleared are the rows of `domain.lifecycle.agents`; here stands what
each sets beside them. All of them may be repeated: a second try changes nothing and answers with
what the first one left behind (promises P2, P3, P6). A transition answers an `Outcome`, or nothing
where no caller depends on it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.agent_attempts import AgentAttempts
from ai_coordination_engine.store.transitions.agent_controls import AgentControls
from ai_coordination_engine.store.transitions.agent_starts import AgentStarts
from ai_coordination_engine.store.transitions.edges import removing
from ai_coordination_engine.store.transitions.outcome import (
    Applied,
    Outcome,
    Rejected,
    or_repeated,
)
from ai_coordination_engine.store.transitions.rows import assignments


class SessionAgents(AgentStarts, AgentAttempts, AgentControls):
    """The transitions of the session agents of one store. Thread-safe."""

    # Its edges

    def finish_edge(
        self,
        tenant: str,
        key: Key,
        edge_id: int,
        *,
        width: int = 1,
        arrives: bool = False,
        unsatisfied: bool = False,
        upstream_failed: bool = False,
        note: str | None = None,
    ) -> Outcome[SessionAgent]:
        """Remove one named edge; rejected when it was gone.

        `width`: how many predecessors it stands for. `arrives`: it counts for a join that needs
        only some. `unsatisfied`: the agent needs it, and will be skipped; `note` says why, unless
        an earlier one did. `upstream_failed`: that is because of a failure.
        """
        edge = removing(
            SessionAgent,
            edge_id,
            width,
            unsatisfied=unsatisfied,
            upstream_failed=upstream_failed,
            note=note,
        )
        arriving = [SessionAgent.still_needed.add(-1)] if arrives else []
        actions = [*edge, *arriving, self._now()]
        return self._write_at(rows.FINISH_EDGE, tenant, key, actions, edge_id=edge_id)

    def skip(
        self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Skip an agent that can never run, unless somebody holds it or it was set back since
        `epoch`.
        """
        actions = [*assignments(SessionAgent, values), *self._ending()]
        return self._write_at(rows.SKIP, tenant, key, actions, epoch=epoch)

    def handed_off(self, agent: SessionAgent, held: Iterable[int]) -> None:
        """What the end of the agent made ready was sent again: whoever comes back to it need not,
        but for those (ordinals) that others `held` then.
        """
        names: set[float] = {*held}
        but = [SessionAgent.held_after.set(names)] if names else []
        self._write(rows.HANDED_OFF, agent, SessionAgent.handed_off.set(agent.epoch or 0), *but)

    # Its elements, of a map

    def elements_sent(self, agent: SessionAgent) -> None:
        """All elements of the map's current expansion are written and enqueued."""
        self._write(rows.ELEMENTS_SENT, agent, SessionAgent.elements_sent.set(True))

    def take_back(self, element: SessionAgent) -> Outcome[SessionAgent]:
        """Delete an element of a map that no longer waits for it, unless it has begun."""
        condition = self._condition(rows.TAKE_BACK, element.partition_key)
        try:
            self._agents.delete(element.partition_key, element.key, condition)
        except Refused as refused:
            return Applied(element) if refused.old is None else Rejected(refused.old)
        return Applied(element)

    # Its person

    def wait_for_user(self, agent: SessionAgent, due_at: float | None) -> Outcome[SessionAgent]:
        """Park a ready agent until its person answers."""
        since = f"{self._clock.now().isoformat(timespec='microseconds')}#{agent.session_agent_uuid}"
        inbox = [SessionAgent.inbox.set(agent.partition_key), SessionAgent.waits_since.set(since)]
        due = [] if due_at is None else [SessionAgent.due_at.set(due_at)]
        return self._write(rows.WAIT_FOR_USER, agent, *inbox, *due, self._now())

    def answer(
        self, waiting: SessionAgent, values: Mapping[str, Any], *, by_default: bool = False
    ) -> Outcome[SessionAgent]:
        """Give an agent the answer of its person that was seen waiting, or the default one unless
        it waits longer now.
        """
        row = rows.ANSWER_BY_DEFAULT if by_default else rows.ANSWER
        return self._write(row, waiting, *assignments(SessionAgent, values), self._now())

    def fail_waiting(self, agent: SessionAgent, values: Mapping[str, Any]) -> Outcome[SessionAgent]:
        """The wait for a person has run out, and lost attempts are recorded."""
        return self._write(
            rows.FAIL_WAITING, agent, *assignments(SessionAgent, values), self._now()
        )

    # Nobody works off its message

    def fail_poisoned(
        self, agent: SessionAgent, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """End an agent whose step cannot be worked off, if nobody has begun anything with it since
        it was read.
        """
        failed = self._write(
            rows.FAIL_POISONED, agent, *assignments(SessionAgent, values), *self._ending()
        )
        return or_repeated(failed, state="failed", epoch=agent.epoch, **values)
