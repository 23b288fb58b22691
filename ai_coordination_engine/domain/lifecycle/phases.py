"""What a session agent is doing or waiting for: its phase, derived from its attributes in this one
module.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Protocol

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES, AgentState


class Phase(StrEnum):
    """What an agent is doing, or waiting for, at a time; `MEANINGS` says it in words."""

    WAITING_FOR_PREDECESSORS = "waiting for predecessors"
    UNSATISFIED = "unsatisfied"
    READY = "ready"
    ASKING = "asking"
    BACKOFF = "backoff"
    WAITING_FOR_BUDGET = "waiting for a budget"
    EXECUTING = "executing"
    ACTING = "acting"
    ACTION_DUE = "action due"
    LEASE_EXPIRED = "lease expired"
    WAITING_FOR_JOB = "waiting for a long job"
    MAP_EXPANDING = "map expanding"
    WAITING_FOR_ELEMENTS = "waiting for elements"
    WAITING_FOR_PERSON = "waiting for a person"
    PAUSED = "paused"
    BY_HAND = "executing by hand"
    ENDED = "ended"


MEANINGS: Mapping[Phase, str] = {
    Phase.WAITING_FOR_PREDECESSORS: "it waits for predecessors that have not ended",
    Phase.UNSATISFIED: "it can never run; the next worker that reads it skips it",
    Phase.READY: "it can run; the worker that gets its message claims it",
    Phase.ASKING: "it can run and needs a person; its next message asks them",
    Phase.BACKOFF: "its attempt, or its action function, failed; the next begins at `not_before`",
    Phase.WAITING_FOR_BUDGET: (
        "a budget has no room for its attempt; its message tries again, which is sent when there is"
        " room, or the limit is raised"
    ),
    Phase.EXECUTING: "a worker holds the lease of its attempt",
    Phase.ACTING: "it has answered, and a worker holds the lease of its action function",
    Phase.ACTION_DUE: "it has answered, but its action function does not run; its message runs it",
    Phase.LEASE_EXPIRED: (
        "the worker of its attempt died, or a backend refused a request; its message takes over"
    ),
    Phase.WAITING_FOR_JOB: ("it waits for `completeAsyncTask`, as long as heartbeats come in time"),
    Phase.MAP_EXPANDING: (
        "it is a map whose elements are not all written and enqueued; its message continues that"
    ),
    Phase.WAITING_FOR_ELEMENTS: "it is a map that waits for its elements",
    Phase.WAITING_FOR_PERSON: "it is in an inbox until `executeForUserInput`, or until `due_at`",
    Phase.PAUSED: "its session is paused; it does not run",
    Phase.BY_HAND: "a client has set it to `executing`; no worker holds a lease",
    Phase.ENDED: "its state is final",
}


Standing = Literal[
    Phase.WAITING_FOR_PREDECESSORS,
    Phase.UNSATISFIED,
    Phase.READY,
    Phase.ASKING,
    Phase.BACKOFF,
    Phase.WAITING_FOR_BUDGET,
    Phase.ACTION_DUE,
    Phase.WAITING_FOR_JOB,
    Phase.MAP_EXPANDING,
    Phase.WAITING_FOR_ELEMENTS,
    Phase.WAITING_FOR_PERSON,
]
"""The phases of an open agent that no worker runs, or ran when its lease expired."""
Waiting = Literal[
    Phase.BACKOFF,
    Phase.WAITING_FOR_BUDGET,
    Phase.ASKING,
    Phase.WAITING_FOR_PERSON,
    Phase.MAP_EXPANDING,
    Phase.WAITING_FOR_PREDECESSORS,
    Phase.WAITING_FOR_ELEMENTS,
    Phase.UNSATISFIED,
    Phase.READY,
    Phase.BY_HAND,
]
"""The phases in which the message of an agent finds no attempt to begin or to take over."""
Unheld = Standing | Literal[Phase.LEASE_EXPIRED, Phase.BY_HAND]


class AgentRecord(Protocol):
    """The attributes from which the phase of a session agent is derived
    (`store.models.SessionAgent`).
    """

    # ruff: noqa: D102

    @property
    def state(self) -> str: ...
    @property
    def lease_until(self) -> float | None: ...
    @property
    def acting(self) -> object: ...
    @property
    def paused(self) -> object: ...
    @property
    def run_uuid(self) -> str | None: ...
    @property
    def mapped(self) -> object: ...
    @property
    def elements_sent(self) -> object: ...
    @property
    def awaits_user(self) -> object: ...
    @property
    def not_before(self) -> float | None: ...
    @property
    def over_budget(self) -> object: ...
    @property
    def still_needed(self) -> int | None: ...
    @property
    def in_degree(self) -> int: ...
    @property
    def unsatisfied(self) -> object: ...


def phase(agent: AgentRecord, now: float) -> Phase:
    """The phase of a session agent at `now` (epoch seconds)."""
    if agent.state in TERMINAL_AGENT_STATES:
        return Phase.ENDED
    if is_held(agent, now):
        return Phase.ACTING if agent.acting else Phase.EXECUTING
    return Phase.PAUSED if agent.paused is not None else phase_if_resumed(agent, now)


def phase_if_resumed(agent: AgentRecord, now: float) -> Unheld:
    """The phase of an open agent without a lease, once its session is not paused."""
    if agent.state == AgentState.EXECUTING:
        return Phase.BY_HAND if agent.lease_until is None else Phase.LEASE_EXPIRED
    return standing_phase(agent, now)


def standing_phase(agent: AgentRecord, now: float) -> Standing:
    """The phase of an open agent that has no lease and does not execute."""
    if agent.state == AgentState.WAIT_FOR_USER_INPUT:
        return Phase.WAITING_FOR_PERSON
    if agent.run_uuid is not None:
        return _phase_of_answer(agent, now)
    if agent.mapped is not None and not agent.elements_sent:
        return Phase.MAP_EXPANDING
    if is_unsatisfied(agent):
        return Phase.UNSATISFIED
    if not is_satisfied(agent):
        return (
            Phase.WAITING_FOR_PREDECESSORS if agent.mapped is None else Phase.WAITING_FOR_ELEMENTS
        )
    return _phase_of_satisfied(agent, now)


def _phase_of_satisfied(agent: AgentRecord, now: float) -> Standing:
    """The phase of a pending agent whose predecessors have ended, and whose attempt has not
    begun.
    """
    if agent.awaits_user:
        return Phase.ASKING
    if agent.over_budget is not None:
        return Phase.WAITING_FOR_BUDGET
    return Phase.BACKOFF if _is_early(agent, now) else Phase.READY


def _phase_of_answer(agent: AgentRecord, now: float) -> Standing:
    """The phase of a pending agent whose attempt goes on: in a long job, or in its action
    function.
    """
    if _is_early(agent, now):
        return Phase.BACKOFF
    return Phase.ACTION_DUE if agent.acting else Phase.WAITING_FOR_JOB


def _is_early(agent: AgentRecord, now: float) -> bool:
    return agent.not_before is not None and bool(agent.not_before > now)


def is_held(agent: AgentRecord, now: float) -> bool:
    """Whether somebody holds a lease of the agent that has not expired."""
    return agent.lease_until is not None and bool(agent.lease_until >= now)


def is_satisfied(agent: AgentRecord) -> bool:
    """Whether enough predecessors have completed for the agent's join."""
    if agent.still_needed is not None:
        return bool(agent.still_needed <= 0)
    return bool(agent.in_degree == 0 and not agent.unsatisfied)


def is_unsatisfied(agent: AgentRecord) -> bool:
    """Whether an agent that has not begun can never run."""
    if agent.state not in (AgentState.INITIAL, AgentState.PENDING):
        return False
    if agent.still_needed is not None:
        return bool(agent.still_needed > agent.in_degree)
    return bool(agent.in_degree == 0 and agent.unsatisfied)


def is_ready(agent: AgentRecord) -> bool:
    """Whether a worker could claim the agent, or ask its person, perhaps after a backoff."""
    waits = agent.state in (AgentState.INITIAL, AgentState.PENDING) and agent.run_uuid is None
    if not waits or agent.paused is not None or agent.over_budget is not None:
        return False
    return is_satisfied(agent) and not is_unsatisfied(agent)
