"""What is as large as it may be, and more: both homes answer alike (promise P11)."""

from collections.abc import Callable
from typing import Any

import pytest

from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.tables.table import Table
from ai_coordination_engine.store.tables.values import item_size
from tests.kit.table_operations import ALWAYS, Operation, S, answered, told

T = Table[TaskSchedule]
Call = Callable[[T, str], Any]
NEVER = S.task_uuid.exists() & S.task_uuid.does_not_exist()
FREE = S.task_uuid.does_not_exist()
ITEM_BYTES = 409_600


def schedule(tenant: str, uuid: str = "s", task: str = "t", **values: Any) -> TaskSchedule:
    return TaskSchedule(task, uuid, partition_key=tenant, **values)


def full(tenant: str, more: int = 0, **values: Any) -> TaskSchedule:
    """The largest schedule there may be, and a bit more."""
    bare = item_size(schedule(tenant, status="", **values).serialize())
    return schedule(tenant, status="x" * (ITEM_BYTES - bare + more), **values)


def answer(table: T, tenant: str, call: Call) -> Any:
    """What is answered in short: "refused", "invalid", "too large" or "done"."""
    found = answered(Operation("", call), table, tenant)
    if isinstance(found, tuple):
        return found[0]
    return found if isinstance(found, str) else "done"


def state(table: T, tenant: str) -> Any:
    return told(list(table.query_all(tenant, "t", consistent=True)))


def grown(more: int, needs: Any) -> Call:
    """An update that makes the largest item larger."""

    def call(table: T, tenant: str) -> Any:
        table.put(full(tenant, -10, run_count=1), ALWAYS)
        status = full(tenant, more, run_count=1).status
        return table.update(tenant, ("t", "s"), [S.status.set(status)], needs)

    return call


def in_transaction(*records: Callable[[str], TaskSchedule]) -> Call:
    return lambda table, tenant: table.database.write_together(
        [table.put_of(make(tenant), ALWAYS) for make in records]
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda table, of: table.put(full(of), ALWAYS), "done"),
        (lambda table, of: table.put(full(of, 1), ALWAYS), "too large"),
        (lambda table, of: table.put(full(of, 1), NEVER), "too large"),
        (lambda table, of: table.put(full(of, 1), FREE), "too large"),
        (lambda table, of: table.put(full(of), NEVER), "refused"),
        (lambda table, of: table.put_many([full(of)]), "done"),
        (lambda table, of: table.put_many([schedule(of, "a"), full(of, 1)]), "too large"),
        (grown(0, ALWAYS), "done"),
        (grown(1, ALWAYS), "too large"),
        (grown(-1000, NEVER), "refused"),
        (in_transaction(full), "done"),
        (in_transaction(schedule, lambda of: schedule(of, "a")), "done"),
        (in_transaction(lambda of: schedule(of, "a"), lambda of: full(of, 1)), "too large"),
        *(
            (
                lambda table, of, more=more, value=value: table.put(
                    full(of, more, **value), ALWAYS
                ),
                "too large" if more else "done",
            )
            for value in (
                {"fire_at": 0},
                {"fire_at": -12},
                {"fire_at": 1.5},
                {"fire_at": 123.456},
                {"fire_at": 1e100},
                {"fire_at": -1e-130},
                {"buffered": {1, 100, 12.5}},
                {"running": {"ü", "ab"}},
                {"task_query": [1, [True, None], {"a": "ü", "b": {}}]},
            )
            for more in (0, 1)
        ),
    ],
)
def test_an_item_has_at_most_so_many_bytes(
    table: T, tenant: str, call: Call, expected: str
) -> None:
    assert answer(table, tenant, call) == expected
    if expected != "done":
        before = full(tenant, -10, run_count=1)
        left = [len(each["status"]) for each in state(table, tenant)]
        assert left in ([], [len(before.status or "")])


def of_bytes(count: int, letter: str) -> str:
    return letter * (count // len(letter.encode())) + "x" * (count % len(letter.encode()))


@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f600", "\0"])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("which", ["hash", "range"])
@pytest.mark.parametrize(
    "call",
    [
        lambda table, of, task, uuid: table.put(schedule(of, uuid, task), ALWAYS),
        lambda table, of, task, uuid: table.put_many([schedule(of, uuid, task)]),
        lambda table, of, task, uuid: table.update(of, (task, uuid), [S.run_count.set(1)], ALWAYS),
        lambda table, of, task, uuid: table.get(of, (task, uuid), consistent=True),
        lambda table, of, task, uuid: table.get_many(of, [(task, uuid)], consistent=True),
        lambda table, of, task, uuid: table.delete_many(of, [(task, uuid)]),
        lambda table, of, task, uuid: table.database.write_together(
            [table.put_of(schedule(of, uuid, task), ALWAYS)]
        ),
    ],
    ids=["put", "put many", "update", "get", "get many", "delete many", "together"],
)
def test_a_key_has_at_most_so_many_bytes(
    table: T, tenant: str, letter: str, more: int, which: str, call: Any
) -> None:
    above = len(table.stored_key(tenant, ("t", "s"))[0].encode()) - 1
    key = {
        "hash": (of_bytes(2048 - above + more, letter), "s"),
        "range": ("t", of_bytes(1024 + more, letter)),
    }[which]
    found = answer(table, tenant, lambda table, of: call(table, of, *key))
    assert found in ({"too large"} if more else {"done", None})


@pytest.mark.parametrize(
    ("more", "needs", "expected"),
    [
        (0, ALWAYS, "done"),
        (0, NEVER, "refused"),
        (0, None, "done"),
        (1, ALWAYS, "too large"),
        (1, NEVER, "too large"),
        (1, None, "too large"),
    ],
)
def test_a_key_of_an_index_has_at_most_so_many_bytes(
    table: T, tenant: str, more: int, needs: Any, expected: str
) -> None:
    def call(table: T, tenant: str) -> None:
        record = schedule(tenant, fire="ü" * 1024 + "x" * more, fire_at=1)
        if needs is None:
            table.put_many([record])
        else:
            table.put(record, needs)

    assert answer(table, tenant, call) == expected


def test_an_update_makes_no_key_of_an_index_too_long(schedules: T, tenant: str) -> None:
    """DynamoDB Local, unlike DynamoDB, allows it."""
    schedules.put(schedule(tenant), FREE)
    for more, expected in ((0, "done"), (1, "too large")):
        action = S.fire.set("x" * (2048 + more))

        def call(table: T, tenant: str, action: Any = action) -> Any:
            return table.update(tenant, ("t", "s"), [action], ALWAYS)

        assert answer(schedules, tenant, call) == expected


HUNDRED = [f"{number:03}" for number in range(100)]


@pytest.mark.parametrize(
    ("uuids", "needs", "expected"),
    [
        ([], ALWAYS, "invalid"),
        (["a", "b"], ALWAYS, "done"),
        (["a", "b"], NEVER, "refused"),
        (["a", "a"], ALWAYS, "invalid"),
        (["a", "b", "a"], ALWAYS, "invalid"),
        (HUNDRED, ALWAYS, "done"),
        ([*HUNDRED, "100"], ALWAYS, "invalid"),
        ([*HUNDRED, "100"], NEVER, "invalid"),
    ],
)
@pytest.mark.parametrize("puts", [True, False])
def test_a_transaction_is_of_a_hundred_different_items(
    table: T, tenant: str, uuids: list[str], needs: Any, expected: str, puts: bool
) -> None:
    def call(table: T, tenant: str) -> Any:
        table.database.write_together(
            [
                table.put_of(schedule(tenant, uuid, run_count=1), needs)
                if puts
                else table.update_of(
                    tenant, ("t", uuid), [S.partition_key.set(tenant), S.run_count.set(1)], needs
                )
                for uuid in uuids
            ]
        )

    assert answer(table, tenant, call) == expected
    written = uuids if expected == "done" else []
    assert [each["schedule_uuid"] for each in state(table, tenant)] == written


@pytest.mark.parametrize("needs", [ALWAYS, NEVER], ids=["holds", "does not hold"])
@pytest.mark.parametrize("puts", [True, False], ids=["puts", "updates"])
def test_a_transaction_has_at_most_so_many_bytes(
    table: T, tenant: str, needs: Any, puts: bool
) -> None:
    """Both count what is given; DynamoDB also counts the words of the request, some KB."""
    for more in (-20_000, 20_000):
        status = "x" * ((4 * 1024 * 1024 + more) // 11)
        records = [schedule(tenant, f"{number:02}", status=status) for number in range(11)]

        def call(table: T, tenant: str, records: list[Any] = records) -> None:
            table.database.write_together(
                [
                    table.put_of(each, needs)
                    if puts
                    else table.update_of(tenant, each.key, [S.status.set(each.status)], needs)
                    for each in records
                ]
            )

        expected = "too large" if more > 0 else "refused" if needs is NEVER else "done"
        if not puts and needs is ALWAYS:
            table.put_many([schedule(tenant, each.schedule_uuid) for each in records])
        assert answer(table, tenant, call) == expected
        table.delete_many(tenant, [each.key for each in records])


def test_a_batch_may_be_of_more_than_a_request(table: T, tenant: str) -> None:
    for count in (100, 101):
        uuids = [f"{number:03}" for number in range(count)]
        table.put_many([schedule(tenant, uuid, run_count=count) for uuid in uuids])
        keys = [("t", uuid) for uuid in uuids]
        found = table.get_many(tenant, [*keys, *keys, ("t", "none")], consistent=True)
        assert {key: each.run_count for key, each in found.items()} == dict.fromkeys(keys, count)
        table.delete_many(tenant, [*keys, *keys])
        assert state(table, tenant) == []


def test_a_request_of_a_batch_writes_an_item_once(table: T, tenant: str) -> None:
    twice = [schedule(tenant, "a", run_count=1), schedule(tenant, "a", run_count=2)]
    assert answer(table, tenant, lambda table, of: table.put_many(twice)) == "invalid"
    assert state(table, tenant) == []


@pytest.mark.parametrize(
    ("before", "action", "expected"),
    [
        (int("9" * 38), S.fire_at.add(1), 10**38),
        (int("9" * 38), S.fire_at.add(int("9" * 38)), "invalid"),
        (int("9" * 38), S.fire_at.add(0.5), "invalid"),
        (int("9" * 38), S.fire_at.set(S.fire_at - int("9" * 38)), 0),
        (1, S.fire_at.set(S.fire_at - 1e-130), "invalid"),
        (1, S.fire_at.add(1e-37), 1),
        (1, S.fire_at.add(1e-38), "invalid"),
        (-1, S.fire_at.add(1e-38), -1),
        (9e125, S.fire_at.add(9e125), "invalid"),
        (9e125, S.fire_at.add(-9e125), 0),
        (int("1" * 39), None, "invalid"),
        (1, S.fire_at.set(int("1" * 39)), "invalid"),
        (1, S.fire_at.add(int("1" * 39)), "invalid"),
        (1, S.fire_at.set(int("1" * 38 + "0")), int("1" * 38 + "0")),
        (1, S.buffered.set({int("1" * 39)}), "invalid"),
    ],
)
def test_a_sum_is_exact_or_refused(
    table: T, tenant: str, before: Any, action: Any, expected: Any
) -> None:
    def call(table: T, tenant: str) -> Any:
        table.put(schedule(tenant, fire_at=before), ALWAYS)
        return table.update(tenant, ("t", "s"), [action], ALWAYS)

    found = answered(Operation("", call), table, tenant)
    shown = found if isinstance(found, str) else found["fire_at"]
    assert shown == expected


def test_a_set_that_becomes_empty_is_no_more(table: T, tenant: str) -> None:
    table.put(schedule(tenant, buffered={1, 2}, running={"", "a"}), FREE)
    actions = [S.buffered.delete({2, 3}), S.running.delete({"a"})]
    changed = table.update(tenant, ("t", "s"), actions, ALWAYS)
    assert (changed.buffered, changed.running) == ({1}, {""})
    actions = [S.buffered.delete({1}), S.running.delete({""})]
    changed = table.update(tenant, ("t", "s"), actions, ALWAYS)
    assert {"buffered", "running"}.isdisjoint(told(changed))
    absent = S.buffered.does_not_exist() & S.running.does_not_exist()
    changed = table.update(tenant, ("t", "s"), [S.buffered.add({4})], absent)
    assert changed.buffered == {4}


@pytest.mark.parametrize("name", ["fire", "fire_at"])
def test_an_item_without_a_key_of_an_index_is_not_in_it(table: T, tenant: str, name: str) -> None:
    values = {"fire": tenant, "fire_at": 1}
    table.put(schedule(tenant, **values), FREE)
    attribute = S.get_attributes()[name]
    seen = []
    for action in (attribute.remove(), attribute.set(values[name]), attribute.remove()):
        table.update(tenant, ("t", "s"), [action], ALWAYS)
        seen.append(len(table.query_index("to_fire", tenant)[0]))
    assert seen == [0, 1, 0]
    table.put(schedule(tenant, **values), ALWAYS)
    assert len(table.query_index("to_fire", tenant)[0]) == 1
    table.put(schedule(tenant, **{**values, name: None}), ALWAYS)
    assert table.query_index("to_fire", tenant) == ([], None)


def test_an_index_has_nothing_under_an_empty_text(table: T, tenant: str) -> None:
    def call(table: T, tenant: str) -> Any:
        return table.query_index("to_fire", "")

    assert answer(table, tenant, call) == "invalid"
