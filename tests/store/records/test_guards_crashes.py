"""Promise P1 when processes die or stand still: no orphan survives, and nobody is blocked for long.

Each test runs in memory and on Amazon's DynamoDB Local.
"""

from dataclasses import replace

import pytest

from ai_coordination_engine.errors import Conflict, CoordinationError, HasDependents, NotFound
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT, TASK, Entity
from tests.kit.dynamodb_local import Store
from tests.kit.interleave import Killed, Process, Work, every_death, some_schedules
from tests.kit.scene import LIFETIME, Scene, every_child


@pytest.fixture(scope="module")
def processes(store: Store) -> tuple[Process, ...]:
    return tuple(Process(records) for records in store.processes)


@every_child
def test_a_crashed_creator_leaves_nothing_to_see_and_nothing_that_stays(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    creator, scene, deaths = processes[0], Scene.of(store, child), []

    def work() -> Work:
        nonlocal scene
        scene = Scene.of(store, child)
        return scene.create()

    for calls in every_death(creator, work):
        deaths.append(calls)
        assert store.records.get(child, scene.tenant, (scene.parent_key[1], "child")) is None
        if calls:
            (left,) = scene.child_items()
            assert left.unconfirmed is not None
            with pytest.raises(HasDependents):  # it may still be alive
                scene.delete()(store.records)
            assert scene.parent_item().deleting is None
        store.clock.advance(LIFETIME)
        assert scene.delete()(store.records) is None
        scene.check(None)
    assert deaths == [0, 1, 2]


@every_child
def test_a_crashed_create_can_be_repeated_once_its_reservation_expired(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    scene = Scene.of(store, child)
    for steps in (1, 2):
        processes[0].start(scene.create(f"child {steps}"))
        for _ in range(steps):
            processes[0].step()
        processes[0].kill()
        with pytest.raises(Conflict, match="Somebody else is creating this"):
            scene.create(f"child {steps}")(store.records)
        store.clock.advance(LIFETIME)
        assert scene.create(f"child {steps}")(store.records).updated_by == f"child {steps}"
    assert [each.unconfirmed for each in scene.child_items()] == [None, None]


@every_child
def test_a_crashed_delete_keeps_nobody_from_creating(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    scene, deaths = Scene.of(store, child), []

    def work() -> Work:
        nonlocal scene
        scene = Scene.of(store, child)
        return scene.delete()

    for calls in every_death(processes[0], work):
        deaths.append(calls)
        assert store.records.get(scene.parent, scene.tenant, scene.parent_key) is not None
        if calls:
            with pytest.raises(Conflict, match="Somebody else is deleting this"):
                scene.delete()(store.records)
        if calls % 2:
            store.clock.advance(LIFETIME)
        made = scene.create()(store.records)
        scene.check(made)
        with pytest.raises(HasDependents):
            scene.delete()(store.records)
    assert deaths == list(range(scene.looks + 2))


@every_child
def test_a_delete_is_taken_over_once_its_tombstone_expired(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    scene, slow = Scene.of(store, child), processes[0]
    slow.start(scene.delete())
    slow.step()
    store.clock.advance(LIFETIME)
    assert scene.delete()(store.records) is None
    assert slow.finish() is None  # what it was to do has been done
    scene.check(None)


@every_child
def test_a_child_that_is_written_calls_off_the_delete_that_has_looked(
    child: Entity, store: Store, processes: tuple[Process, ...]
) -> None:
    scene, slow = Scene.of(store, child), processes[0]
    slow.start(scene.delete())
    for _ in range(scene.looks + 1):
        slow.step()  # it has looked and found nobody
    made = scene.create()(store.records)
    outcome = slow.finish()
    assert isinstance(outcome, HasDependents)
    assert outcome.extensions["dependents"] == {child.name: 1}
    scene.check(made, outcome)


@every_child
@pytest.mark.parametrize(("steps", "outcome"), [(1, NotFound), (2, Conflict)])
def test_a_slow_create_whose_reservation_was_swept_creates_nothing(
    steps: int,
    outcome: type[CoordinationError],
    child: Entity,
    store: Store,
    processes: tuple[Process, ...],
) -> None:
    scene, slow = Scene.of(store, child), processes[0]
    slow.start(scene.create())
    for _ in range(steps):
        slow.step()
    store.clock.advance(LIFETIME)
    assert scene.delete()(store.records) is None
    assert isinstance(slow.finish(), outcome)
    scene.check(None)


def test_a_crashed_start_leaves_nothing_to_see_and_nothing_that_stays(
    store: Store, processes: tuple[Process, ...]
) -> None:
    scene, deaths = Scene.of(store, SESSION), []

    def work() -> Work:
        nonlocal scene
        scene = Scene.of(store, SESSION)
        scene.define_agents("abc")
        return scene.start(store)

    for calls in every_death(processes[0], work):
        deaths.append(calls)
        tenant, uuid = scene.parent_key
        sessions = scene.child_items()
        assert [
            store.records.get(SESSION, tenant, (uuid, each.session_uuid)) for each in sessions
        ] == [None for _ in sessions]
        scene.drop_task()
        if sessions:
            with pytest.raises(HasDependents):
                scene.delete()(store.records)
        store.clock.advance(LIFETIME)
        assert scene.delete()(store.records) is None
        scene.check(None)
        for each in sessions:
            assert (
                list(
                    store.records.table(SESSION_AGENT).query_all(
                        each.partition_key, each.session_uuid
                    )
                )
                == []
            )
    assert deaths == [0, 1, 2, 3, 4, 5]


def test_a_slow_start_is_swept_whole_or_not_at_all(
    store: Store, processes: tuple[Process, ...]
) -> None:
    starter, deleter = processes[:2]
    seen = set()
    for choose in some_schedules(40, seed=6):
        scene = Scene.of(store, SESSION)
        scene.define_agents("ab")
        starter.start(scene.start(store))
        for _ in range(5):
            starter.step()
        (session,) = scene.child_items()
        assert session.unconfirmed is not None
        scene.drop_task()
        store.clock.advance(LIFETIME)
        deleter.start(scene.delete())
        while running := [each for each in (0, 1) if not processes[each].done]:
            processes[choose(running)].step()
        scene.sweep()
        scene.check(starter.outcome, deleter.outcome)
        agents = list(
            store.records.table(SESSION_AGENT).query_all(
                session.partition_key, session.session_uuid
            )
        )
        assert len(agents) == (2 if isinstance(starter.outcome, Record) else 0)
        seen.add((type(starter.outcome).__name__, type(deleter.outcome).__name__))
    assert seen == {("Session", "HasDependents"), ("Conflict", "NoneType")}


def test_another_tenants_reservation_holds_nobody_back(
    store: Store, processes: tuple[Process, ...]
) -> None:
    scene = Scene.of(store, TASK)
    stranger = replace(scene, tenant="stranger")
    processes[0].start(stranger.create("theirs"))
    processes[0].step()
    processes[0].kill()
    assert scene.delete()(store.records) is None


def test_nothing_of_a_killed_process_runs_on(store: Store, processes: tuple[Process, ...]) -> None:
    scene = Scene.of(store, TASK)
    processes[0].start(scene.create())
    processes[0].step()
    processes[0].kill()
    assert isinstance(processes[0].outcome, Killed)
    assert len(scene.child_items()) == 1
