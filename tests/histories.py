"""Histories of a session: some workers on one queue, each with its own clock, and what goes wrong on the way."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine import maps, step
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.observability import configure
from ai_coordination_engine.ports import AgentFailure, AgentRequest
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store import tallies
from ai_coordination_engine.store.async_tasks import AsyncTasks
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.steering import Steering
from ai_coordination_engine.store.transitions import Transitions
from tests.fakes import Behaviour, Delivery, FakeClock
from tests.memory import in_memory
from tests.sessions import Crash, Stage, Turns, check_redelivery_changes_nothing, stage_of

if TYPE_CHECKING:
    from tests.outcomes import Outcomes

WORKERS = 3
MOST_TROUBLES = 60  # of a history: in the end the world is kind
FLAKY = 2  # attempts that fail; the settings allow three


class _Brief:
    """Is shown, as Python, with what is not usual about it."""

    def __repr__(self) -> str:
        given: Any = fields(self)  # type: ignore[arg-type]
        unusual = [each.name for each in given if getattr(self, each.name) != each.default]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in unusual)})"


@dataclass(frozen=True, repr=False)
class Node(_Brief):
    """An agent of a plan: whom it waits for and how, and what it does.

    It answers `{"go": …, "items": […]}` with so many items; the conditions on its predecessors ask for `go`. `stop`
    says no, `flaky` fails at first, `tired` fails as often as it is tried, `fail` at once. With `over` it is a map.
    """

    before: tuple[str, ...] = ()
    behaviour: str = "go"
    items: int = 1
    join: str = "all"
    quorum: int = 1
    conditions: tuple[str, ...] = ()
    over: str | None = None
    map_join: str = "all"


@dataclass(frozen=True)
class Plan:
    """The agents of a task in topological order."""

    agents: Mapping[str, Node]
    on_failure: str | None = None


@dataclass(frozen=True, repr=False)
class Trouble(_Brief):
    """What goes wrong, as chances at every side effect or message; `seed` draws it, and whose turn it is."""

    seed: int
    duplicates: float = 0.0
    crashes: float = 0.0
    delays: float = 0.0  # the clock jumps beyond every lease: whoever works is late
    throttles: float = 0.0  # the store or the queue refuses a call for load
    repeats: float = 0.0  # the answer to a write is lost, and the client writes again
    skew: float = 0.0  # seconds that a worker's clock may be off
    deadline: bool = False  # workers have no time for a second agent, so that every hand-on is a message


@dataclass(frozen=True)
class SkewedClock:
    """A clock that is off by some seconds."""

    clock: FakeClock
    off: float

    def now(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.off)


@dataclass
class Found:
    """How a history ended."""

    session: Session
    states: Mapping[str, str]
    elements: Mapping[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        elements = {f"{name}[{index}]": state for name in self.elements for index, state in self._numbered(name)}
        told = ", ".join(f"{name}: {state}" for name, state in {**self.states, **elements}.items())
        return f"{self.session.status}; {told}"

    def _numbered(self, name: str) -> list[tuple[int, str]]:
        return list(enumerate(self.elements[name]))


class History:
    """One session of a plan, from its start until the queue is empty.

    `happened` counts the troubles, `trace` lists the side effects in their order.
    """

    def __init__(self, stage: Stage, plan: Plan, trouble: Trouble) -> None:
        self.happened: Counter[str] = Counter()
        self.trace: list[str] = []
        self._stage = stage
        self._plan = plan
        self._trouble = trouble
        self._random = Random(trouble.seed)
        self._turns = Turns(self._random)

    def run(self) -> Found:
        """How it ends."""
        step._RANDOM.seed(self._trouble.seed)  # of the backoff
        stage = self._stage.renew(self._random, {name: _behaviour(node) for name, node in self._plan.agents.items()})
        session = stage.start(_define(stage, self._plan))
        skew = self._trouble.skew
        stage.boundary.reach = self._reach
        stage.database.repeats = self._repeat
        try:
            self._work_all_off([_skewed(stage, self._random.uniform(-skew, skew)) for _ in range(WORKERS)])
        finally:
            stage.database.repeats = lambda operation: False
            stage.boundary.reach = lambda name: None
        return _found(stage, session)

    def _work_all_off(self, apps: list[App]) -> None:
        queue, clock = self._stage.queue, self._stage.clock
        while queue.waiting:
            self._turns.run([lambda app=app: self._work(app) for app in apps])  # type: ignore[misc]
            if seconds := queue.next_visible_in():
                clock.advance(seconds)

    def _work(self, app: App) -> None:
        queue = self._stage.queue
        while delivery := queue.receive(self._random.randrange(10_000)):
            if self._happens("duplicate", self._trouble.duplicates):
                queue.put_back(Delivery(delivery.wake))
            try:
                now = app.clock.now().timestamp()
                run_step(app, delivery.wake, deadline=now + 31 if self._trouble.deadline else None)
                queue.delete(delivery)
            except Busy as busy:
                queue.put_back(delivery)
                self._turns.pause()
                if self._random.random() < 0.1:  # some time the lease runs out, held by a dead worker or a slow one
                    self._stage.clock.advance(busy.retry_after + 1)
                return
            except (Crash, Throttled):
                queue.put_back(delivery)

    def _reach(self, name: str) -> None:
        self._turns.pause()
        self.trace.append(name)
        if self._happens("delay", self._trouble.delays):
            self._stage.clock.advance(self._stage.app.settings.lease_seconds + 2 * self._trouble.skew + 1)
        if self._happens("crash", self._trouble.crashes):
            raise Crash(name)
        if name not in ("run", "act", "delete") and self._happens("throttle", self._trouble.throttles):
            raise Throttled(name)

    def _repeat(self, operation: str) -> bool:
        """Whether a write is made again after it was carried out."""
        if not self._happens("repeat", self._trouble.repeats):
            return False
        self._turns.pause()
        return True

    def _happens(self, what: str, chance: float) -> bool:
        if self.happened.total() < MOST_TROUBLES and self._random.random() < chance:
            self.happened[what] += 1
            return True
        return False


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage for histories, on an AWS of its own, whose attempts may be lost as often as it takes."""
    settings = Settings(auth="local", agent_timeout_seconds=30)
    with mock_aws(), in_memory() as database, pytest.MonkeyPatch.context() as patched:
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
            patched.setenv(f"AWS_{name}", value)
        patched.setattr(step, "MOST_LOST", 1_000)
        patched.setattr(tallies, "TALLY", 2)  # so that small joins and maps are counted like wide ones
        patched.setattr(maps, "PAGE", 2)
        bootstrap.create_tables(settings)
        stage = stage_of(bootstrap.build_app(bootstrap.create_queue_and_bucket(settings)))
        stage.database = database
        yield stage


def _skewed(stage: Stage, off: float) -> App:
    """The stage's application as a worker has it whose clock is off."""
    clock = SkewedClock(stage.clock, off)
    records = copy(stage.app.records)
    records.clock = clock
    return replace(
        stage.app,
        records=records,
        transitions=Transitions(records),
        steering=Steering(records),
        async_tasks=AsyncTasks(records),
        clock=clock,
    )


def _define(stage: Stage, plan: Plan) -> tuple[str, str]:
    actions: dict[str, dict[str, Any]] = {}
    for name, node in plan.agents.items():
        action: dict[str, Any] = {"join": node.join}
        if node.join == "quorum":
            action["quorum"] = node.quorum
        if node.conditions:
            action["conditions"] = {each: "go" if plan.agents[each].over is None else "[0]" for each in node.conditions}
        if node.over is not None:
            items = {"items": "items"} if plan.agents[node.over].over is None else {}
            action["map"] = {"over": node.over, "join": node.map_join, **items}
        actions[name] = action
    graph = {name: node.before for name, node in plan.agents.items()}
    return stage.define(graph, actions=actions, on_failure=plan.on_failure)


def _behaviour(node: Node) -> Behaviour:
    output = json.dumps({"go": node.behaviour != "stop", "items": list(range(node.items))})

    def behave(request: AgentRequest) -> str:
        if node.behaviour == "fail":
            raise AgentFailure("no idea")
        if node.behaviour == "tired" or (node.behaviour == "flaky" and request.attempt <= FLAKY):
            raise AgentFailure("not now", retryable=True, error_class="unavailable")
        return output

    return behave


def _found(stage: Stage, session: Session) -> Found:
    elements: dict[str, list[str]] = defaultdict(list)
    states: dict[str, str] = {}
    for each in stage.agents(session.session_uuid):
        if each.map_ordinal is None:
            states[each.agent_uuid] = each.state
        else:
            elements[each.agent_uuid].append(each.state)
    return Found(stage.session(session), states, elements)


def check(stage: Stage, found: Found, expected: "Outcomes") -> None:
    """P2–P6 at the end of a history, and that it ended as it must."""
    session: Any = found.session
    agents: list[Any] = stage.agents(session.session_uuid)
    assert session.status in expected.statuses, found
    assert set(found.states) == set(expected.states)
    wrong = {name: state for name, state in found.states.items() if state not in expected.states[name]}
    assert wrong == {}, found
    for name, states in found.elements.items():
        natural = expected.elements[name]
        assert len(states) <= len(natural), found
        assert set(states) <= {*natural, *([] if expected.exact else ["skipped", "failed"])}, found
    if expected.exact:
        assert {name: len(states) for name, states in found.elements.items()} == {
            name: len(states) for name, states in expected.elements.items() if states
        }
        assert [(each.in_degree, each.unfinished) for each in agents] == [(0, None)] * len(agents), found
    if session.status == "completed":
        assert (session.open_sink_count, session.open_sinks) == (0, None)
    for each in agents:
        if each.tallies is None:
            assert each.in_degree == len(each.unfinished or ())
        else:  # of tallies, which are as wide as they are
            assert bool(each.in_degree) == bool(each.unfinished)
        assert each.state in TERMINAL_AGENT_STATES
    _check_attempts(stage, session, agents)
    stage.queue.sent[:] = dict.fromkeys(stage.queue.sent)  # once more each, however often it was sent
    check_redelivery_changes_nothing(stage, session)


def _check_attempts(stage: Stage, session: Session, agents: list[SessionAgent]) -> None:
    attempts = Counter((run.session_agent_uuid, run.async_task["attempt"]) for run in stage.runs(session.session_uuid))
    expected = [(each.session_agent_uuid, number + 1) for each in agents for number in range(each.attempt or 0)]
    assert attempts == Counter(expected)
    assert set(Counter(request.run_uuid for request in stage.runtime.requests).values()) <= {1}
    assert stage.runtime.repeated == []
    assert stage.queue.waiting == []


def script(plan: Plan, trouble: Trouble) -> str:
    """A few lines of Python, to be run where the tests are, that replay a history and check it again."""
    return (
        "from tests.histories import Node, Plan, Trouble, replay\n"
        f"replay({Plan(dict(plan.agents), plan.on_failure)!r}, {trouble!r})\n"
    ).replace("Node(", "\n    Node(")


def replay(plan: Plan, trouble: Trouble) -> None:
    """Run a history, print how it ended, and check it. Raises `AssertionError`."""
    from tests.outcomes import outcomes

    configure("ERROR")
    with staged() as stage:
        found = History(stage, plan, trouble).run()
        print(found)  # noqa: T201
        check(stage, found, outcomes(plan))
