"""Payloads open themselves: an attribute answers its value wherever that lives, read once."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.meter import BLOB, BLOB_KB, Meter
from ai_coordination_engine.store.models import Task
from ai_coordination_engine.store.payload import BlobReference, ReadOnce
from ai_coordination_engine.store.records.entities import TASK
from ai_coordination_engine.store.tables.table import Refused, Table
from tests.kit.stage import TENANT, Stage, stage_of

LARGE = {"text": "x" * 5_000}


@pytest.fixture
def stage(shared_app: App) -> Stage:
    return stage_of(shared_app, inline_limit=2000)


class Tasks:
    """The table of tasks, with one task whose actions live in a blob."""

    def __init__(self, stage: Stage) -> None:
        self.records, self.blobs = stage.app.records, stage.blobs
        self.table: Table[Task] = self.records.table(TASK)
        self.key = (str(uuid4()), "t")
        values = {"agent_actions": LARGE, "task_name": "short"}
        stored_values = self.records.store(TASK, TENANT, self.key, values)
        self.reference: BlobReference = stored_values["agent_actions"]
        self.task = Task(*self.key, partition_key=TENANT, **stored_values)
        self.table.put(self.task, Task.task_uuid.does_not_exist())

    def get(self) -> Task:
        found = self.table.get(TENANT, self.key)
        assert found is not None
        return found

    def put_anew(self) -> Task:
        task = Task(self.key[0], str(uuid4()), partition_key=TENANT, agent_actions=self.reference)
        self.table.put_new(task)
        return task

    def put_many(self) -> Task:
        task = Task(self.key[0], str(uuid4()), partition_key=TENANT, agent_actions=self.reference)
        self.table.put_many([task])
        return task

    def refused(self) -> Task:
        with pytest.raises(Refused) as refused:
            self.table.update(TENANT, self.key, [], Task.task_name == "long")
        old: Task = refused.value.old
        return old

    def updated(self) -> Task:
        named = [Task.task_name.set("new")]
        return self.table.update(TENANT, self.key, named, Task.task_uuid.exists())


READERS: dict[str, Callable[[Tasks], Task]] = {
    "get": Tasks.get,
    "get many": lambda tasks: tasks.table.get_many(TENANT, [tasks.key])[tasks.key],
    "query": lambda tasks: tasks.table.query(TENANT, tasks.key[0])[0][0],
    "query all": lambda tasks: next(tasks.table.query_all(TENANT, tasks.key[0])),
    "query an index": lambda tasks: next(
        each
        for each in tasks.table.query_index("by_tenant", TENANT)[0]
        if each.coordination_uuid == tasks.key[0]
    ),
    "put": lambda tasks: tasks.task,
    "put new": Tasks.put_anew,
    "put many": Tasks.put_many,
    "refused": Tasks.refused,
    "update": Tasks.updated,
    "delete": lambda tasks: tasks.table.delete(TENANT, tasks.key, Task.task_uuid.exists()),
    "repository": lambda tasks: tasks.records.get(TASK, TENANT, tasks.key),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=[*READERS])
def test_an_attribute_opens_itself_once_wherever_its_record_comes_from(
    reader: Callable[[Tasks], Task], stage: Stage
) -> None:
    tasks = Tasks(stage)
    task = reader(tasks)
    assert (task.stored("agent_actions"), stage.blobs.gets) == (tasks.reference, [])
    assert task.agent_actions == task.agent_actions == LARGE
    assert task.read("agent_actions") == LARGE
    assert stage.blobs.gets == [tasks.reference.key]


def test_what_is_inline_or_absent_needs_no_blob(stage: Stage) -> None:
    task = Task("c", "t", agent_actions={"a": 1})
    for read in (task.load_payload, task.read, task.stored):
        assert (read("agent_actions"), read("task_description")) == ({"a": 1}, None)
    assert task.deferred("agent_actions")() == {"a": 1}


def test_a_name_that_is_no_attribute_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Task("c", "t").stored("agent_action")


def test_a_record_that_was_never_stored_cannot_open_a_reference() -> None:
    task = Task("c", "t", agent_actions=BlobReference("somewhere"))
    with pytest.raises(RuntimeError, match="This task is not stored"):
        _ = task.agent_actions


def test_reading_without_keeping_reads_each_time(stage: Stage) -> None:
    tasks = Tasks(stage)
    task = tasks.get()
    deferred = task.deferred("agent_actions")
    assert [task.read("agent_actions"), deferred(), deferred()] == [LARGE] * 3
    assert stage.blobs.gets == [tasks.reference.key] * 3


def test_a_new_value_takes_the_place_of_what_was_loaded(stage: Stage) -> None:
    task = Tasks(stage).get()
    assert task.agent_actions == LARGE
    task.agent_actions = {"b": 2}
    assert (task.agent_actions, task.stored("agent_actions")) == ({"b": 2}, {"b": 2})


def test_an_opened_record_is_stored_as_it_was(stage: Stage) -> None:
    tasks = Tasks(stage)
    task, unread = tasks.get(), tasks.get()
    assert task.agent_actions == LARGE
    assert task.serialize() == unread.serialize()
    assert Task.from_raw_data(task.serialize()).stored("agent_actions") == tasks.reference
    tasks.table.put(task, Task.task_uuid.exists())
    assert tasks.get().stored("agent_actions") == tasks.reference
    tasks.table.put(task, Task.task_uuid.does_not_exist())  # the very item: an answer was lost


def test_what_a_request_opens_is_charged_to_it(stage: Stage) -> None:
    tasks, meter = Tasks(stage), Meter()
    metered = tasks.table.metered(meter)
    task, other = metered.get(TENANT, tasks.key), tasks.get()
    before = meter.cost
    assert task is not None
    assert task.agent_actions == other.agent_actions == LARGE
    size = len(stage.blobs.kept[tasks.reference.key])
    assert meter.cost - before == pytest.approx(BLOB + size * BLOB_KB / 1000)


def test_what_many_records_share_is_read_once(stage: Stage) -> None:
    tasks = Tasks(stage)
    shared = [tasks.get(), tasks.get(), tasks.put_anew()]
    own: Any = Task("c", "t", agent_actions={"a": 1})
    read = ReadOnce()
    values = [read(each, "agent_actions") for each in [*shared, own]]
    assert values == [LARGE] * 3 + [{"a": 1}]
    assert stage.blobs.gets == [tasks.reference.key]
