"""Promise P1: no child survives under a deleted parent, no parent with a child is deleted, whatever
interleaves.

Each test runs in memory and on Amazon's DynamoDB Local.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.errors import Conflict, CoordinationError
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    TASK,
    TASK_SCHEDULE,
    Entity,
)
from ai_coordination_engine.store.records.repository import Repository
from tests.kit.dynamodb_local import Store
from tests.kit.interleave import Process, every_schedule, play, some_schedules
from tests.kit.scene import LIFETIME, Scene, every_child


@pytest.fixture(scope="module")
def processes(store: Store) -> tuple[Process, ...]:
    return tuple(Process(records) for records in store.processes)


# Interleavings


@every_child
def test_one_creator_and_one_deleter_in_every_order(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    outcomes = set()
    for choose in every_schedule():
        scene = Scene.of(store, child)
        both = play(processes[:2], [scene.create(), scene.delete()], choose)
        scene.check(*both)
        outcomes.add(tuple(type(each).__name__ for each in both))
    # never both refused: a child that is written calls off the delete that it sees
    assert outcomes == {("NotFound", "NoneType"), (child.model.__name__, "HasDependents")}


@every_child
def test_a_second_deleter_and_a_second_creator_change_nothing_about_it(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    for choose in some_schedules(12, seed=1):
        scene = Scene.of(store, child)
        scene.check(*play(processes, [scene.create(), scene.delete(), scene.delete()], choose))
    for choose in some_schedules(12, seed=2):
        scene = Scene.of(store, child)
        scene.check(
            *play(processes, [scene.create("one"), scene.create("two"), scene.delete()], choose)
        )


@pytest.mark.parametrize(
    "child", [TASK_SCHEDULE, SESSION], ids=lambda entity: entity.name.replace(" ", "_")
)
def test_a_pause_of_any_process_at_any_point_breaks_nothing(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    """Time is one more process of one step, in which reservations and tombstones expire."""

    def time_passes(records: Repository) -> str:
        records.table(COORDINATION).get("no", ("no", "body"))  # the call at which the step begins
        store.clock.advance(LIFETIME)
        return "later"

    for choose in some_schedules(60, seed=3):
        scene = Scene.of(store, child)
        creator, deleter, _ = play(processes, [scene.create(), scene.delete(), time_passes], choose)
        scene.check(creator, deleter)


def test_starting_a_session_and_deleting_its_coordination_in_many_orders(
    store: Store, processes: tuple[Process, ...]
) -> None:
    starter, deleter = processes[:2]
    seen = set()
    for choose in some_schedules(30, seed=4):
        scene = Scene.of(store, TASK)
        uuid = scene.parent_key[1]
        scene.define_agents("ab")
        starter.start(scene.start(store))
        starter.step()
        starter.step()  # it has read the coordination and the task
        scene.drop_task()
        deleter.start(scene.delete())
        while running := [each for each in (0, 1) if not processes[each].done]:
            processes[choose(running)].step()
        replace(scene, child=SESSION).sweep()
        sessions = list(store.records.table(SESSION).query_all(scene.tenant, uuid, consistent=True))
        replace(scene, child=SESSION).check(starter.outcome, deleter.outcome)
        for session in sessions:
            assert session.status == "dispatched"
            agents = store.records.table(SESSION_AGENT).query_all(
                scene.tenant, session.session_uuid
            )
            assert len(list(agents)) == 2
        seen.add((type(starter.outcome).__name__, type(deleter.outcome).__name__))
    assert {("Session", "HasDependents"), ("NotFound", "NoneType")} <= seen


def test_asking_and_deleting_the_session_in_many_orders(
    store: Store, processes: tuple[Process, ...]
) -> None:
    seen = set()
    for choose in some_schedules(30, seed=5):
        scene = Scene.of(store, SESSION_AGENT)
        top, uuid = scene.parent_key
        scene.define_agents("a")

        def question(
            records: Repository, scene: Scene = scene, top: str = top, uuid: str = uuid
        ) -> Any:
            app = replace(store.app, records=records)
            return ask(app, scene.tenant, Question(top, "why?", session_uuid=uuid)).agent

        outcomes = play(processes[:2], [question, scene.delete()], choose)
        scene.check(*outcomes)
        seen.add(tuple(type(each).__name__ for each in outcomes))
    assert {("SessionAgent", "HasDependents"), ("NotFound", "NoneType")} <= seen


# Threads that nobody directs


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """The outcomes of works that begin at the same moment."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return work()
        except CoordinationError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


@every_child
def test_threads_that_create_and_delete_at_once_keep_the_promise(
    child: Entity, store: Store
) -> None:
    for _ in range(10):
        scene = Scene.of(store, child)
        works = [*(scene.create(str(each)) for each in range(3)), scene.delete(), scene.delete()]
        scene.check(*at_once([partial(work, store.records) for work in works]))


@every_child
def test_of_two_threads_that_create_one_record_one_succeeds(child: Entity, store: Store) -> None:
    scene, uuid = Scene.of(store, child), new_uuid(store.clock.now())
    first, second = at_once([partial(scene.create(uuid), store.records)] * 2)
    won = [each for each in (first, second) if isinstance(each, Record)]
    lost = [each for each in (first, second) if isinstance(each, Conflict)]
    assert (len(won), len(lost)) == (1, 1)
    (item,) = scene.child_items()
    assert (item.unconfirmed, item.updated_by) == (None, uuid)


def test_two_writers_of_different_attributes_of_one_record_both_succeed(store: Store) -> None:
    scene = Scene.of(store, TASK)
    key = (scene.parent_key[1], "child")
    scene.create()(store.records)

    def write(values: Mapping[str, str]) -> Any:
        return store.records.write(
            TASK, scene.tenant, key, lambda parent, new: values, parent_key=scene.parent_key
        )

    written = [{"task_name": "name"}, {"task_description": "what"}]
    outcomes = at_once([partial(write, values) for values in written])
    assert [type(each).__name__ for each in outcomes] == ["Task", "Task"]
    found = store.records.get(TASK, scene.tenant, key, consistent=True)
    assert (found.task_name, found.task_description, found.updated_by) == ("name", "what", "child")
