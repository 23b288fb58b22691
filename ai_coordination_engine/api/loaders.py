"""DataLoaders of one request: they read nested records in batches, concurrently per level."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from ai_coordination_engine.api.record_loaders import (
    ChildrenLoader,
    RecordLoader,
    RecordsLoader,
)
from ai_coordination_engine.api.successors import Shown, successors
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.advance.accounts import job_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import inputs
from ai_coordination_engine.engine.graph.definition import agent_names
from ai_coordination_engine.engine.waits import async_tasks
from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import (
    Coordination,
    CounterShard,
    Session,
    SessionAgent,
    SessionRun,
    Task,
)
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    COUNTER_SHARDS,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    Entity,
)
from ai_coordination_engine.store.transitions.budgets import Period, Used

_USED = ("usage", "cost_micro_usd", "price_version")
R = TypeVar("R", bound=Record)
V = TypeVar("V")


class ComputedLoader(DataLoader[SessionAgent, V | None], Generic[V]):
    """Loads values that the engine computes for session agents, for all agents of a level at once.

    `compute` takes the application and the agents and returns the values by session agent uuid.
    """

    def __init__(
        self, app: App, compute: Callable[[App, Sequence[SessionAgent]], Mapping[str, V]]
    ) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._app, self._compute = app, compute

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[V | None]:
        """Return the value of each agent."""
        found = await asyncio.to_thread(self._compute, self._app, agents)
        return [found.get(agent.session_agent_uuid) for agent in agents]


class AsyncTaskLoader(DataLoader[str, Mapping[str, object] | None]):
    """Loads the states of long jobs by uuid; None for an unknown job."""

    def __init__(self, app: App, tenant: str, *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._consistent = app, tenant, consistent

    async def batch_load_fn(self, uuids: list[str]) -> list[Mapping[str, object] | None]:
        """Return the state of each job."""
        found = await asyncio.to_thread(
            async_tasks.states, self._app, self._tenant, uuids, consistent=self._consistent
        )
        return [found.get(uuid) for uuid in uuids]


class UsedLoader(DataLoader[Period, Used]):
    """Loads what is used of budgets."""

    def __init__(self, app: App, tenant: str) -> None:
        super().__init__()
        self._app, self._tenant = app, tenant

    async def batch_load_fn(self, periods: list[Period]) -> list[Used]:
        """Return what is used in each period."""
        found = await asyncio.to_thread(self._app.budgets.used, self._tenant, periods)
        return [found[each] for each in periods]


class PayloadLoader(DataLoader[tuple[Record, str], Any]):
    """Loads payloads by record and name; reads each blob once per request, those of a level
    concurrently.
    """

    def __init__(self) -> None:
        super().__init__(get_cache_key=_stored)

    async def value(self, record: Record, name: str) -> Any:
        """Return the value of a payload; reads nothing for one that is stored inline."""
        stored = record.stored(name)
        return await self.load((record, name)) if isinstance(stored, BlobReference) else stored

    async def values(self, records: Sequence[Record], name: str) -> list[Any]:
        """Return the value of a payload of each record."""
        return list(await asyncio.gather(*(self.value(record, name) for record in records)))

    async def batch_load_fn(self, payloads: list[tuple[Record, str]]) -> list[Any]:
        """Return the value of each payload."""
        reads = (asyncio.to_thread(record.read, name) for record, name in payloads)
        return list(await asyncio.gather(*reads))


class AttemptLoader(DataLoader[SessionRun, Attempt]):
    """Loads the attempts that runs describe.

    A run never changes, so the run of a long job stays "pending". The state of the job is added
    here.
    """

    def __init__(self, payloads: PayloadLoader, async_tasks: AsyncTaskLoader) -> None:
        super().__init__(get_cache_key=_run_key)
        self._payloads, self._async_tasks = payloads, async_tasks
        self._known: dict[Key, Attempt] = {}

    def known(self, run: SessionRun) -> Attempt | None:
        """Return the attempt if nothing must be read for it, so that its fields need not be
        awaited.
        """
        key = _run_key(run)
        if key not in self._known:
            stored = run.stored("async_task")
            if isinstance(stored, BlobReference):
                return None
            attempt = Attempt.of(stored, run.late)
            if job_of(run, attempt) is not None:
                return None
            self._known[key] = attempt
        return self._known[key]

    async def batch_load_fn(self, runs: list[SessionRun]) -> list[Attempt]:
        """Return the attempt of each run."""
        found = list(zip(runs, await self._recorded(runs), strict=True))
        jobs = {uuid for each in found if (uuid := job_of(*each)) is not None}
        states = dict(zip(jobs, await self._async_tasks.load_many([*jobs]), strict=True))
        return [_with_job(*each, states.get(job_of(*each) or "")) for each in found]

    async def _recorded(self, runs: list[SessionRun]) -> list[Attempt]:
        """Return the attempts as the runs describe them."""
        stored = [each.stored("async_task") for each in runs]
        large = [
            (run, "async_task")
            for run, each in zip(runs, stored, strict=True)
            if isinstance(each, BlobReference)
        ]
        loaded = dict(zip(map(_stored, large), await self._payloads.load_many(large), strict=True))
        details = [loaded[each] if isinstance(each, BlobReference) else each for each in stored]
        pairs = zip(runs, details, strict=True)
        return [Attempt.of(each, run.late) for run, each in pairs]


class AgentNameLoader(DataLoader[SessionAgent, str | None]):
    """Loads the names of session agents; reads the coordination only for agents that a client
    wrote.
    """

    def __init__(self, tenant: str, coordinations: RecordLoader[Coordination]) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._tenant, self._coordinations = tenant, coordinations

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[str | None]:
        """Return the name of each agent."""
        uuids = [
            *{
                each.coordination_uuid
                for each in agents
                if each.stored("definition") is None and each.coordination_uuid
            }
        ]
        found = await self._coordinations.load_many([(self._tenant, each) for each in uuids])
        return await asyncio.to_thread(agent_names, agents, dict(zip(uuids, found, strict=True)))


class AgentRunsLoader(DataLoader[SessionAgent, list[SessionRun]]):
    """Loads the runs of session agents, in order of creation, from the runs of their sessions."""

    def __init__(self, session_runs: ChildrenLoader[SessionRun]) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._session_runs = session_runs

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[list[SessionRun]]:
        """Return the runs of each agent."""
        sessions = [*{(each.coordination_uuid, each.session_uuid) for each in agents}]
        found: dict[tuple[Key, str], list[SessionRun]] = defaultdict(list)
        for session, runs in zip(
            sessions, await self._session_runs.load_many(sessions), strict=True
        ):
            for run in runs:
                found[session, run.session_agent_uuid].append(run)
        return [
            found.get(((each.coordination_uuid, each.session_uuid), each.session_agent_uuid), [])
            for each in agents
        ]


def _with_job(run: SessionRun, attempt: Attempt, job: Mapping[str, object] | None) -> Attempt:
    """Return the attempt with the state of its job, if the job is known; a lost one, with what its
    job has used. A job that a later attempt goes on with has expired for this one.
    """
    if not job:
        return attempt
    told = {name: value for name, value in job.items() if name != "attempt_uuid"}
    if job.get("attempt_uuid", run.run_uuid) != run.run_uuid:
        told = {"status": "expired"}
    if attempt.status != "pending":
        told = {name: told[name] for name in _USED if name in told}
    return Attempt.of({**(attempt.details or {}), **told})


def _stored(payload: tuple[Record, str]) -> BlobReference:
    record, name = payload
    reference: BlobReference = record.stored(name)
    return reference


def _run_key(run: SessionRun) -> Key:
    return run.session_uuid, run.run_uuid


def _given(app: App, agents: Sequence[SessionAgent]) -> Mapping[str, str]:
    try:
        return inputs.given(app, agents, Budget())
    except AgentFailure as failure:
        raise TooComplex(
            f"agentInput of so many agents takes too much work in one request: {failure.message}"
        ) from None


def _agent_key(agent: SessionAgent) -> Key:
    return agent.session_uuid, agent.session_agent_uuid


class Loaders:
    """The loaders of one request for one tenant; with `consistent`, they see the latest writes.

    Each is made when it is first used: most requests need one or two.
    """

    def __init__(self, app: App, tenant: str, *, consistent: bool) -> None:
        self._app, self._tenant, self._consistent = app, tenant, consistent
        self._records: dict[str, RecordLoader[Any]] = {}

    def of(self, entity: Entity[R]) -> RecordLoader[R]:
        """Return the loader for an entity."""
        if entity.name not in self._records:
            self._records[entity.name] = RecordLoader(
                self._app, self._tenant, entity, self._batches, consistent=self._consistent
            )
        return self._records[entity.name]

    @property
    def coordination(self) -> RecordLoader[Coordination]:
        """Loads coordinations."""
        return self.of(COORDINATION)

    @property
    def task(self) -> RecordLoader[Task]:
        """Loads tasks."""
        return self.of(TASK)

    @property
    def session(self) -> RecordLoader[Session]:
        """Loads sessions."""
        return self.of(SESSION)

    @property
    def session_agent(self) -> RecordLoader[SessionAgent]:
        """Loads session agents."""
        return self.of(SESSION_AGENT)

    @property
    def counter_shard(self) -> RecordLoader[CounterShard]:
        """Loads counter shards."""
        return self.of(COUNTER_SHARDS)

    @cached_property
    def session_agents(self) -> ChildrenLoader[SessionAgent]:
        """Loads the session agents of sessions."""
        return self._children(SESSION_AGENT)

    @cached_property
    def session_runs(self) -> ChildrenLoader[SessionRun]:
        """Loads the runs of sessions."""
        return self._children(SESSION_RUN)

    @cached_property
    def agent_input(self) -> ComputedLoader[str]:
        """Loads the inputs of session agents that have not begun."""
        return ComputedLoader(self._app, _given)

    @cached_property
    def in_degree(self) -> ComputedLoader[int]:
        """Loads the numbers of unfinished predecessors."""
        return ComputedLoader(self._app, inputs.in_degrees)

    @cached_property
    def successors(self) -> ComputedLoader[Shown]:
        """Loads the edges that start at session agents."""
        return ComputedLoader(self._app, successors)

    @cached_property
    def async_task(self) -> AsyncTaskLoader:
        """Loads the states of long jobs."""
        return AsyncTaskLoader(self._app, self._tenant, consistent=self._consistent)

    @cached_property
    def used(self) -> UsedLoader:
        """Loads what is used of budgets."""
        return UsedLoader(self._app, self._tenant)

    @cached_property
    def payload(self) -> PayloadLoader:
        """Loads large values."""
        return PayloadLoader()

    @cached_property
    def attempt(self) -> AttemptLoader:
        """Loads the attempts that runs describe."""
        return AttemptLoader(self.payload, self.async_task)

    @cached_property
    def agent_name(self) -> AgentNameLoader:
        """Loads the names of session agents."""
        return AgentNameLoader(self._tenant, self.coordination)

    @cached_property
    def session_agent_runs(self) -> AgentRunsLoader:
        """Loads the runs of session agents."""
        return AgentRunsLoader(self.session_runs)

    @cached_property
    def _batches(self) -> RecordsLoader:
        return RecordsLoader(self._app, self._tenant, consistent=self._consistent)

    def _children(self, entity: Entity[R]) -> ChildrenLoader[R]:
        return ChildrenLoader(self._app, self._tenant, entity, consistent=self._consistent)
