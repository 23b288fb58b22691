"""The state changes of session agents. Each is one conditional write, named as a transition.

`domain.lifecycle.agents` declares the states, the conditions and what is cleared; this module adds
the values that each sets. All of them may be repeated: a second try changes nothing and returns
what the first one left (promises P2, P3, P6). A transition returns an `Outcome`, or nothing when no
caller needs it.
"""

from collections.abc import Iterable, Mapping, Sequence
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

    def finish_edge(  # noqa: PLR0913  # what one write tells of an edge
        self,
        tenant: str,
        key: Key,
        edge_id: int,
        *,
        width: int = 1,
        arrives: bool = False,
        unsatisfied: bool = False,
        upstream_failed: bool = False,
        metered: bool = False,
        note: str | None = None,
    ) -> Outcome[SessionAgent]:
        """Remove one edge. Rejected when it is removed already.

        `width`: the number of predecessors that the edge stands for. `arrives`: it counts for a
        join that needs only some of them. `unsatisfied`: the agent needs this edge and will be
        skipped; `note` tells why, unless an earlier note does. `upstream_failed`: a failure is the
        cause. `metered`: an agent at its other end has asked a model.
        """
        edge = removing(
            SessionAgent,
            edge_id,
            width,
            unsatisfied=unsatisfied,
            upstream_failed=upstream_failed,
            metered=metered,
            note=note,
        )
        arriving = [SessionAgent.still_needed.add(-1)] if arrives else []
        actions = [*edge, *arriving, self._now()]
        return self._write_at(rows.FINISH_EDGE, tenant, key, actions, edge_id=edge_id)

    def skip(
        self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Skip an agent that can never run, unless it is held or was reset after `epoch`."""
        actions = [*assignments(SessionAgent, values), *self._ending()]
        return self._write_at(rows.SKIP, tenant, key, actions, epoch=epoch)

    def handed_off(self, agent: SessionAgent, held: Iterable[int]) -> None:
        """Record that all that the agent's end made ready was sent again. Later messages need not
        send it, except to those (ordinals) that others `held` then.
        """
        names: set[float] = {*held}
        but = [SessionAgent.held_after.set(names)] if names else []
        self._write(rows.HANDED_OFF, agent, SessionAgent.handed_off.set(agent.epoch or 0), *but)

    # Its question, outside a task

    def add_successor(
        self, agent: SessionAgent, successors: Sequence[Sequence[Any]]
    ) -> Outcome[SessionAgent]:
        """Give an open agent these successors, unless it has got others since it was read."""
        return self._write(
            rows.ADD_SUCCESSOR, agent, SessionAgent.successors.set([*successors]), self._now()
        )

    def went_on(self, agent: SessionAgent) -> None:
        """Record that the session agent which goes on with its question is written."""
        self._write(rows.GO_ON, agent, SessionAgent.went_on.set(True))

    def interrupt(self, agent: SessionAgent) -> Outcome[SessionAgent]:
        """Cancel an agent whose question is not waited for any more, even under a live lease."""
        note = SessionAgent.notes.set("A later question on its thread interrupted it.")
        return self._write(rows.INTERRUPT, agent, note, *self._ending())

    # Its elements, of a map

    def elements_sent(self, agent: SessionAgent) -> None:
        """Record that all elements of the map's current expansion are written and enqueued."""
        self._write(rows.ELEMENTS_SENT, agent, SessionAgent.elements_sent.set(True))

    def take_back(self, element: SessionAgent) -> Outcome[SessionAgent]:
        """Delete an element that its map no longer waits for, unless it has begun."""
        condition = self._condition(rows.TAKE_BACK, element.partition_key)
        try:
            self._agents.delete(element.partition_key, element.key, condition)
        except Refused as refused:
            return Applied(element) if refused.old is None else Rejected(refused.old)
        return Applied(element)

    # Its person

    def wait_for_user(self, agent: SessionAgent, due_at: float | None) -> Outcome[SessionAgent]:
        """Let a ready agent wait for its person."""
        return self._write(rows.WAIT_FOR_USER, agent, *self._inbox(agent, due_at), self._now())

    def answer(
        self,
        waiting: SessionAgent,
        values: Mapping[str, Any],
        *,
        by_default: bool = False,
        message: str | None = None,
    ) -> Outcome[SessionAgent]:
        """Store the person's answer to an agent that was seen waiting, or the default answer unless
        its deadline has moved. `message`: what identifies the message with the answer.
        """
        row = rows.ANSWER_BY_DEFAULT if by_default else rows.ANSWER
        noted = [] if message is None else [SessionAgent.answered_by.add({message})]
        return self._write(row, waiting, *assignments(SessionAgent, values), *noted, self._now())

    def fail_waiting(self, agent: SessionAgent, values: Mapping[str, Any]) -> Outcome[SessionAgent]:
        """Fail an agent whose person has not answered in time; its lost attempts are recorded."""
        return self._write(
            rows.FAIL_WAITING, agent, *assignments(SessionAgent, values), self._now()
        )

    # Nobody works off its message

    def fail_poisoned(
        self, agent: SessionAgent, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Fail an agent whose message cannot be handled, unless something has begun since it was
        read.
        """
        failed = self._write(
            rows.FAIL_POISONED, agent, *assignments(SessionAgent, values), *self._ending()
        )
        return or_repeated(failed, state="failed", epoch=agent.epoch, **values)
