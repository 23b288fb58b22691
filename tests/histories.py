"""Histories of a session: some workers on one queue, each with its own clock, and what goes wrong on the way."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from moto import mock_aws

from ai_coordination_engine import backend, bootstrap
from ai_coordination_engine.bootstrap import MAX_RECEIVES
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine import conclusion, control, maps, reconcile, restart, step
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.async_tasks import complete_async_task
from ai_coordination_engine.engine.resume import execute_for_user_input
from ai_coordination_engine.engine.start import Start, execute_procedure
from ai_coordination_engine.engine.step import poison, run_step
from ai_coordination_engine.entrypoints import deliveries
from ai_coordination_engine.entrypoints.worker import LONGEST_BACKOFF
from ai_coordination_engine.errors import Conflict, Throttled
from ai_coordination_engine.observability import configure
from ai_coordination_engine.ports import ActionResult, AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store import steering, tallies
from ai_coordination_engine.store.async_tasks import AsyncTasks
from ai_coordination_engine.store.attempts import died_in_a_row
from ai_coordination_engine.store.entities import SESSION
from ai_coordination_engine.store.models import ParentKey, Record, Session, SessionAgent
from ai_coordination_engine.store.steering import Steering
from ai_coordination_engine.store.transitions import Transitions
from tests.fakes import Behaviour, Delivery, FakeClock
from tests.memory import in_memory
from tests.sessions import TENANT, Crash, Stage, Turns, check_redelivery_changes_nothing, stage_of

if TYPE_CHECKING:
    from tests.outcomes import Outcomes

R = TypeVar("R", bound=Record)
WORKERS = 3
MOST_ROUNDS = 1_000  # of work and waiting; then a history hangs
HEARTBEAT = 7_200.0  # seconds; no history takes so long by its troubles alone
CALLS = 25  # of the database for each agent, trouble and sweep, at the most
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
    says no, `flaky` fails at first, `tired` fails as often as it is tried, `fail` at once. With `over` it is a map. It
    may begin when a person has answered, end when a long job does (`silent`: the first is never heard of), and have an
    action function.
    """

    before: tuple[str, ...] = ()
    behaviour: str = "go"
    items: int = 1
    join: str = "all"
    quorum: int = 1
    conditions: tuple[str, ...] = ()
    over: str | None = None
    map_join: str = "all"
    asks: bool = False
    job: str | None = None  # "done" or "silent"
    acts: bool = False


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
    lags: float = 0.0  # a read that is not consistent is answered by a replica that is behind
    leftovers: float = 0.0  # of a batch some is left undone
    controls: float = 0.0  # somebody pauses the session, resumes it, reconciles it or sends the sweep
    starts: bool = False  # two clients start the session under one uuid, and repeat that when their server dies
    again: bool = False  # once it has ended somebody retries it, or runs one of its agents again
    deadline: bool = False  # workers have no time for a second agent, so that every hand-on is a message


@dataclass(frozen=True)
class SkewedClock:
    """A clock that is off by some seconds."""

    clock: FakeClock
    off: float

    def now(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.off)

    def wait(self, seconds: float, until: threading.Event | None) -> None:
        self.clock.wait(seconds, until)


@dataclass
class Found:
    """How a history ended."""

    session: Session
    states: Mapping[str, str]
    elements: Mapping[str, list[str]] = field(default_factory=dict)
    again: bool = False

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
        assert stage.database is not None
        self._stage, self._database = stage, stage.database
        self._plan = plan
        self._trouble = trouble
        self._random = Random(trouble.seed)
        self._turns = Turns(self._random)
        self._sweeps = 0
        self._session = Session()
        self._jobs: dict[str, str] = {}  # what each will answer; empty: it falls silent
        self._silent: set[str] = set()  # agents whose first job has
        self._known: dict[int, tuple[Mapping[str, Any], Record]] = {}  # by the item

    def run(self) -> Found:
        """How it ends."""
        conclusion._RANDOM.seed(self._trouble.seed)  # of the backoff
        deliveries._RANDOM.seed(self._trouble.seed)
        steering._RANDOM.seed(self._trouble.seed)
        backend._RANDOM.seed(self._trouble.seed)
        stage = self._stage.renew(
            self._random, {name: self._behaviour(node) for name, node in self._plan.agents.items()}
        )
        stage.requests.clear()
        database = self._database
        database.clear()
        stage.clock.begin()  # no history depends on how long the ones before it took
        names = _define(stage, self._plan)
        skew = self._trouble.skew
        apps = [_skewed(stage, self._random.uniform(-skew, skew)) for _ in range(WORKERS)]
        if not self._trouble.starts:
            self._session = stage.start(names)
        stage.boundary.reach = self._reach
        database.repeats = self._repeat
        database.lags = lambda: self._happens("lag", self._trouble.lags)
        database.leaves_over = lambda: self._happens("leftover", self._trouble.leftovers)
        try:
            if self._trouble.starts:
                self._start(apps, names)
            self._work_all_off(apps)
            if self._trouble.again:
                self._run_again(apps[0])
                self._work_all_off(apps)
        finally:
            database.repeats = lambda operation: False
            database.lags = database.leaves_over = lambda: False
            stage.boundary.reach = lambda name: None
        self._check_calls()
        return replace(_found(stage, self._session), again=bool(self.happened["retry"] + self.happened["rerun"]))

    def _work_all_off(self, apps: list[App]) -> None:
        """Work until everything has ended; where no message is left, the sweep must come."""
        queue, clock = self._stage.queue, self._stage.clock
        for _ in range(MOST_ROUNDS):
            self._turns.run([*(partial(self._work, app) for app in apps), partial(self._world, apps[0])])
            if self._has_ended() and not queue.waiting:
                return
            if self._waits():
                continue
            if seconds := queue.next_visible_in():
                clock.advance(seconds)
            elif not queue.waiting:
                clock.advance(self._stage.app.settings.watch_seconds + 2 * self._trouble.skew + 1)
                self._sweep(apps[0])
        raise AssertionError(f"does not end: {_found(self._stage, self._session)}")

    def _start(self, apps: list[App], names: tuple[str, str]) -> None:
        uuid = new_uuid(self._stage.clock.now())
        self._session = Session(names[0], uuid, partition_key=TENANT)
        begun: list[Session] = []

        def client(app: App) -> None:
            start = Start(*names, session_uuid=uuid)
            self._try(lambda: begun.append(execute_procedure(app, TENANT, start)))

        while not begun:
            self._turns.run([partial(client, app) for app in apps[:2]])
            self._turns.run([partial(self._work, app) for app in apps])
            if not begun:
                self._stage.clock.advance(self._stage.app.settings.watch_seconds + 2 * self._trouble.skew + 1)
                self._sweep(apps[0])

    def _sweep(self, app: App) -> None:
        self._sweeps += 1
        self._turns.run([partial(self._try, partial(reconcile.sweep, app))])

    def _run_again(self, app: App) -> None:
        session, agents = self._session, self._agents()
        key = f"{self._trouble.seed}"
        agent = self._random.choice([each for each in agents if each.map_ordinal is None])
        status = self._stage.session(session).status
        retry = partial(restart.retry_session, app, TENANT, session.coordination_uuid, session.session_uuid)
        rerun = partial(restart.rerun_session_agent, app, TENANT, session.session_uuid, agent.session_agent_uuid)
        done: list[Session] = []
        call = retry if status == "failed" else rerun
        while not done:
            self._turns.run([lambda: self._try(lambda: done.append(call(idempotency_key=key)))])
        self.happened["retry" if status == "failed" else "rerun"] += 1

    def _check_calls(self) -> None:
        """What is called is linear in the agents for each thing that goes wrong: a message that returns walks down the
        edges below its agent, and a pause and its end are written to each agent.
        """
        agents = len(self._agents())
        edges = sum(len(node.before) for node in self._plan.agents.values())
        walks = edges * (self.happened["crash"] + self.happened["duplicate"] + self.happened["throttle"])
        pauses = 2 * agents * self.happened["control"]
        most = CALLS * (agents + self.happened.total() + self._sweeps + 1) + walks + pauses
        assert self._stage.requests.total() <= most, self._stage.requests

    def _has_ended(self) -> bool:
        agents = self._agents()
        over = self._now().status in TERMINAL_SESSION_STATUSES
        return over and all(each.state in TERMINAL_AGENT_STATES for each in agents)

    def _waits(self) -> bool:
        """Whether it is somebody's turn who does something in the next round."""
        agents = self._agents()
        paused = self._now().status == "paused"
        return paused or any(each.state == "wait_for_user_input" or self._job_of(each) for each in agents)

    def _work(self, app: App) -> None:
        queue = self._stage.queue
        consumer = deliveries.Deliveries(queue, partial(poison, app), LONGEST_BACKOFF)  # type: ignore[arg-type]
        while delivery := queue.receive(self._random.randrange(10_000)):
            if delivery.received > MAX_RECEIVES:
                self.happened["dead letter"] += 1
                continue
            if self._happens("duplicate", self._trouble.duplicates):
                queue.put_back(Delivery(delivery.wake))
            now = app.clock.now().timestamp()
            work = partial(run_step, app, deadline=now + 31 if self._trouble.deadline else None)
            message = deliveries.Delivery(delivery.wake, "a message", delivery.received)  # type: ignore[arg-type]
            try:
                seconds = consumer.work_off(message, work)
                if seconds is None:
                    queue.delete(delivery)
                else:
                    queue.put_back(delivery, seconds)
            except Crash:
                queue.put_back(delivery)

    # The world

    def _world(self, app: App) -> None:
        """People answer, long jobs end, somebody steers; each may be seen only by the next round."""
        self._steer(app)
        for each in self._agents():
            if self._random.random() < 0.3:
                continue
            if each.state == "wait_for_user_input":
                key = (TENANT, each.session_uuid, each.session_agent_uuid)
                self._try(partial(execute_for_user_input, app, *key, "yes"))
            elif job := self._job_of(each):
                self._try(partial(self._complete, app, job))

    def _complete(self, app: App, job: str) -> None:
        try:
            complete_async_task(app, TENANT, job, result=self._jobs[job])
            self._jobs[job] = ""
        except Conflict:  # it was given up
            self._jobs[job] = ""
            raise

    def _job_of(self, agent: SessionAgent) -> str | None:
        job = agent.async_task_uuid
        return job if agent.state == "pending" and job is not None and self._jobs.get(job) else None

    def _steer(self, app: App) -> None:
        names = (self._session.coordination_uuid, self._session.session_uuid)
        status = self._now().status
        if status == "paused":
            self._try(partial(control.resume_session, app, TENANT, *names))
        elif self._happens("control", self._trouble.controls):
            steers = [control.pause_session, reconcile.reconcile_session]
            self._try(partial(self._random.choice(steers), app, TENANT, *names))

    def _try(self, call: Callable[[], Any]) -> None:
        """What a client does who gives up, or repeats it once."""
        for _ in range(1 + self._random.randrange(2)):
            try:
                call()
            except (Crash, Throttled):
                continue
            except Conflict:
                self.happened["conflict"] += 1
            return

    # What is looked at, after every step of everybody: an item is only ever replaced, and read once

    def _agents(self) -> list[SessionAgent]:
        """The session agents in order of their ordinals."""
        table = self._database.tables[f"{self._stage.app.settings.table_prefix}-session_agents"]
        key = ParentKey.stored(TENANT, self._session.session_uuid)
        return [self._read(SessionAgent, table.items[key, each]) for each in table.ranges.get(key, ())]

    def _now(self) -> Session:
        """The session as it is now."""
        table, key = self._stage.looking.table(SESSION), (self._session.coordination_uuid, self._session.session_uuid)
        return self._read(Session, self._database.tables[table.name].items[table._stored(TENANT, key), key[1]])

    def _read(self, model: type[R], item: dict[str, Any]) -> R:
        _, record = known = self._known.get(id(item)) or (item, model.from_raw_data(item))
        self._known[id(item)] = known
        return record  # type: ignore[return-value]

    # What the agents do

    def _behaviour(self, node: Node) -> Behaviour:
        def behave(request: AgentRequest) -> str | AgentResult:
            if node.behaviour == "fail":
                raise AgentFailure("no idea")
            if node.behaviour == "tired" or (node.behaviour == "flaky" and request.attempt <= FLAKY):
                raise AgentFailure("not now", retryable=True, error_class="unavailable")
            answer = {"go": node.behaviour != "stop", "items": list(range(node.items)), "run": request.run_uuid}
            if node.job is None:
                return json.dumps(answer)
            may_fail = node.job == "silent" and node.behaviour != "flaky"  # else no attempt is left
            is_silent = may_fail and request.session_agent_uuid not in self._silent
            self._silent.add(request.session_agent_uuid)
            self._jobs[request.run_uuid] = "" if is_silent else json.dumps(answer)
            return AgentResult("", async_task_uuid=request.run_uuid, heartbeat_seconds=HEARTBEAT)

        return behave

    # What goes wrong

    def _reach(self, name: str) -> None:
        self._turns.pause()
        self.trace.append(name)
        if self._happens("delay", self._trouble.delays) and self._all_may_die():
            self._stage.clock.advance(self._stage.app.settings.lease_seconds + 2 * self._trouble.skew + 1)
        if self._happens("crash", self._trouble.crashes) and self._all_may_die():
            raise Crash(name)
        if name not in ("run", "act", "delete") and self._happens("throttle", self._trouble.throttles):
            raise Throttled(name)

    def _repeat(self, operation: str) -> bool:
        """Whether a write is made again after it was carried out."""
        if not self._happens("repeat", self._trouble.repeats):
            return False
        self._turns.pause()
        return True

    def _all_may_die(self) -> bool:
        """Whether no agent is given up when all their workers die now, and those that are about to claim them: what
        kills its worker is not tried for ever.
        """
        agents = self._agents()
        return all(
            died_in_a_row(each) + 1 < step.MOST_LOST and (each.resumed or 0) + 2 < step.MOST_LOST
            for each in agents
            if each.state in OPEN_AGENT_STATES
        )

    def _happens(self, what: str, chance: float) -> bool:
        if self.happened.total() < MOST_TROUBLES and self._random.random() < chance:
            self.happened[what] += 1
            return True
        return False


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage for histories, on an AWS of its own."""
    settings = Settings(auth="local", agent_timeout_seconds=30)
    with mock_aws(), in_memory(), pytest.MonkeyPatch.context() as patched:
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
            patched.setenv(f"AWS_{name}", value)
        patched.setattr(backend, "FIRST_PAUSE", 0)
        patched.setattr(tallies, "TALLY", 2)  # so that small joins and maps are counted like wide ones
        patched.setattr(maps, "PAGE", 2)
        bootstrap.create_tables(settings)
        stage = stage_of(bootstrap.build_app(bootstrap.create_queue_and_bucket(settings)))
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
        if node.asks:
            action["user_in_the_loop"] = "ann"
        if node.acts:
            action["action_function"] = {"module_name": "m", "function_name": "f"}
        actions[name] = action
    stage.actions.functions["m.f"] = lambda request: ActionResult()
    graph = {name: node.before for name, node in plan.agents.items()}
    return stage.define(graph, actions=actions, on_failure=plan.on_failure)


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
    """P2–P6 at the end of a history, and that it ended as it must.

    When it ran again it may end before what is set back, for sinks that have ended are kept; and a map that is expanded
    anew keeps the elements that it had.
    """
    session: Any = found.session
    exact = expected.exact and not found.again
    more = {"skipped", "failed"} if found.again else set()
    agents: list[Any] = stage.agents(session.session_uuid)
    assert session.status in expected.statuses, found
    assert set(found.states) == set(expected.states)
    wrong = {name: state for name, state in found.states.items() if state not in expected.states[name] | more}
    assert wrong == {}, found
    for name, states in found.elements.items():
        natural = expected.elements[name]
        assert found.again or len(states) <= len(natural), found
        assert set(states) <= {*natural, *([] if exact else ["skipped", "failed"])}, found
    if exact:
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
    _check_parents(stage)
    stage.queue.sent[:] = dict.fromkeys(stage.queue.sent)  # once more each, however often it was sent
    check_redelivery_changes_nothing(stage, session)


def _check_attempts(stage: Stage, session: Session, agents: list[SessionAgent]) -> None:
    attempts = Counter((run.session_agent_uuid, run.async_task["attempt"]) for run in stage.runs(session.session_uuid))
    expected = [(each.session_agent_uuid, number + 1) for each in agents for number in range(each.attempt or 0)]
    assert attempts == Counter(expected)
    executed = Counter(request.run_uuid for request in stage.runtime.requests)
    assert set(executed.values()) <= {1}
    assert set(executed) <= {run.run_uuid for run in stage.runs(session.session_uuid)}
    assert stage.runtime.repeated == []
    assert stage.queue.waiting == []
    _check_outputs(stage, session, agents)


def _check_parents(stage: Stage) -> None:
    """No item is without its parent: what the database holds is of this history."""
    assert stage.database is not None
    tables = {name.partition("-")[2]: table.items for name, table in stage.database.tables.items()}
    for parents, children in (
        ("coordinations", "sessions"),
        ("sessions", "session_agents"),
        ("sessions", "session_runs"),
    ):
        known = {key[1] for key in tables[parents]}
        records = (key[0].partition(" ")[2] for key in tables[children])  # after the tenant
        assert {each for each in records if not each.startswith(" ")} <= known, children


def _check_outputs(stage: Stage, session: Session, agents: list[Any]) -> None:
    """An output is that of the latest attempt that has one: those after it have only taken over, and died in it."""
    with_result: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for run in stage.runs(session.session_uuid):
        if run.async_task["status"] in ("completed", "pending"):
            with_result[str(run.session_agent_uuid)].append((run.async_task["attempt"], run.run_uuid))
    for each in agents:
        if each.state != "completed":
            continue
        answer = json.loads(each.agent_output)
        if isinstance(answer, dict):  # else it is a map, whose elements have one each
            assert answer["run"] == max(with_result[each.session_agent_uuid])[1], each.agent_uuid


def script(plan: Plan, trouble: Trouble) -> str:
    """A few lines of Python, to be run where the tests are, that replay a history and check it again."""
    return (
        "from tests.histories import Node, Plan, Trouble, replay\n"
        f"replay({Plan(dict(plan.agents), plan.on_failure)!r}, {trouble!r})\n"
    ).replace("Node(", "\n    Node(")


def replay(plan: Plan, trouble: Trouble) -> None:
    """Run a history, print how it ended, and check it. Raises `AssertionError`."""
    from tests.outcomes import outcomes

    configure("CRITICAL")  # what a backend refuses is logged
    with staged() as stage:
        found = History(stage, plan, trouble).run()
        print(found)  # noqa: T201
        check(stage, found, outcomes(plan))
