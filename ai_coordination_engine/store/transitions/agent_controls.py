"""The transitions of a session agent whose session is controlled or has ended: it is cancelled,
paused, or reset.

`epoch` is that of the session: a late write changes nothing in a session that has begun again.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.agent_writes import AgentWrites
from ai_coordination_engine.store.transitions.attempts import ended_with
from ai_coordination_engine.store.transitions.outcome import Outcome
from ai_coordination_engine.store.transitions.rows import assignments


class AgentControls(AgentWrites):
    """The transitions of an agent that its session causes. Those that return nothing need no
    answer: callers read the agents again.
    """

    # The session has ended

    def cancel(self, agent: SessionAgent, epoch: int) -> Outcome[SessionAgent]:
        """Cancel an agent of a session that was cancelled in `epoch`, even under a live lease. The
        attempt keeps the lease until its run is recorded.
        """
        return self._write(rows.CANCEL, agent, *self._ending(), epoch=epoch)

    def abandon(self, agent: SessionAgent, epoch: int) -> Outcome[SessionAgent]:
        """Skip an agent without a lease, after its session ended in `epoch`. A lost attempt keeps
        its lease until its run is recorded.
        """
        # not by a condition: a retry resets it
        by_failure = SessionAgent.upstream_failed.set(True)
        return self._write(rows.ABANDON, agent, by_failure, *self._ending(), epoch=epoch)

    def close(self, agent: SessionAgent) -> None:
        """Give up the lease of an ended agent: all its runs are recorded."""
        self._write(rows.CLOSE, agent)

    # The session is paused

    def pause(self, agent: SessionAgent, token: str) -> None:
        """Pause an agent that has not ended."""
        self._write(rows.PAUSE, agent, SessionAgent.paused.set(token))

    def pause_element(self, element: SessionAgent, token: str) -> None:
        """Pause an element of a map that is paused."""
        self._write(rows.PAUSE_ELEMENT, element, SessionAgent.paused.set(token))

    def unpause(self, agent: SessionAgent) -> None:
        """Remove the pause that the agent shows."""
        self._write(rows.UNPAUSE, agent)

    # The session is reset

    def adopt(self, agent: SessionAgent, epoch: int) -> None:
        """Move an agent into a new epoch as it is: its attempt goes on, or its result is kept."""
        self._write(rows.ADOPT, agent, SessionAgent.epoch.set(epoch), epoch=epoch)

    def reset(self, agent: SessionAgent, epoch: int, values: Mapping[str, Any]) -> None:
        """Set an agent back, once in each epoch; a value of None removes the attribute.

        An attempt whose run may not be recorded yet is recorded by the next attempt, and not as
        lost.
        """
        recorded = agent.state in ("completed", "failed") and agent.lease_until is None
        runs = None if recorded else ended_with(agent)
        given = {**values, "epoch": epoch, "set_back": epoch, "lost_runs": runs or None}
        self._write(rows.RESET, agent, *assignments(SessionAgent, given), self._now(), epoch=epoch)
