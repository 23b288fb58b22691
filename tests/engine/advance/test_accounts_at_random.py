"""In any history the counters say what the runs do: each attempt counts once."""

from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import pytest

from ai_coordination_engine.domain.accounts import loaded, total
from ai_coordination_engine.engine.advance.accounts import accounts_of
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.control.restart import retry_session
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.errors import CoordinationError
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import Crash, tripping
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import complete

GRAPH = {"a": "", "b": "a", "c": "a", "d": "bc"}
AGENTS = {name: {"policy": {"attempts": 3, "backoff": 0}} for name in GRAPH}
MOVES = 12


@dataclass
class History:
    """Sessions whose agents and callers do what `random` draws."""

    stage: Stage
    random: Random
    sessions: list[Session] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    depth: int = 0

    def behave(self, request: AgentRequest) -> AgentResult:
        """Answer, fail, be too slow, or go on in a long job; with usage or without."""
        used = self.usage() if self.random.random() < 0.8 else {}
        match self.random.choice(["answer", "answer", "fail", "job", "slow"]):
            case "fail":
                raise AgentFailure("busy", retryable=True, usage=used)
            case "job":
                self.jobs.append(f"{request.session_agent_uuid} {request.attempt}")
                return AgentResult("", {}, self.jobs[-1], heartbeat_seconds=60)
            case "slow" if self.depth < 2:
                self.depth += 1
                self.stage.clock.advance(self.stage.app.settings.lease_seconds + 1)
                self.again()
                self.depth -= 1
        return AgentResult("fine", used)

    def usage(self) -> dict[str, object]:
        """What one attempt used; half of the models have a price."""
        counts = {name: self.random.randrange(9) for name in ("input_tokens", "output_tokens")}
        return {**counts, "model": self.random.choice(["gpt-4o-mini", "nobody's"])}

    def again(self) -> None:
        """Deliver a message once more."""
        if self.stage.queue.sent:
            with suppress(Busy):
                run_step(self.stage.app, self.random.choice(self.stage.queue.sent))

    def report(self, job: str) -> None:
        """Report a job: in time, too late, or another time."""
        with suppress(CoordinationError):
            complete(self.stage, job, usage=self.usage())

    def move(self) -> None:
        """Something happens."""
        session = self.random.choice(self.sessions)
        key = session.coordination_uuid, session.session_uuid
        moves = ["again", "work", "work", "cancel", "retry", *(["report"] * 3 if self.jobs else [])]
        with suppress(CoordinationError):
            match self.random.choice(moves):
                case "again":
                    self.again()
                case "work":
                    until = self.stage.clock.now().timestamp() + self.random.choice([1, 90])
                    self.stage.drain(until=until)
                case "report":
                    self.report(self.random.choice(self.jobs))
                case "cancel":
                    cancel_session(self.stage.app, TENANT, *key)
                case "retry":
                    retry_session(self.stage.app, TENANT, *key)

    def end(self) -> None:
        """Everything ends, and the sweep has looked at it."""
        for _ in range(3):
            self.stage.drain()
            self.stage.clock.advance(self.stage.app.settings.watch_seconds + 1)
            sweep(self.stage.app)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 46, 48])
def test_the_counters_are_the_sum_of_the_runs_in_any_history(app: App, seed: int) -> None:
    history = History(stage_of(app), Random(seed))
    stage = history.stage
    stage.runtime.behaviours |= dict.fromkeys(GRAPH, history.behave)
    names = stage.define(GRAPH, agents=AGENTS)
    history.sessions += [stage.start(names) for _ in range(2)]
    for _ in range(MOVES):
        with tripping(stage, history.random.randrange(1, 60)), suppress(Crash):
            history.move()
    history.end()
    for job in [*history.jobs, *history.jobs]:
        history.report(job)
    history.end()
    now = [stage.session(each) for each in history.sessions]
    found = total(counts for each in now for counts in accounts_of(stage.app, each).values())
    of_sessions = total(counts for each in now for counts in loaded(each.counted).values())
    counters = stage.app.usage_counters.of_coordination(TENANT, names[0], None)
    assert (of_sessions, total(each.counts for each in counters)) == (found, found)
