"""What stands under a key again keeps its blobs, whoever is still removing those of what stood
there before.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits import people as resume
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    ENTITIES,
    SESSION_AGENT,
    TASK,
    Entity,
)
from tests.kit.crashes import Crash, tripping
from tests.kit.stage import TENANT, Stage, stage_of

LARGE = "x" * 5_000
LARGE_ONES = [entity for entity in ENTITIES if entity.model.payload_names()]
each_entity = pytest.mark.parametrize(
    "entity", LARGE_ONES, ids=lambda entity: entity.name.replace(" ", "_")
)


@pytest.fixture
def stage(shared_app: App) -> Stage:
    return stage_of(shared_app, inline_limit=2000)


class Place:
    """A key, below a parent of its own, and what is done there."""

    def __init__(self, stage: Stage, entity: Entity) -> None:
        self.records, self.blobs, self.entity = stage.app.records, stage.blobs, entity
        self.name = entity.model.payload_names()[-1]
        coordination, parent = str(uuid4()), str(uuid4())
        self.parent_key: Key | None = None
        self.key = (TENANT, coordination)
        if above := entity.parent:
            self.parent_key = self.key
            self.records.create(
                COORDINATION, TENANT, self.parent_key, lambda *_: {}, parent_key=None
            )
            if above is not COORDINATION:
                self.parent_key = (coordination, parent)
                self.records.create(
                    above, TENANT, self.parent_key, lambda *_: {}, parent_key=(TENANT, coordination)
                )
            self.key = (self.parent_key[1], "own")

    def create(self, value: Any = LARGE) -> Any:
        content = {self.name: value}
        return self.records.create(
            self.entity, TENANT, self.key, lambda *_: content, parent_key=self.parent_key
        )

    def write(self, value: Any = LARGE) -> Any:
        content = {self.name: value}
        return self.records.write(
            self.entity, TENANT, self.key, lambda *_: content, parent_key=self.parent_key
        )

    def delete(self) -> None:
        guards.delete(self.records, self.entity, TENANT, self.key)

    def value(self) -> Any:
        found = self.records.get(self.entity, TENANT, self.key, consistent=True)
        return getattr(found, self.name)


def create(place: Place) -> None:
    place.create()


def write(place: Place) -> None:
    place.write()


def create_and_update(place: Place) -> None:
    place.create("short")
    place.write()


def meanwhile(stage: Stage, name: str, do: Callable[[], object]) -> None:
    """Do this, once, when the next call of this name reaches the blobs, and before it has an
    effect.
    """
    call = getattr(stage.blobs, name)

    def late(*arguments: Any) -> None:
        setattr(stage.blobs, name, call)
        do()
        call(*arguments)

    setattr(stage.blobs, name, late)


@each_entity
@pytest.mark.parametrize("again", [create, write, create_and_update])
def test_a_late_delete_takes_nothing_of_what_was_created_anew(
    entity: Entity, again: Callable[[Place], None], stage: Stage
) -> None:
    place = Place(stage, entity)
    again(place)
    meanwhile(stage, "delete_all", lambda: again(place))
    place.delete()
    assert place.value() == LARGE
    assert len(stage.blobs.kept) == 1  # what was deleted is gone
    place.delete()
    assert stage.blobs.kept == {}


@each_entity
def test_an_update_of_what_is_deleted_meanwhile_leaves_nothing(
    entity: Entity, stage: Stage
) -> None:
    place = Place(stage, entity)
    place.create("short")

    def replace() -> None:
        place.delete()
        place.create("new")

    meanwhile(stage, "put", replace)
    with pytest.raises(Conflict, match="created it anew"):
        place.write()
    assert (place.value(), stage.blobs.kept) == ("new", {})
    meanwhile(stage, "put", place.delete)
    place.write()  # as a new one
    assert (place.value(), len(stage.blobs.kept)) == (LARGE, 1)


def test_an_update_costs_a_read_more_when_it_is_large_alone(stage: Stage) -> None:
    place = Place(stage, TASK)
    place.create()
    stage.requests.clear()
    place.write("short")
    assert stage.requests == {"UpdateItem": 1}
    stage.requests.clear()
    place.write()
    assert stage.requests == {"GetItem": 1, "UpdateItem": 1}


def test_what_was_stored_without_a_nonce_keeps_its_place(stage: Stage) -> None:
    place = Place(stage, TASK)
    place.create("short")
    table = place.records.table(TASK)
    table.update(TENANT, place.key, [table.model.nonce.remove()], table.model.nonce.exists())
    written = place.write().stored(place.name)
    assert isinstance(written, BlobReference)
    assert written.key.startswith(blob_prefix(TASK, TENANT, place.key, None))
    place.delete()
    assert stage.blobs.kept == {}


def work(stage: Stage) -> None:
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(stage.app, delivery.wake)


def answer(stage: Stage) -> None:
    work(stage)
    (agent,) = stage.agents(stage.queue.sent[-1].session_uuid)
    resume.execute_for_user_input(
        stage.app, TENANT, agent.session_uuid, agent.session_agent_uuid, LARGE
    )


@pytest.mark.parametrize(("does", "action"), [(work, {}), (answer, {"user_in_the_loop": "boss"})])
def test_agents_leave_no_blob_wherever_their_worker_died(
    does: Callable[[Stage], None], action: dict[str, Any], stage: Stage
) -> None:
    stage.runtime.behaviours["a"] = lambda request: LARGE
    point, stored = 1, 0
    while True:
        session = stage.start(stage.define({"a": ""}, actions={"a": action}))
        with tripping(stage, point) as tripwire, suppress(Crash):
            does(stage)
        stored += bool(stage.blobs.kept)
        for each in stage.agents(session.session_uuid):
            guards.delete(
                stage.app.records,
                SESSION_AGENT,
                TENANT,
                (each.session_uuid, each.session_agent_uuid),
            )
        assert stage.blobs.kept == {}, point
        stage.renew(behaviours=stage.runtime.behaviours)
        if not tripwire.trips:
            break
        point += 1
    assert stored > 3


@pytest.mark.parametrize("output", [LARGE, "short"])
def test_an_agent_that_is_deleted_while_it_runs_leaves_neither_run_nor_output(
    output: str, stage: Stage
) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))

    def delete(request: AgentRequest) -> str:
        guards.delete(
            stage.app.records,
            SESSION_AGENT,
            TENANT,
            (request.session_uuid, request.session_agent_uuid),
        )
        return output

    stage.runtime.behaviours["a"] = delete
    stage.drain()
    assert stage.states(session.session_uuid) == {"b": "initial"}
    assert (stage.blobs.kept, stage.runs(session.session_uuid)) == ({}, [])
