"""Starts and forks that are taken back, repeated or overtaken: nothing of them is adopted, run or
left.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.errors import Conflict, NotFound
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
)
from ai_coordination_engine.store.transitions import counter_shards
from benchmarks.harness.memory import Database
from tests.kit.controls import fork_from
from tests.kit.crashes import Crash, tripping
from tests.kit.promises import check_promises
from tests.kit.records import items
from tests.kit.stage import TENANT, Stage, stage_of

MINUTE = 61
PLAN = {"a": "", "b": "a"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def forget(stage: Stage, names: tuple[str, str]) -> None:
    """Somebody deletes the task and its coordination."""
    guards.delete(stage.app.records, TASK, TENANT, names)
    guards.delete(stage.app.records, COORDINATION, TENANT, (TENANT, names[0]))


def again(stage: Stage, names: tuple[str, str]) -> None:
    """And creates them once more under the same uuids."""
    content = {"agents": [{"agent_uuid": each} for each in PLAN], "updated_by": "me"}
    work = {
        "task_name": "t",
        "agent_actions": {"b": {"predecessors": ["a"]}},
        "initial_task_query": "begin",
    }
    stage.app.records.create(
        COORDINATION, TENANT, (TENANT, names[0]), lambda *_: content, parent_key=None
    )
    stage.app.records.create(TASK, TENANT, names, lambda *_: work, parent_key=(TENANT, names[0]))


def just_before(
    stage: Stage, name: str, act: Callable[[], Any], then: Callable[[str], None]
) -> None:
    """Have `act` happen before the first side effect of this name, and `then` at every one from
    there on.
    """

    def reach(reached: str) -> None:
        if reached == name:
            stage.boundary.reach = lambda name: None
            act()
            stage.boundary.reach = then

    stage.boundary.reach = reach


def swept(stage: Stage) -> None:
    """Some time passes and the sweep comes, until nothing is left to do."""
    stage.boundary.reach = lambda name: None
    stage.clock.advance(stage.app.settings.watch_seconds + 1)
    while sweep(stage.app):
        pass


def uuids(stage: Stage, session_uuid: str) -> list[str]:
    return [each.agent_uuid for each in stage.agents(session_uuid)]


def every_point(stage: Stage, history: Callable[[], None]) -> Iterator[int]:
    """`history` begins with a crash that is yet to come, at one point after the other."""
    point = 1
    while True:
        with tripping(stage, point) as tripwire, suppress(Crash):
            history()
        yield point
        if not tripwire.trips:
            return
        point += 3


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
@pytest.mark.parametrize("swept_before", [False, True], ids=["at once", "after the sweep"])
def test_a_second_start_runs_the_plan_once_wherever_the_one_that_was_taken_back_died(
    stage: Stage, swept_before: bool
) -> None:
    """The coordination went away while the first start was slow: its reservation was swept, its
    agents come late.
    """
    point = 1
    while True:
        names = stage.define(PLAN)
        with tripping(stage) as tripwire:
            tripwire._trip_at = (point,)  # counted from where the start goes on

            def gone(names: tuple[str, str] = names) -> None:
                stage.clock.advance(MINUTE)
                forget(stage, names)

            just_before(stage, "BatchWriteItem", gone, tripwire)
            with suppress(Crash, NotFound, Conflict):
                stage.start(names, session_uuid=names[1])
        assert stage.looking.get(SESSION, TENANT, (names[0], names[1]), consistent=True) is None
        if swept_before:
            swept(stage)
        again(stage, names)
        stage.runtime.requests.clear()
        session = stage.start(names, session_uuid=names[1])
        stage.drain()
        assert stage.runtime.ran() == ["a", "b"]
        check_promises(stage, session)
        assert uuids(stage, names[1]) == ["a", "b"]
        if not tripwire.trips:
            break
        point += 1
    # its agents are written, the first too, it looks, and puts its reservation back
    assert point == 10


def test_a_fork_that_is_taken_back_leaves_nothing_and_its_uuid_is_free(stage: Stage) -> None:
    source = stage.start(stage.define(PLAN))
    stage.drain()
    point = 1
    while True:
        for _ in range(2):  # forks of before that had to be looked after
            swept(stage)
        before = items(stage.app)
        uuid = f"fork-{point}"
        with tripping(stage) as tripwire:
            tripwire._trip_at = (point,)

            def gone(uuid: str = uuid) -> None:
                stage.clock.advance(MINUTE)
                reserved = stage.looking.table(SESSION).get(
                    TENANT, (source.coordination_uuid, uuid), consistent=True
                )
                assert guards.swept(stage.app.records, SESSION, TENANT, reserved)

            just_before(stage, "BatchWriteItem", gone, tripwire)
            with suppress(Crash, Conflict):
                fork_from(stage, source, "a", new_session_uuid=uuid)
        if not tripwire.trips:
            swept(stage)
            assert items(stage.app) == before
        stage.runtime.requests.clear()
        forked = fork_from(stage, source, "a", new_session_uuid=uuid)
        stage.drain()
        assert stage.runtime.ran() == ["a", "b"]
        assert uuids(stage, uuid) == ["a", "b"]
        check_promises(stage, forked)
        if not tripwire.trips:
            break
        point += 1
    assert point == 8


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_the_sweep_removes_a_dead_start_whole_wherever_it_dies_itself(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", 2)
    stage = stage_of(app, inline_limit=256)
    many = dict.fromkeys("bcd", "a")  # three are a wide join, and many sinks
    names = stage.define({"a": "", **many, "z": "bcd", "y": "a", "x": "a"}, query="q" * 5_000)
    before, blobs = items(app), set(stage.blobs.kept)
    died: list[int] = []

    def history() -> None:
        stage.boundary.reach, tripwire = (lambda name: None), stage.boundary.reach
        with tripping(stage, 16), suppress(Crash):  # before it is confirmed
            stage.start(names, session_uuid="mine")
        assert items(app) != before
        stage.clock.advance(stage.app.settings.watch_seconds + 1)
        stage.boundary.reach = tripwire
        died.append(sweep(stage.app))

    for _ in every_point(stage, history):
        swept(stage)
        assert items(app) == before
        assert set(stage.blobs.kept) == blobs
    assert len(died) == 1


@pytest.mark.parametrize("agents", [1, 60])
def test_a_start_and_a_fork_with_chosen_uuids_write_in_batches(stage: Stage, agents: int) -> None:
    subtasks = [{"agent_uuid": "a", "subtask_query": str(number)} for number in range(agents)]
    names = stage.define({"a": ""}, subtasks=subtasks)
    stage.requests.clear()
    session = stage.start(names, session_uuid="mine")
    batches = {"BatchWriteItem": -(-(agents - 1) // 25)} if agents > 1 else {}
    assert stage.requests == {"GetItem": 3, "Query": 1, "PutItem": 2, **batches}
    stage.requests.clear()
    fork_from(stage, session, None, new_session_uuid="fork")
    assert (stage.requests["PutItem"], stage.requests["BatchWriteItem"]) == (1, -(-agents // 25))


def test_what_an_overtaken_start_has_written_is_removed(stage: Stage, app_home: str) -> None:
    """Somebody sends the same start again while the first is slow; the second is faster."""
    names = stage.define(PLAN)
    before = items(stage.app)
    second: list[Session] = []
    point = 1
    while True:
        uuid = f"mine-{point}"
        reached = 0

        def reach(name: str, uuid: str = uuid, point: int = point) -> None:
            nonlocal reached
            reached += 1
            if reached == point:
                stage.boundary.reach = lambda name: None
                second.append(stage.start(names, session_uuid=uuid))

        stage.boundary.reach = reach
        first = stage.start(names, session_uuid=uuid)
        stage.boundary.reach = lambda name: None
        stage.runtime.requests.clear()
        stage.drain()
        assert stage.runtime.ran() == ["a", "b"]
        assert uuids(stage, uuid) == ["a", "b"]
        check_promises(stage, first)
        if len(second) < point:
            break
        point += 1
    assert point == {"dynamodb": 17, "sqlite": 8}[app_home]
    swept(stage)
    assert set(items(stage.app)) == set(before)


LARGE = "q" * 5_000


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_start_keeps_its_large_values_beside_the_sweep_of_one_that_was_taken_back(
    app: App,
) -> None:
    stage = stage_of(app, inline_limit=256)
    names = stage.define(PLAN)
    with tripping(stage, 12), suppress(Crash):  # before it is confirmed
        stage.start(names, session_uuid="mine", task_query=LARGE)
    dead = stage.looking.table(SESSION).get(TENANT, (names[0], "mine"), consistent=True)
    stage.app.sessions.take_back(dead)
    session = stage.start(names, session_uuid="mine", task_query=LARGE)
    stage.drain()
    assert stage.runtime.ran() == ["a", "b"]
    assert stage.session(session).task_query == LARGE
    assert not [each for each in stage.blobs.kept if dead.nonce in each]


def test_a_start_keeps_its_large_values_beside_the_delete_of_a_session_of_its_uuid(
    app: App,
) -> None:
    stage = stage_of(app, inline_limit=256)
    names = stage.define({"a": ""})
    first = stage.start(names, session_uuid="mine", task_query=LARGE)
    stage.drain()
    for entity, each in ((SESSION_RUN, stage.runs("mine")), (SESSION_AGENT, stage.agents("mine"))):
        guards.remove_many(stage.app.records, entity, TENANT, each)
    started: list[Session] = []
    reached: list[str] = []

    def start_again(name: str) -> None:
        reached.append(name)
        if reached.count("DeleteItem") == 2:  # the session is gone, its blobs are not
            stage.boundary.reach = lambda name: None
            started.append(stage.start(names, session_uuid="mine", task_query=LARGE))

    stage.boundary.reach = start_again
    guards.delete(stage.app.records, SESSION, TENANT, (names[0], "mine"))
    assert started[0].nonce != first.nonce
    stage.drain()
    assert stage.session(started[0]).task_query == LARGE
    assert not [each for each in stage.blobs.kept if first.nonce in each]


def test_a_start_that_joins_another_or_is_refused_leaves_no_large_values(app: App) -> None:
    stage = stage_of(app, inline_limit=256)
    names = stage.define(PLAN)
    stage.start(names, session_uuid="mine", task_query=LARGE)
    blobs = set(stage.blobs.kept)
    stage.start(names, session_uuid="mine", task_query=LARGE)
    with pytest.raises(Conflict):
        stage.start(names, session_uuid="mine", task_query=LARGE + "another")
    assert set(stage.blobs.kept) == blobs


@pytest.mark.parametrize("dies", [False, True], ids=["confirms", "dies"])
def test_a_start_that_is_joined_while_its_answer_is_lost_keeps_its_large_values(
    app: App, aws: Database, dies: bool
) -> None:
    stage = stage_of(app, inline_limit=256)
    names = stage.define(PLAN)

    def join(operation: str) -> bool:
        if operation == "PutItem":
            aws.repeats = lambda operation: False
            with tripping(stage, *([14] if dies else [])), suppress(Crash):
                stage.start(names, session_uuid="mine", task_query=LARGE)
        return operation == "PutItem"

    aws.repeats = join
    session = stage.start(names, session_uuid="mine", task_query=LARGE)
    assert stage.session(session).task_query == LARGE
    stage.drain()
    assert stage.runtime.ran() == ["a", "b"]


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_slow_start_leaves_nothing_below_the_session_that_a_client_wrote_meanwhile(
    stage: Stage,
) -> None:
    names = stage.define(PLAN)
    key = (names[0], "mine")

    def meanwhile() -> None:
        stage.clock.advance(MINUTE)
        reserved = stage.looking.table(SESSION).get(TENANT, key, consistent=True)
        assert guards.swept(stage.app.records, SESSION, TENANT, reserved)
        content = {"status": "initial", "updated_by": "me"}
        stage.app.records.create(
            SESSION, TENANT, key, lambda *_: content, parent_key=(TENANT, key[0])
        )

    just_before(stage, "BatchWriteItem", meanwhile, lambda name: None)
    with pytest.raises(Conflict):
        stage.start(names, session_uuid="mine")
    assert len(stage.agents("mine")) == 2
    swept(stage)
    assert stage.agents("mine") == []
    guards.delete(stage.app.records, SESSION, TENANT, key)


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_start_goes_on_where_one_of_an_earlier_version_died(stage: Stage) -> None:
    names = stage.define(PLAN)
    with tripping(stage, 12), suppress(Crash):  # before it is confirmed
        stage.start(names, session_uuid="mine")
    no_nonce = [Session.nonce.remove()]
    stage.app.records.table(SESSION).update(
        TENANT, (names[0], "mine"), no_nonce, Session.unconfirmed.exists()
    )
    session = stage.start(names, session_uuid="mine")
    stage.drain()
    check_promises(stage, session)
    assert uuids(stage, "mine") == ["a", "b"]


def test_a_delete_that_died_keeps_no_start_from_finding_its_session(stage: Stage) -> None:
    names = stage.define(PLAN)
    session = stage.start(names, session_uuid="mine")
    stage.drain()
    with tripping(stage, 3), pytest.raises(Crash):
        guards.delete(stage.app.records, SESSION, TENANT, (names[0], "mine"))
    assert stage.session(session).deleting is not None
    with pytest.raises(Conflict):
        stage.start(names, session_uuid="mine")
    stage.clock.advance(MINUTE)
    assert stage.start(names, session_uuid="mine").nonce == session.nonce


def test_a_start_does_not_join_a_fork_of_its_uuid(stage: Stage) -> None:
    names = stage.define(PLAN)
    source = stage.start(names)
    stage.drain()
    with tripping(stage, 10), suppress(Crash):  # before it is confirmed
        fork_from(stage, source, "b", new_session_uuid="mine")
    reserved = stage.looking.table(SESSION).get(TENANT, (names[0], "mine"), consistent=True)
    assert (reserved.unconfirmed is not None, reserved.restart) == (True, {"kept": [0]})
    with pytest.raises(Conflict):
        stage.start(names, session_uuid="mine")
    stage.runtime.requests.clear()
    fork_from(stage, source, "b", new_session_uuid="mine")
    stage.drain()
    assert stage.runtime.ran() == ["b"]
