"""DataLoaders: nested fields in batches, the batches of one level at the same time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiodataloader import DataLoader

from ai_coordination_engine.engine import async_tasks, inputs
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    Entity,
)
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.table import Key


class RecordLoader(DataLoader[Key, Any]):
    """Records of one entity by key: one BatchGetItem for all that a level of the query asks for."""

    def __init__(self, app: App, tenant: str, entity: Entity) -> None:
        super().__init__()
        self._app, self._tenant, self._entity = app, tenant, entity

    async def batch_load_fn(self, keys: list[Key]) -> list[Any]:
        """The record under each key, or None."""
        found = await asyncio.to_thread(self._app.records.get_many, self._entity, self._tenant, keys)
        return [found.get(key) for key in keys]


class ChildrenLoader(DataLoader[Key, Any]):
    """All records of one entity below each parent key, in order of creation: one Query each, at the same time."""

    def __init__(self, app: App, tenant: str, entity: Entity) -> None:
        super().__init__()
        self._app, self._tenant, self._entity = app, tenant, entity

    async def batch_load_fn(self, keys: list[Key]) -> list[Any]:
        """The children of each parent."""
        return list(await asyncio.gather(*(asyncio.to_thread(self._children, key) for key in keys)))

    def _children(self, parent_key: Key) -> list[Any]:
        return list(self._app.records.children(self._entity, self._tenant, parent_key))


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

    def __init__(self, app: App, tenant: str) -> None:
        super().__init__()
        self._app, self._tenant = app, tenant

    async def batch_load_fn(self, uuids: list[str]) -> list[Any]:
        """The state of each."""
        found = await asyncio.to_thread(async_tasks.states, self._app, self._tenant, uuids)
        return [found.get(uuid) for uuid in uuids]


def _agent_key(agent: SessionAgent) -> Key:
    return agent.session_uuid, agent.session_agent_uuid


class Loaders:
    """The loaders of one request, for one tenant."""

    def __init__(self, app: App, tenant: str) -> None:
        self.coordination = RecordLoader(app, tenant, COORDINATION)
        self.task = RecordLoader(app, tenant, TASK)
        self.session = RecordLoader(app, tenant, SESSION)
        self.session_agent = RecordLoader(app, tenant, SESSION_AGENT)
        self.session_agents = ChildrenLoader(app, tenant, SESSION_AGENT)
        self.session_runs = ChildrenLoader(app, tenant, SESSION_RUN)
        self.agent_input = RecordsLoader(app, inputs.given)
        self.in_degree = RecordsLoader(app, inputs.in_degrees)
        self.async_task = AsyncTaskLoader(app, tenant)
