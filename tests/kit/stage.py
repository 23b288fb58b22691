"""The stage of engine tests: the application on the real store, with all other ports faked."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, TypeVar

from ai_coordination_engine import bootstrap
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.step import Busy
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.ports import QueueMessage, Wake
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.records.begun import agent_key_of, may_have_begun, status_of
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
)
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.items import Refused
from ai_coordination_engine.store.tables.one_transaction import OneTransaction
from ai_coordination_engine.store.tables.parallel import Parallel
from benchmarks.harness.memory import Database, databases
from tests.kit.contents import Contents
from tests.kit.crashes import Crash, Refusals, Tripwire, repeats
from tests.kit.crossing import CrossedTables, failing_whole, has_written, somebody_else
from tests.kit.fakes import (
    Behaviour,
    Delivery,
    FakeActions,
    FakeBlobs,
    FakeBranches,
    FakeClock,
    FakeQueue,
    FakeRuntime,
)
from tests.kit.iam import Iam

TENANT = "acme"
T = TypeVar("T")
Graph = Mapping[str, Sequence[str]]
"""Maps each agent to its predecessors."""


class Boundary:
    """Calls `reach` before and after every side effect of the engine.

    In a transaction of SQLite that has written something a worker may die or be refused, but nobody
    else can come.
    """

    def __init__(self, parallel: Parallel | None = None) -> None:
        self.reach: Callable[[str], None] = lambda name: None
        self._parallel = parallel

    def __call__(self, name: str) -> None:
        if not isinstance(self._parallel, OneTransaction):
            self.reach(name)
        elif not has_written(self._parallel):
            with somebody_else(self._parallel):
                self.reach(name)
        elif isinstance(self.reach, Tripwire | Refusals):
            # who looks meanwhile sees what is committed
            with failing_whole(self._parallel), somebody_else(self._parallel):
                self.reach.alone(name)


class OneByOne(Parallel):
    """Makes parallel calls one after the other in the caller's thread; `order` draws
    their order.
    """

    def __init__(self, order: Random | None = None) -> None:
        self._order = order

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        numbers = list(range(len(calls)))
        if self._order:
            self._order.shuffle(numbers)
        results = {number: calls[number]() for number in numbers}
        return [results[number] for number in range(len(calls))]

    def beside(self, works: Sequence[Callable[[], object]], threads: int = 1) -> None:
        with ExitStack() as turns:  # goes on with the next one when one raises
            for work in works:
                turns.callback(work)


def _one_by_one(parallel: Parallel, order: Random | None) -> Parallel:
    """Return what makes parallel calls one by one, in transactions if `parallel` has them."""
    return parallel if parallel.has_transactions else OneByOne(order)


def crowd(count: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the maximum of a hundred predecessors, and subtasks that make `count`
    session agents.
    """
    names = [f"m{number:03d}" for number in range(100)]
    return names, [{"agent_uuid": names[-1]} for _ in range(count - 99)]


@dataclass
class Stage:
    """An application on the real store, with all other ports faked."""

    app: App
    clock: FakeClock
    queue: FakeQueue
    runtime: FakeRuntime
    blobs: FakeBlobs
    actions: FakeActions
    boundary: Boundary
    looking: Repository  # has its own connection, so that reads of a test are not side effects
    requests: Counter[str] = field(default_factory=Counter)
    # by agent and key: the runs
    called: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    database: Database | Contents | None = None  # where histories say what goes wrong
    iam: Iam | None = None
    home: str = "dynamodb"
    width: int = 0  # of agents that a worker runs beside another one under the same message
    extras: dict[str, App] = field(default_factory=dict)  # workers of their own, by their extra

    def renew(
        self, order: Random | None = None, behaviours: Mapping[str, Behaviour] | None = None
    ) -> "Stage":
        """Reset the stage for another history."""
        self.boundary.reach = lambda name: None
        self.app.records.parallel = _one_by_one(self.app.records.parallel, order)
        self.queue.sent.clear()
        self.queue.fires.clear()
        self.queue.waiting.clear()
        self.runtime.requests.clear()
        self.runtime.repeated.clear()
        self.called.clear()
        self.runtime.behaviours = dict(behaviours or {})
        return self

    # Defining and starting

    def define(
        self,
        graph: Graph,
        *,
        subtasks: Sequence[Mapping[str, Any]] = (),
        actions: Mapping[str, Mapping[str, Any]] | None = None,
        agents: Mapping[str, Mapping[str, Any]] | None = None,
        query: str = "begin",
        on_failure: str | None = None,
        placeholders: str | None = None,
        **task_says: Any,
    ) -> tuple[str, str]:
        """Create a coordination and a task with the agents of the graph; `actions` adds keys by
        agent.
        """
        coordination, task = new_uuid(self.clock.now()), new_uuid(self.clock.now())
        names = [*graph, *(name for name in agents or {} if name not in graph)]
        described = [{"agent_uuid": name, **(agents or {}).get(name, {})} for name in names]
        extra = actions or {}
        content = {"agents": described, "coordination_name": "c", "updated_by": "me"}
        self.app.records.create(
            COORDINATION, TENANT, (TENANT, coordination), lambda *_: content, parent_key=None
        )
        work = {
            "task_name": "t",
            "initial_task_query": query,
            "subtask_queries": [dict(each) for each in subtasks],
            "agent_actions": {
                name: {"predecessors": list(before), **extra.get(name, {})}
                for name, before in graph.items()
                if before or name in extra
            },
            "updated_by": "me",
            **({"on_failure": on_failure} if on_failure else {}),
            **({"placeholders": placeholders} if placeholders else {}),
            **task_says,
        }
        self.app.records.create(
            TASK, TENANT, (coordination, task), lambda *_: work, parent_key=(TENANT, coordination)
        )
        return coordination, task

    def start(self, names: tuple[str, str], **arguments: Any) -> Session:
        """Start a session of a task from `define`."""
        return execute_procedure(self.app, TENANT, Start(*names, **arguments))

    # Working

    def drain(self, *, deadline: float | None = None, until: float | None = None) -> int:
        """Process messages until the queue is empty, or until `until` (epoch seconds).

        A crash kills the worker and redelivers its message; `Busy` lets the lease expire. Returns
        the number of crashes.
        """
        crashes = 0
        while delivery := self._receive(until):
            try:
                worker = self.worker_of(delivery.wake)
                process_message(worker, delivery.wake, deadline=deadline, branches=self.branches())
                self.queue.delete(delivery)
            except Busy as busy:
                self.queue.put_back(delivery)
                self.clock.advance(busy.retry_after + 1)
            except Crash:
                crashes += 1
                self._revive()
                self.queue.put_back(delivery)
        return crashes

    def worker_of(self, message: QueueMessage) -> App:
        """Return the worker from whose queue this message is received."""
        needs = message.needs if isinstance(message, Wake) else ""
        return self.extras.get(needs, self.app)

    def branches(self) -> FakeBranches | None:
        """Where the next message runs agents at the same time: on DynamoDB, as in the product."""
        is_home = not self.app.records.parallel.has_transactions
        return FakeBranches(self.width) if is_home and self.width else None

    def _receive(self, until: float | None) -> Delivery | None:
        """Return the next message; advance the clock if only delayed ones are left."""
        delivery = self.queue.receive()
        if delivery is None and (seconds := self.queue.next_visible_in()) is not None:
            if until is not None and self.clock.now().timestamp() + seconds > until:
                return None
            self.clock.advance(seconds + 0.001)  # floats and microseconds differ
            delivery = self.queue.receive()
        return delivery

    def until_it_succeeds(self, call: Callable[[], T]) -> T:
        """Make a call as a client that repeats it when the server dies."""
        while True:
            try:
                return call()
            except Crash:
                self._revive()

    def _revive(self) -> None:
        if isinstance(self.boundary.reach, Tripwire):
            self.boundary.reach.revive()

    # Looking

    def session(self, session: Session) -> Session:
        """Return the session in its present state, confirmed or not."""
        found = self.looking.table(SESSION).get(
            session.partition_key,
            session.key,
            consistent=True,
        )
        assert found is not None
        return found  # type: ignore[no-any-return]

    def status(self, session: Session) -> str:
        """Return the session's status as clients see it."""
        found, key = self.session(session), agent_key_of(session, 0)
        first = self.looking.table(SESSION_AGENT).get(session.partition_key, key, consistent=True)
        return status_of(found, first) if may_have_begun(found) else str(found.status)

    def agents(self, session_uuid: str) -> list[SessionAgent]:
        """Return the session agents by their ordinals, without fences (see
        `store.transitions.starts`).
        """
        rows = self.looking.table(SESSION_AGENT).query_all(TENANT, session_uuid, consistent=True)
        return [each for each in rows if each.agent_uuid is not None]

    def agent(self, session_uuid: str, agent_uuid: str) -> SessionAgent:
        """Return the only session agent of this agent."""
        (found,) = [each for each in self.agents(session_uuid) if each.agent_uuid == agent_uuid]
        return found

    def states(self, session_uuid: str) -> dict[str, str]:
        """Return the states by agent."""
        return {each.agent_uuid: each.state for each in self.agents(session_uuid)}

    def had_completed(self, request: AgentRequest) -> bool:
        """Whether the agent of the request already has a completed run; reads only for later
        attempts.
        """
        attempts = self.called.setdefault((request.session_agent_uuid, request.idempotency_key), [])
        found = (
            [run for run in self.runs(request.session_uuid) if run.run_uuid in attempts]
            if attempts
            else []
        )
        attempts.append(request.run_uuid)
        repeated = any(run.async_task["status"] == "completed" for run in found)
        repeats[0] += repeated
        return repeated

    def runs(self, session_uuid: str) -> list[SessionRun]:
        """Return the session runs in order of creation."""
        return list(
            self.looking.table(SESSION_RUN).query_all(TENANT, session_uuid, consistent=True)
        )

    def attempts(self, session: Session) -> list[tuple[int, str, str | None]]:
        """Return number, status and error class of each attempt that has a run."""
        tasks = [run.async_task for run in self.runs(session.session_uuid)]
        return sorted((task["attempt"], task["status"], task.get("error_class")) for task in tasks)

    def everything(self, session: Session) -> list[dict[str, Any]]:
        """Return every stored item of the session; in memory, every item there is."""
        if self.database is not None:
            return [
                each for table in self.database.tables.values() for each in table.items.values()
            ]
        records = [
            self.session(session),
            *self.agents(session.session_uuid),
            *self.runs(session.session_uuid),
        ]
        return [record.serialize() for record in records]


def _with(records: Repository, blobs: FakeBlobs) -> Repository:
    """Return the same records on the same connection, with payloads in these blobs."""
    other = copy(records)
    other.blobs, other.tables = blobs, {model: copy(each) for model, each in records.tables.items()}
    for each in other.tables.values():
        each.blobs = blobs
    return other


def stage_of(
    app: App,
    *,
    behaviours: Mapping[str, Behaviour] | None = None,
    wants_thread: bool = False,
    inline_limit: int | None = None,
    order: Random | None = None,
    threads: int = 0,
) -> Stage:
    """Return `app` with all ports but the store faked.

    The store's calls run one after the other unless `threads` are given.
    """
    boundary, clock = Boundary(app.records.parallel), FakeClock()
    blobs = FakeBlobs(boundary)
    requests: Counter[str] = Counter()
    tables = _crossing(app, boundary, requests)
    limit = inline_limit or app.settings.inline_limit
    records = Repository(tables, app.settings.table_prefix, blobs, clock, limit)
    records.parallel = Parallel(threads) if threads else _one_by_one(app.records.parallel, order)
    queue = FakeQueue(boundary, clock)
    actions = FakeActions(boundary)
    runtime = FakeRuntime(behaviours, wants_thread=wants_thread, reach=boundary)
    fake = replace(
        app,
        records=records,
        queue=queue,
        runtimes=runtime,
        actions=actions,
        clock=clock,
    )
    stage = Stage(
        fake,
        clock,
        queue,
        runtime,
        blobs,
        actions,
        boundary,
        _with(app.records, blobs),
        requests,
        database=_in_memory(tables),
    )
    runtime.had_completed = stage.had_completed
    return stage


def _in_memory(tables: DynamoDb | CrossedTables) -> Database | Contents | None:
    """The database of requests that no server answers."""
    if isinstance(tables, CrossedTables):
        return Contents(tables.database)
    if not databases:
        return None
    is_aws = tables.client.meta.endpoint_url.endswith(".amazonaws.com")
    return databases[-1] if is_aws else None


def _crossing(app: App, boundary: Boundary, requests: Counter[str]) -> DynamoDb | CrossedTables:
    """The tables of `app`, whose requests cross the boundary, and are counted."""
    database = next(iter(app.records.tables.values())).database
    if not isinstance(database, DynamoDb):
        return CrossedTables(database, partial(_cross, boundary, requests))
    tables = bootstrap.connect(app.settings.aws_client)
    looks = threading.local()

    def count(model: Any, **_: Any) -> None:
        requests[model.name] += 1
        if not getattr(looks, "unfinished", False):
            boundary(model.name)

    tables.client.meta.events.register("before-call.dynamodb", count)

    def count_after(model: Any, parsed: Any, **_: Any) -> None:
        looks.unfinished = _reads_runs(parsed) and bool(parsed.get("UnprocessedKeys"))
        if not _reads_runs(parsed):
            boundary(model.name)

    tables.client.meta.events.register("after-call.dynamodb", count_after)
    return tables


def _cross(
    boundary: Boundary, requests: Counter[str], name: str, call: Callable[[], T]
) -> T | None:
    """A call to SQLite; as one to DynamoDB, it may die before and after it."""
    requests[name] += 1
    boundary(name)
    try:
        found = call()
    except Refused:
        boundary(name)
        raise
    pages = found if isinstance(found, list) else []
    if not any(_reads_runs({"Responses": each}) for each in pages):
        boundary(name)
    return found


def _reads_runs(answer: Mapping[str, Any]) -> bool:
    """Whether a worker has just read the run of an attempt that it took over.

    No crash may be simulated between that read and the call of the agent.
    """
    return any(name.endswith("-session_runs") for name in answer.get("Responses", ()))
