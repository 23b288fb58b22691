"""Attempts as they are stored: the lease, the attributes of an attempt, and the conditions on
them.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.store.models import SessionAgent


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt: `run_uuid` names the attempt, and every other one is fenced.

    It is taken at `now` (epoch seconds) and holds for the agent's own `lease_seconds`, else for
    `seconds`. Leases that end before `now` have expired.
    """

    run_uuid: str
    now: float
    seconds: float
    token: str  # of this very try to claim: a run uuid may have been promised before


def token_of(process: str, token: str) -> str:
    """The token of a lease of this process, which is unique per claim; a process without a name has
    none in it.
    """
    return f"{process}.{token}" if process else token


def holder_of(agent: SessionAgent) -> str:
    """The process that took the agent's lease; "" for one without a name."""
    return str((agent.lease_token or "").rpartition(".")[0])


def until(lease: Lease) -> Any:
    """When the lease expires, as a value of an update."""
    length = SessionAgent.lease_seconds | lease.seconds
    return length + SessionAgent.lease_until.path.operand(lease.now)


def ending(now: float) -> Action:
    """The update that ends the attempt now, unless it has ended before."""
    return SessionAgent.ended_at.set(SessionAgent.ended_at | now)


def times_by_hand(state: str, now: float) -> dict[str, Any]:
    """The values of these attributes when a client writes a state, by name; None removes one."""
    if state == "executing":
        return {"started_at": SessionAgent.started_at | now, "ended_at": None}
    if state in TERMINAL_AGENT_STATES:
        return {"ended_at": SessionAgent.ended_at | now}
    return {"started_at": None, "ended_at": None}


# Attempts that were lost: `SessionAgent.lost_runs` holds [attempt, run], and a third value when it
# did not die: true when a reset ended it, false when a backend refused something for now, "error"
# when it met an error

REFUSED = -1
"""The end of the lease (epoch seconds) of an attempt that a backend refused."""
ERROR = -2
"""The end of the lease (epoch seconds) of an attempt that met an unexpected error: its worker lived
on.
"""


def lost(agent: SessionAgent) -> list[tuple[int, str]]:
    """The attempts before the current one that may have left no run, with their runs."""
    return [(attempt, run) for attempt, run, *_ in agent.lost_runs or ()]


def lost_since_set_back(agent: SessionAgent) -> list[tuple[int, str]]:
    """The attempts before the current one, with their runs, that were lost since the agent was set
    back.
    """
    return [(attempt, run) for attempt, run, *reset in agent.lost_runs or () if True not in reset]


def lost_with(agent: SessionAgent) -> list[Sequence[Any]]:
    """What is stored of the lost attempts of an agent whose current one is lost too."""
    why: Mapping[float, list[Any]] = {REFUSED: [False], ERROR: ["error"]}
    return [
        *(agent.lost_runs or ()),
        [agent.attempt, agent.run_uuid, *why.get(agent.lease_until, [])],
    ]


def ended_with(agent: SessionAgent) -> list[Sequence[Any]]:
    """What is stored of the attempts of an agent that is reset: the current one, too, while
    somebody holds it.
    """
    current = [(agent.attempt, agent.run_uuid)] if agent.lease_until is not None else []
    return [[attempt, run, True] for attempt, run in [*lost(agent), *current]]


def died_in_a_row(agent: SessionAgent) -> int:
    """How many attempts in a row have died, with the current one if it is lost. A reset starts the
    count anew, and so does an attempt that a backend refused: its worker lived.
    """
    return sum(1 for _ in takewhile(lambda lost: len(lost) == 2, reversed(lost_with(agent))))


def met_errors(agent: SessionAgent) -> int:
    """How many attempts met an unexpected error since one left a run, or the agent was reset."""
    return sum("error" in why for _, _, *why in lost_with(agent))


def met_error(agent: SessionAgent, run_uuid: str) -> bool:
    """Whether the attempt of this run met an unexpected error."""
    return any(run == run_uuid and "error" in why for _, run, *why in lost_with(agent))
