"""DataLoaders of stored records: by key, in batches for all entities of a level, and by parent."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader
from graphql.pyutils import AwaitableOrValue

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.records.entities import Entity
from ai_coordination_engine.store.records.reads import AT_ONCE, visible

R = TypeVar("R", bound=Record)
READ_IN_LOOP = 20
"""The number of records of an entity that a request may read in the event loop, which other
requests wait for. Each takes some 20 µs, or up to 5 ms if it is as large as a record can be.
"""


class RecordsLoader(DataLoader[tuple[type[Record], Key], Any]):
    """Loads records of all entities by model and key.

    All records that a level of the query needs are read with one BatchGetItem. If they need several
    requests, each entity is read on its own, concurrently.
    """

    def __init__(self, app: App, tenant: str, *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._consistent = app, tenant, consistent

    async def batch_load_fn(self, wanted: list[tuple[type[Record], Key]]) -> list[Any]:
        """Return the record of each key, or None."""
        keys: dict[type[Record], list[Key]] = defaultdict(list)
        for model, key in wanted:
            keys[model].append(key)
        fits = len(wanted) <= AT_ONCE
        parts = [keys] if fits else [{model: each} for model, each in keys.items()]
        found: dict[type[Record], dict[Key, Any]] = {}
        for part in await asyncio.gather(*map(self._read, parts)):
            found.update(part)
        return [found[model].get(key) for model, key in wanted]

    async def _read(
        self, keys: Mapping[type[Record], Sequence[Key]]
    ) -> dict[type[Record], dict[Key, Any]]:
        return await asyncio.to_thread(
            self._app.records.get_many_of, self._tenant, keys, consistent=self._consistent
        )


class RecordLoader(Generic[R]):
    """Loads records of one entity by key, in batches with those of other entities."""

    def __init__(
        self,
        app: App,
        tenant: str,
        entity: Entity[R],
        batches: RecordsLoader,
        *,
        consistent: bool,
    ) -> None:
        self._app, self._tenant, self._entity, self._consistent = app, tenant, entity, consistent
        self._batches = batches
        self._ones: dict[Key, AwaitableOrValue[R | None]] = {}

    def load(self, key: Key) -> "asyncio.Future[R | None]":
        """Return the record of a key, or None."""
        return self._batches.load((self._entity.model, key))

    def load_many(self, keys: Sequence[Key]) -> "asyncio.Future[list[R | None]]":
        """Return the record of each key, or None."""
        return self._batches.load_many([(self._entity.model, key) for key in keys])

    def one(
        self, key: Key, below: "ChildrenLoader[Any] | None" = None
    ) -> AwaitableOrValue[R | None]:
        """Return the record of a key, or None, with one GetItem for all root fields that need it.

        `below` loads the children of a session; they show whether its start is confirmed. Where a
        read does not wait for another machine it needs no thread; a few are made here.
        """
        if key not in self._ones:
            if below is not None:
                self._ones[key] = asyncio.ensure_future(self._get_starting(key, below))
            elif self._app.records.parallel.waits or len(self._ones) >= READ_IN_LOOP:
                self._ones[key] = asyncio.ensure_future(asyncio.to_thread(self._get, key))
            else:
                self._ones[key] = self._get(key)
        return self._ones[key]

    def _get(self, key: Key) -> R | None:
        return self._app.records.get(self._entity, self._tenant, key, consistent=self._consistent)

    async def _get_starting(self, key: Key, below: "ChildrenLoader[Any]") -> R | None:
        records, how = self._app.records, {"consistent": self._consistent}
        found = await asyncio.to_thread(
            partial(records.get_stored, self._entity, self._tenant, key, **how)
        )
        if found is not None and is_starting(found) and found.partition_key == self._tenant:
            await below.load(key)
            await asyncio.to_thread(partial(records.resolve_starts, [found], **how))
        return visible(found, self._tenant)


class ChildrenLoader(DataLoader[Key, list[R]], Generic[R]):
    """Loads all children of each parent in order of creation, with one Query per parent,
    concurrently.
    """

    def __init__(self, app: App, tenant: str, entity: Entity[R], *, consistent: bool) -> None:
        super().__init__()
        self._app, self._tenant, self._entity, self._consistent = app, tenant, entity, consistent

    async def batch_load_fn(self, keys: list[Key]) -> list[list[R]]:
        """Return the children of each parent."""
        return list(await asyncio.gather(*(asyncio.to_thread(self._children, key) for key in keys)))

    def _children(self, parent_key: Key) -> list[R]:
        found = self._app.records.children(
            self._entity, self._tenant, parent_key, consistent=self._consistent
        )
        return list(found)
