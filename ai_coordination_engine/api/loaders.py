"""DataLoaders: nested fields in batches, the batches of one level at the same time."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiodataloader import DataLoader

from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine import async_tasks, inputs
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.definition import agent_names
from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.ports import AgentFailure
from ai_coordination_engine.store.entities import (
    COORDINATION,
    ENTITIES,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    Entity,
)
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.table import Key


class RecordLoader(DataLoader[Key, Any]):
    """Records of one entity by key: one BatchGetItem for all that a level of the query asks for."""

    def __init__(self, app: App, tenant: str, entity: Entity, *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._entity, self._consistent = app, tenant, entity, consistent
        self._ones: dict[Key, asyncio.Future[Any]] = {}

    async def batch_load_fn(self, keys: list[Key]) -> list[Any]:
        """The record under each key, or None."""
        found = await asyncio.to_thread(
            self._app.records.get_many, self._entity, self._tenant, keys, consistent=self._consistent
        )
        return [found.get(key) for key in keys]

    def one(self, key: Key) -> "asyncio.Future[Any]":
        """The record under a key, or None: one GetItem, however many root fields of the request ask for it."""
        if key not in self._ones:
            self._ones[key] = asyncio.ensure_future(self._get(key))
        return self._ones[key]

    async def _get(self, key: Key) -> Any:
        return await asyncio.to_thread(
            self._app.records.get, self._entity, self._tenant, key, consistent=self._consistent
        )


class ChildrenLoader(DataLoader[Key, Any]):
    """All records of one entity below each parent key, in order of creation: one Query each, at the same time."""

    def __init__(self, app: App, tenant: str, entity: Entity, *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._entity, self._consistent = app, tenant, entity, consistent

    async def batch_load_fn(self, keys: list[Key]) -> list[Any]:
        """The children of each parent."""
        return list(await asyncio.gather(*(asyncio.to_thread(self._children, key) for key in keys)))

    def _children(self, parent_key: Key) -> list[Any]:
        found = self._app.records.children(self._entity, self._tenant, parent_key, consistent=self._consistent)
        return list(found)


class RecordsLoader(DataLoader[Any, Any]):
    """What the engine works out for session agents, all of a level at once.

    `work_out` takes the application and the records and answers by session agent uuid.
    """

    def __init__(self, app: App, work_out: Callable[[App, Sequence[SessionAgent]], Mapping[str, Any]]) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._app, self._work_out = app, work_out

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[Any]:
        """The value of each agent."""
        found = await asyncio.to_thread(self._work_out, self._app, agents)
        return [found.get(agent.session_agent_uuid) for agent in agents]


class AsyncTaskLoader(DataLoader[str, Any]):
    """The states of long jobs by uuid, None for what is unknown."""

    def __init__(self, app: App, tenant: str, *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._consistent = app, tenant, consistent

    async def batch_load_fn(self, uuids: list[str]) -> list[Any]:
        """The state of each."""
        found = await asyncio.to_thread(async_tasks.states, self._app, self._tenant, uuids, consistent=self._consistent)
        return [found.get(uuid) for uuid in uuids]


class BlobLoader(DataLoader[BlobReference, Any]):
    """Values that live in blobs: each is read once, however many fields of the request show it."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    async def batch_load_fn(self, references: list[BlobReference]) -> list[Any]:
        """The value of each."""
        return await asyncio.gather(*(asyncio.to_thread(self._app.records.opened, each) for each in references))


class AttemptLoader(DataLoader[SessionRun, Attempt]):
    """How the attempts of runs went. A run never changes, and that of a long job says "pending" for good: over it goes
    what has become of the job.
    """

    def __init__(self, blobs: BlobLoader, async_tasks: AsyncTaskLoader) -> None:
        super().__init__(get_cache_key=_run_key)
        self._blobs, self._async_tasks = blobs, async_tasks
        self._known: dict[Key, Attempt] = {}

    def known(self, run: SessionRun) -> Attempt | None:
        """The attempt when nothing need be read for it: then its many fields need not be awaited."""
        key = _run_key(run)
        if key not in self._known:
            if isinstance(run.async_task, BlobReference):
                return None
            attempt = Attempt.of(run.async_task)
            if attempt.status == "pending" and run.async_task_uuid:
                return None
            self._known[key] = attempt
        return self._known[key]

    async def batch_load_fn(self, runs: list[SessionRun]) -> list[Attempt]:
        """The attempt of each run."""
        references = [each.async_task for each in runs if isinstance(each.async_task, BlobReference)]
        opened = dict(zip(references, await self._blobs.load_many(references), strict=True))
        stored = [each.async_task for each in runs]
        found = [Attempt.of(opened[each] if isinstance(each, BlobReference) else each) for each in stored]
        waits = {
            run.async_task_uuid
            for run, attempt in zip(runs, found, strict=True)
            if attempt.status == "pending" and run.async_task_uuid
        }
        states = dict(zip(waits, await self._async_tasks.load_many([*waits]), strict=True))
        return [
            Attempt.of({**(attempt.details or {}), **states[run.async_task_uuid]})
            if attempt.status == "pending" and states.get(run.async_task_uuid)
            else attempt
            for run, attempt in zip(runs, found, strict=True)
        ]


class AgentNameLoader(DataLoader[SessionAgent, str | None]):
    """The names of session agents; of those that a client made, the coordinations are read."""

    def __init__(self, app: App, tenant: str, coordinations: RecordLoader) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._app, self._tenant, self._coordinations = app, tenant, coordinations

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[str | None]:
        """The name of each agent."""
        uuids = [*{each.coordination_uuid for each in agents if each.definition is None and each.coordination_uuid}]
        found = await self._coordinations.load_many([(self._tenant, each) for each in uuids])
        return await asyncio.to_thread(agent_names, self._app, agents, dict(zip(uuids, found, strict=True)))


class AgentRunsLoader(DataLoader[SessionAgent, list[SessionRun]]):
    """The runs of session agents, in order of creation, out of the runs of their sessions."""

    def __init__(self, session_runs: ChildrenLoader) -> None:
        super().__init__(get_cache_key=_agent_key)
        self._session_runs = session_runs

    async def batch_load_fn(self, agents: list[SessionAgent]) -> list[list[SessionRun]]:
        """The runs of each agent."""
        sessions = [*{(each.coordination_uuid, each.session_uuid) for each in agents}]
        found: dict[tuple[Key, str], list[SessionRun]] = defaultdict(list)
        for session, runs in zip(sessions, await self._session_runs.load_many(sessions), strict=True):
            for run in runs:
                found[session, run.session_agent_uuid].append(run)
        return [
            found.get(((each.coordination_uuid, each.session_uuid), each.session_agent_uuid), []) for each in agents
        ]


def _run_key(run: SessionRun) -> Key:
    return run.session_uuid, run.run_uuid


def _given(app: App, agents: Sequence[SessionAgent]) -> Mapping[str, str]:
    try:
        return inputs.given(app, agents, Budget())
    except AgentFailure as failure:
        raise TooComplex(f"agentInput is too much to work out for so many agents at once: {failure.message}") from None


def _agent_key(agent: SessionAgent) -> Key:
    return agent.session_uuid, agent.session_agent_uuid


class Loaders:
    """The loaders of one request, for one tenant; `consistent`: they see what was written just before."""

    def __init__(self, app: App, tenant: str, *, consistent: bool) -> None:
        self._records = {entity.name: RecordLoader(app, tenant, entity, consistent=consistent) for entity in ENTITIES}
        self.coordination = self.of(COORDINATION)
        self.task = self.of(TASK)
        self.session = self.of(SESSION)
        self.session_agent = self.of(SESSION_AGENT)
        self.session_agents = ChildrenLoader(app, tenant, SESSION_AGENT, consistent=consistent)
        self.session_runs = ChildrenLoader(app, tenant, SESSION_RUN, consistent=consistent)
        self.agent_input = RecordsLoader(app, _given)
        self.in_degree = RecordsLoader(app, inputs.in_degrees)
        self.async_task = AsyncTaskLoader(app, tenant, consistent=consistent)
        self.blob = BlobLoader(app)
        self.attempt = AttemptLoader(self.blob, self.async_task)
        self.agent_name = AgentNameLoader(app, tenant, self.coordination)
        self.session_agent_runs = AgentRunsLoader(self.session_runs)

    def of(self, entity: Entity) -> RecordLoader:
        """The records of an entity."""
        return self._records[entity.name]
