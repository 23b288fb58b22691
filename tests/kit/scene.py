"""A parent and a child, and works that create and delete them concurrently, to test promise P1."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.errors import Conflict, HasDependents, NotFound
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    TASK_SCHEDULE,
    Entity,
)
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.write_tokens import TOKEN_LIFETIME
from tests.kit.dynamodb_local import Store
from tests.kit.interleave import Work

LIFETIME = TOKEN_LIFETIME.total_seconds() + 1
CHILDREN = (TASK, SESSION, TASK_SCHEDULE, SESSION_AGENT, SESSION_RUN)
every_child = pytest.mark.parametrize(
    "child", CHILDREN, ids=lambda entity: entity.name.replace(" ", "_")
)


@dataclass(frozen=True)
class Scene:
    """A parent, and works on it: creating a child below it and deleting the parent."""

    records: Repository
    child: Entity
    tenant: str
    parent_key: Key

    @classmethod
    def of(cls, store: Store, child: Entity) -> "Scene":
        tenant, top, parent = (str(uuid4()) for _ in range(3))
        assert child.parent is not None
        scene = cls(store.records, child, tenant, (tenant, top))
        if child.parent is not COORDINATION:
            scene.put(COORDINATION, (tenant, top), None)
            scene = replace(scene, parent_key=(top, parent))
        scene.put(
            child.parent, scene.parent_key, None if child.parent is COORDINATION else (tenant, top)
        )
        return scene

    @property
    def parent(self) -> Entity:
        assert self.child.parent is not None
        return self.child.parent

    def put(self, entity: Entity, key: Key, parent_key: Key | None) -> None:
        self.records.create(entity, self.tenant, key, lambda parent, new: {}, parent_key=parent_key)

    def create(self, uuid: str = "child") -> Work:
        def work(records: Repository) -> Any:
            def content(parent: Record | None, new: bool) -> Mapping[str, Any]:
                assert parent is not None
                return {"updated_by": uuid}

            key = (self.parent_key[1], uuid)
            return records.create(self.child, self.tenant, key, content, parent_key=self.parent_key)

        return work

    def delete(self) -> Work:
        return lambda records: guards.delete(records, self.parent, self.tenant, self.parent_key)

    def define_agents(self, uuids: str) -> None:
        """Give the coordination agents of one letter each, and create a task to start."""
        top = self.parent_key[1] if self.parent is COORDINATION else self.parent_key[0]
        agents = [{"agent_uuid": each} for each in uuids]
        key = (self.tenant, top)
        self.records.write(
            COORDINATION, self.tenant, key, lambda parent, new: {"agents": agents}, parent_key=None
        )
        self.put(TASK, (top, "task"), key)

    def start(self, store: Store) -> Work:
        def work(records: Repository) -> Any:
            app = replace(store.app, records=records)
            return execute_procedure(app, self.tenant, Start(self.parent_key[1], "task"))

        return work

    def drop_task(self) -> None:
        """Delete the task, which would keep the coordination from being deleted."""
        guards.delete(self.records, TASK, self.tenant, (self.parent_key[1], "task"))

    @property
    def looks(self) -> int:
        """The number of queries for children that the delete makes."""
        return sum(self.records.table(each).shards for each in self.parent.guards)

    # Reads

    def parent_item(self) -> Any:
        return self.records.table(self.parent).get(self.tenant, self.parent_key, consistent=True)

    def child_items(self) -> list[Any]:
        return list(
            self.records.table(self.child).query_all(
                self.tenant, self.parent_key[1], consistent=True
            )
        )

    def sweep(self) -> None:
        """Remove children that were rolled back, as the sweep does."""
        for each in self.child_items():
            guards.swept(self.records, self.child, self.tenant, each)

    def check(self, *outcomes: Any) -> None:
        """Check the promise after all works have ended."""
        children, parent = self.child_items(), self.parent_item()
        self.records.resolve_starts(children, consistent=True)
        assert [each for each in children if each.unconfirmed is not None] == []
        if parent is None:
            assert children == []
        else:
            assert parent.deleting is None
        for outcome in outcomes:
            assert not isinstance(outcome, BaseException) or isinstance(
                outcome, NotFound | Conflict | HasDependents
            )
        created = [outcome for outcome in outcomes if isinstance(outcome, Record)]
        assert len(children) == len(created)  # what was acknowledged is there
        assert (parent is None) is (None in outcomes)  # `delete` returns None when it deleted
