"""The transitions of a session agent whose session is controlled, or has ended: it is cancelled,
paused, or set back.

`epoch` is that of the session: in one that has begun again, what is late changes nothing.
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
    """What is done to an agent on behalf of its session. Where nothing is answered, whoever has to
    know reads the agents again.
    """

    # The session has ended

    def cancel(self, agent: SessionAgent, epoch: int) -> Outcome[SessionAgent]:
        """End an agent of a session that was cancelled in `epoch`, also under a living lease; its
        attempt keeps that until its run is recorded.
        """
        return self._write(rows.CANCEL, agent, *self._ending(), epoch=epoch)

    def abandon(self, agent: SessionAgent, epoch: int) -> Outcome[SessionAgent]:
        """Skip an agent, held by nobody, of a session that ended without it in `epoch`; a lost
        attempt keeps its lease until its run is recorded.
        """
        # not by a condition: a retry sets it back
        by_failure = SessionAgent.upstream_failed.set(True)
        return self._write(rows.ABANDON, agent, by_failure, *self._ending(), epoch=epoch)

    def close(self, agent: SessionAgent) -> None:
        """The runs of an agent that was ended are recorded."""
        self._write(rows.CLOSE, agent)

    # The session is paused

    def pause(self, agent: SessionAgent, token: str) -> None:
        """Pause an agent that has not ended."""
        self._write(rows.PAUSE, agent, SessionAgent.paused.set(token))

    def pause_element(self, element: SessionAgent, token: str) -> None:
        """Pause an element of a map that is paused."""
        self._write(rows.PAUSE_ELEMENT, element, SessionAgent.paused.set(token))

    def unpause(self, agent: SessionAgent) -> None:
        """Take off the pause that the agent shows."""
        self._write(rows.UNPAUSE, agent)

    # The session is set back

    def adopt(self, agent: SessionAgent, epoch: int) -> None:
        """Take an agent along into a new epoch whose attempt goes on, or whose result is kept."""
        self._write(rows.ADOPT, agent, SessionAgent.epoch.set(epoch), epoch=epoch)

    def reset(self, agent: SessionAgent, epoch: int, values: Mapping[str, Any]) -> None:
        """Set an agent back, once an epoch; a value of None removes it.

        An attempt whose run may not be recorded yet is recorded by the next attempt, and not as
        lost.
        """
        recorded = agent.state in ("completed", "failed") and agent.lease_until is None
        runs = None if recorded else ended_with(agent)
        given = {**values, "epoch": epoch, "set_back": epoch, "lost_runs": runs or None}
        self._write(rows.RESET, agent, *assignments(SessionAgent, given), self._now(), epoch=epoch)
