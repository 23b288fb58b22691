"""What the work of one message has run so far, and how it goes on."""

from collections.abc import Callable, Sequence
from dataclasses import field
from threading import Event, Lock
from typing import TypeVar

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.attempt.branches import Branches
from ai_coordination_engine.engine.graph.inputs import AgentOutput, Given
from ai_coordination_engine.store.models import SessionAgent

T = TypeVar("T")
ALONE_SECONDS = 5.0  # until another one that must run alone is looked at again
_ALONE = Lock()


@dataclass
class Chain:
    """What one call of `run_step` has run so far: outputs and inputs of agents, so that successors
    need not read them again.

    Both are kept by the name of the agent's edges, so that values from before a reset are not used
    after it. `notes` are remarks on attempts that go on. `deadline` is the last moment (epoch
    seconds); `stopping` is set when the process is about to end. `finish`, `stand_in` and
    `branches` as in `run_step`. `beside`: agents that were claimed beside the one that goes on;
    `taken`: threads for such ones.
    """

    deadline: float | None
    stopping: Event | None
    finish: Callable[[bool], None] | None = None
    stand_in: Callable[[SessionAgent], None] | None = None
    outputs: dict[int, AgentOutput] = field(default_factory=dict)
    given: dict[int, Given] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    alone: list[bool] = field(default_factory=list)
    branches: Branches | None = None
    beside: list[SessionAgent] = field(default_factory=list)
    taken: int = 0

    def branch(self) -> "Chain":
        """What an agent that runs beside this chain begins with."""
        outputs, given = dict(self.outputs), dict(self.given)
        until = self.deadline, self.stopping
        return Chain(*until, outputs=outputs, given=given, branches=self.branches)

    def room(self, app: App, most: int) -> int:
        """How many of `most` successors can run now: one after this chain's own agent, and others
        on threads that are taken for them.
        """
        if not most or not self.has_time(app):
            return 0
        if self.branches is not None:
            self.taken += self.branches.take(max(most - 1 - self.taken, 0))
        return 1 + min(self.taken, most - 1)

    def go_on_with(self, claimed: Sequence[SessionAgent]) -> SessionAgent | None:
        """Keep the agents that were claimed; return the one that runs in this thread."""
        self.beside = [*claimed[1:]]
        self.free(self.taken - len(self.beside))
        return claimed[0] if claimed else None

    def free(self, count: int) -> None:
        """Give back threads that were taken."""
        self.taken -= count
        if self.branches is not None and count:
            self.branches.give_back(count)

    def end(self) -> None:
        """Give back what this chain still holds."""
        self.run_beside_others()
        self.free(self.taken)

    def run_alone(self) -> None:
        """Let the next attempt run alone: no other suspect runs beside it in this process, so that
        a crash can be attributed. Raises `Busy` while another one does.
        """
        if self.alone:
            return
        if not _ALONE.acquire(blocking=False):
            raise Busy(ALONE_SECONDS)
        self.alone.append(True)

    def run_beside_others(self) -> None:
        """Let the next attempt run beside others."""
        try:
            self.alone.pop()  # another thread may go on with this chain at this moment
        except IndexError:
            return
        _ALONE.release()

    def instead_of(self, agent: SessionAgent) -> Callable[[], None] | None:
        """What another thread does if the agent takes longer than it may in this one; None: nothing
        can.
        """
        if (stand_in := self.stand_in) is None:
            return None

        def go_on() -> None:
            self.run_beside_others()
            stand_in(agent)

        return go_on

    def ending(self, successor: T | None) -> T | None:
        """The successor that was claimed; if there is none, the work of the message is done."""
        if self.finish is not None:
            self.finish(successor is None)
        return successor

    def has_time(self, app: App) -> bool:
        """Whether another attempt, at its longest, would end before the deadline."""
        return self.has(app, app.settings.lease_seconds)

    def has(self, app: App, seconds: float) -> bool:
        """Whether the process has so many seconds left."""
        if self.stopping is not None and self.stopping.is_set():
            return False
        return self.deadline is None or app.clock.now().timestamp() + seconds <= self.deadline

    def timeout(self, app: App, limit: float) -> float:
        """The seconds that an attempt which begins now may take, at most `limit`."""
        if self.deadline is None:
            return limit
        left = self.deadline - app.settings.lease_margin_seconds - app.clock.now().timestamp()
        return max(1.0, min(limit, left))
