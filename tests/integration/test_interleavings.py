"""Promises P2–P6 under interleavings: Hypothesis draws the graph and what goes wrong, a seed draws the order."""

import os
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, run_step
from tests.fakes import Delivery, failing
from tests.sessions import Crash, Stage, Turns, check_promises, check_redelivery_changes_nothing, stage_of

CI = bool(os.environ.get("CI"))
MOST_AGENTS = 20 if CI else 12
EXAMPLES = 80 if CI else 25
WORKERS = 3


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, as chances at every side effect (`crashes`, `delays`) or message (`duplicates`)."""

    seed: int
    duplicates: float
    crashes: float
    delays: float  # the clock jumps beyond every lease: whoever works is late
    deadline: bool  # workers have no time for a second agent, so that every hand-on is a message


TROUBLE = st.builds(
    Trouble,
    seed=st.integers(0, 2**32 - 1),
    duplicates=st.sampled_from([0.0, 0.3]),
    crashes=st.sampled_from([0.0, 0.01, 0.05]),
    delays=st.sampled_from([0.0, 0.01, 0.05]),
    deadline=st.booleans(),
)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Acyclic graphs, each agent waiting for some of those before it."""
    size = draw(st.integers(2, MOST_AGENTS))
    return {
        f"a{number}": [f"a{each}" for each in sorted(draw(st.sets(st.integers(0, number - 1), max_size=4)))]
        if number
        else []
        for number in range(size)
    }


@pytest.fixture(scope="module")
def stage(shared_app: App) -> Stage:
    """One stage for all examples: their sessions have nothing in common."""
    return stage_of(shared_app)


slow = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@slow
@given(graph=graphs(), trouble=TROUBLE)
def test_every_history_ends_with_every_agent_completed_once(
    stage: Stage, graph: dict[str, list[str]], trouble: Trouble
) -> None:
    stage.renew(Random(trouble.seed))
    session = stage.start(stage.define(graph, subtasks=[{"agent_uuid": name} for name in graph]))
    History(stage, trouble, Random(trouble.seed)).run()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)


@slow
@given(graph=graphs(), trouble=TROUBLE, which=st.integers(0, MOST_AGENTS - 1))
def test_every_history_with_a_failing_agent_ends_failed(
    stage: Stage, graph: dict[str, list[str]], trouble: Trouble, which: int
) -> None:
    failed = list(graph)[which % len(graph)]
    stage.renew(Random(trouble.seed), {failed: failing("no idea")})
    session = stage.start(stage.define(graph, subtasks=[{"agent_uuid": name} for name in graph]))
    History(stage, trouble, Random(trouble.seed)).run()
    check_promises(stage, session, status="failed")
    states = stage.states(session.session_uuid)
    assert states[failed] == "failed"
    assert set(states.values()) <= {"failed", "completed", "skipped"}
    for name, before in graph.items():
        if states[name] != "skipped":
            assert {states[each] for each in before} <= {"completed"}
    check_redelivery_changes_nothing(stage, session)


class History:
    """Some workers on one queue, and what goes wrong."""

    def __init__(self, stage: Stage, trouble: Trouble, random: Random) -> None:
        self.stage = stage
        self.trouble = trouble
        self.random = random
        self.turns = Turns(random)
        self.left = 60  # troubles: in the end the world is kind

    def run(self) -> None:
        """Until the queue is empty."""
        self.stage.boundary.reach = self._reach
        while self.stage.queue.waiting:
            self.turns.run([self._work] * WORKERS)
        self.stage.boundary.reach = lambda name: None

    def _work(self) -> None:
        while delivery := self.stage.queue.receive(self.random.randrange(10_000)):
            if self._happens(self.trouble.duplicates):
                self.stage.queue.put_back(Delivery(delivery.wake))
            try:
                now = self.stage.clock.now().timestamp()
                run_step(self.stage.app, delivery.wake, deadline=now + 31 if self.trouble.deadline else None)
                self.stage.queue.delete(delivery)
            except Busy as busy:
                self.stage.queue.put_back(delivery)
                self.turns.pause()
                if self.random.random() < 0.1:  # some time the lease runs out, held by a dead worker or a slow one
                    self.stage.clock.advance(busy.retry_after + 1)
                return
            except Crash:
                self.stage.queue.put_back(delivery)

    def _reach(self, name: str) -> None:
        self.turns.pause()
        if self._happens(self.trouble.delays):
            self.stage.clock.advance(self.stage.app.settings.lease_seconds + 1)
        if self._happens(self.trouble.crashes):
            raise Crash(name)

    def _happens(self, chance: float) -> bool:
        if self.left and self.random.random() < chance:
            self.left -= 1
            return True
        return False
