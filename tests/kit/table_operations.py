"""Random operations on a table and the comparison of their results (promise P11)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st
from pynamodb.expressions.condition import Condition, size

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.items import Refused
from ai_coordination_engine.store.tables.table import Table
from ai_coordination_engine.store.tables.values import Invalid

TASKS = ["a", "b"]
# in the order of their bytes, which is not that of UTF-16
SCHEDULES = ["1", "1\0", "10", "ü", "\uffff", "\U0001f600"]
NUMBERS = [0, 1, 2, 10, -1, 1.5, 1e16, 1764143000.123456, -1e-130, int("9" * 38)]
TEXTS = ["a", "ab", "b", "ü\u2028", "x y", "", "\uffff", "\U0001f600", "a\0", "a" * 2000]
S = TaskSchedule


@dataclass(frozen=True)
class Operation:
    """An operation on a table of a tenant; its name describes it for people."""

    name: str
    call: Callable[[Table[TaskSchedule], str], Any]

    def __repr__(self) -> str:
        return self.name


def answered(operation: Operation, table: Table[TaskSchedule], tenant: str) -> Any:
    """Return what is compared of a result, including refusals and errors."""
    try:
        return told(operation.call(table, tenant))
    except Refused as refused:
        return "refused", told(refused.old)
    except Invalid:
        return "invalid"
    except BadUserInput:
        return "too large"
    except Exception as error:
        if "ValidationException" in repr(error):
            return "invalid"
        raise


def told(value: Any) -> Any:
    """Return records as their attributes, without values that differ from run to run."""
    if isinstance(value, Record):
        return dict(value.attribute_values)
    if isinstance(value, Mapping):
        return {name: told(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    return value


values: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(TEXTS),
    "coordination_uuid": st.sampled_from(TEXTS),
    "run_count": st.sampled_from([0, 1, 2, 10, -1]),
    "next_fire_at": st.sampled_from(NUMBERS),
    "fire_at": st.sampled_from(NUMBERS),
    "fire": st.just("fire"),
    "buffered": st.sets(st.sampled_from(NUMBERS), min_size=1, max_size=3),
    "running": st.sets(st.sampled_from([each for each in TEXTS if each]), min_size=1, max_size=3),
    "pause_on_failure": st.booleans(),
    "task_query": st.one_of(st.sampled_from(TEXTS), st.lists(st.integers(0, 3), max_size=2)),
}
KEYS = st.tuples(st.sampled_from(TASKS), st.sampled_from(SCHEDULES))


def attribute(name: str) -> Any:
    return S.get_attributes()[name]


def indexed(name: str, value: Any, tenant: str) -> Any:
    """Return the value as this tenant writes it; an index's hash key contains the tenant."""
    return f"{value} of {tenant}" if name == "fire" else value


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> Condition:
    """Draw a condition on the attributes of a schedule."""
    if depth and draw(st.booleans()):
        one, other = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        joined = one & other if draw(st.booleans()) else one | other
        return ~joined if draw(st.booleans()) else joined
    name = draw(st.sampled_from(sorted(set(values) - {"fire"})))
    path = attribute(name)
    kind = draw(st.sampled_from(["exists", "absent", "compare", "in", "special"]))
    if kind in ("exists", "absent"):
        return path.exists() if kind == "exists" else path.does_not_exist()
    if kind == "in":
        return path.is_in(draw(values[name]), draw(values[name]))
    if kind == "special":
        return draw(_special(name, path))
    return draw(_comparison(name, path))


def _special(name: str, path: Any) -> st.SearchStrategy[Condition]:
    if name in ("buffered", "running"):
        contained = st.sampled_from(NUMBERS if name == "buffered" else TEXTS).map(path.contains)
        return contained | st.integers(0, 3).map(lambda count: size(path) >= count)
    if name in ("status", "coordination_uuid"):
        texts = st.sampled_from(TEXTS)
        return (
            texts.map(path.startswith)
            | texts.map(path.contains)
            | st.tuples(texts, texts).map(lambda both: path.between(*sorted(both, key=_bytes)))
            | st.integers(0, 3).map(lambda count: size(path) <= count)
        )
    if name in ("run_count", "next_fire_at", "fire_at"):
        return st.tuples(values[name], values[name]).map(
            lambda both: path.between(min(both), max(both))
        )
    return st.just(path.exists())


def _bytes(text: str) -> bytes:
    return text.encode()


def _comparison(name: str, path: Any) -> st.SearchStrategy[Condition]:
    equal = values[name].map(lambda value: path == value)
    differs = values[name].map(lambda value: path != value)
    if name in ("buffered", "running", "pause_on_failure", "task_query"):
        return equal | differs
    below = values[name].map(lambda value: path < value)
    up_to = values[name].map(lambda value: path <= value)
    above = values[name].map(lambda value: path > value)
    least = values[name].map(lambda value: path >= value)
    return equal | differs | below | up_to | above | least


@st.composite
def actions(draw: st.DrawFn) -> list[tuple[str, Callable[[str], Any]]]:
    """Draw an update: for some attributes, a function that makes the action for a tenant."""
    return [
        (name, draw(_action(name)))
        for name in draw(st.lists(st.sampled_from(sorted(values)), min_size=1, unique=True))
    ]


def _action(name: str) -> st.SearchStrategy[Callable[[str], Any]]:
    path = attribute(name)

    def set_to(value: Any) -> Callable[[str], Any]:
        return lambda tenant: path.set(indexed(name, value, tenant))

    choices = [values[name].map(set_to), st.just(lambda tenant: path.remove())]
    if name in ("run_count", "next_fire_at", "fire_at"):
        choices += [
            values[name].map(lambda more: lambda tenant: path.add(more)),
            values[name].map(lambda more: lambda tenant: path.set(path + more)),
            values[name].map(lambda more: lambda tenant: path.set((path | more) - 1)),
        ]
    if name in ("buffered", "running"):
        choices += [
            values[name].map(lambda more: lambda tenant: path.add(more)),
            values[name].map(lambda less: lambda tenant: path.delete(less)),
        ]
    if name != "fire":
        choices.append(values[name].map(lambda value: lambda tenant: path.set(path | value)))
    return st.one_of(choices)


@st.composite
def records(draw: st.DrawFn) -> Callable[[str], TaskSchedule]:
    """Draw a function that makes a whole record for a tenant."""
    key, given = draw(KEYS), draw(st.fixed_dictionaries({}, optional=values))

    def record(tenant: str) -> TaskSchedule:
        known = {name: indexed(name, value, tenant) for name, value in given.items()}
        return S(*key, partition_key=tenant, **known)

    return record


Made = Callable[[str], TaskSchedule]
Changes = list[tuple[str, Callable[[str], Any]]]
ALWAYS = S.task_uuid.exists() | S.task_uuid.does_not_exist()
NEEDS = conditions() | st.just(ALWAYS)
RECORDS = records()
LIMITS = st.none() | st.integers(1, 4)


def _puts() -> st.SearchStrategy[Operation]:
    def put(record: Made, needs: Condition) -> Operation:
        return Operation(f"put if {needs}", lambda table, tenant: table.put(record(tenant), needs))

    def put_new(record: Made) -> Operation:
        return Operation("put new", lambda table, tenant: table.put_new(record(tenant)))

    def put_many(several: list[Made]) -> Operation:
        return Operation(
            f"put {len(several)}",
            lambda table, tenant: table.put_many([make(tenant) for make in several]),
        )

    many = st.lists(RECORDS, max_size=3, unique_by=lambda make: make("t").key)
    return st.builds(put, RECORDS, NEEDS) | st.builds(put_new, RECORDS) | st.builds(put_many, many)


def _updates() -> st.SearchStrategy[Operation]:
    def update(key: Key, changes: Changes, needs: Condition) -> Operation:
        return Operation(
            f"update {key} {[name for name, _ in changes]} if {needs}",
            lambda table, tenant: table.update(
                tenant,
                key,
                [S.partition_key.set(tenant), *(change(tenant) for _, change in changes)],
                needs,
            ),
        )

    return st.builds(update, KEYS, actions(), NEEDS)


def _deletes() -> st.SearchStrategy[Operation]:
    def delete(key: Key, needs: Condition) -> Operation:
        there = needs & S.task_uuid.exists()
        return Operation(
            f"delete {key} if {needs}", lambda table, tenant: table.delete(tenant, key, there)
        )

    def delete_many(gone: list[Key]) -> Operation:
        return Operation(f"delete {gone}", lambda table, tenant: table.delete_many(tenant, gone))

    return st.builds(delete, KEYS, NEEDS) | st.builds(delete_many, st.lists(KEYS, max_size=2))


def _gets() -> st.SearchStrategy[Operation]:
    def get(key: Key) -> Operation:
        return Operation(
            f"get {key}", lambda table, tenant: table.get(tenant, key, consistent=True)
        )

    def get_many(some: list[Key]) -> Operation:
        return Operation(
            f"get {some}", lambda table, tenant: table.get_many(tenant, some, consistent=True)
        )

    return st.builds(get, KEYS) | st.builds(get_many, st.lists(KEYS, max_size=4, unique=True))


def _queries() -> st.SearchStrategy[Operation]:
    def query(task: str, limit: int | None, forward: bool) -> Operation:
        return Operation(f"query {task} {limit} {forward}", partial(_pages, task, limit, forward))

    def query_all(task: str) -> Operation:
        return Operation(
            f"all of {task}",
            lambda table, tenant: list(table.query_all(tenant, task, consistent=True)),
        )

    def of_tenant(limit: int | None, forward: bool) -> Operation:
        return Operation(
            f"of the tenant {limit} {forward}",
            partial(_pages_of_index, "by_tenant", limit, forward, None),
        )

    def to_fire(limit: int | None, forward: bool, bound: float | None) -> Operation:
        condition = None if bound is None else S.fire_at <= bound
        return Operation(
            f"to fire {limit} {forward} {condition}",
            partial(_pages_of_index, "to_fire", limit, forward, condition),
        )

    tasks, forward = st.sampled_from(TASKS), st.booleans()
    return (
        st.builds(query, tasks, LIMITS, forward)
        | st.builds(query_all, tasks)
        | st.builds(of_tenant, LIMITS, forward)
        | st.builds(to_fire, LIMITS, forward, st.none() | st.sampled_from(NUMBERS))
    )


def _counts() -> st.SearchStrategy[Operation]:
    def in_order(task: str, condition: Condition, forward: bool) -> Operation:
        return Operation(
            f"count {task} {condition} {forward}",
            lambda table, tenant: table.count(tenant, task, condition, 3, forward=forward)[0],
        )

    def of_tenant(condition: Condition) -> Operation:
        return Operation(
            f"count of the tenant {condition}",
            lambda table, tenant: table.count(tenant, tenant, condition, 3, index="by_tenant")[0],
        )

    def range_keys(task: str, condition: Condition, most: int) -> Operation:
        return Operation(
            f"range keys of {task} {condition} {most}",
            lambda table, tenant: list(table.range_keys(tenant, task, condition, most)),
        )

    tasks, simple = st.sampled_from(TASKS), conditions(1)
    return (
        st.builds(in_order, tasks, simple, st.booleans())
        | st.builds(of_tenant, simple)
        | st.builds(range_keys, tasks, simple, st.integers(1, 4))
    )


def operations() -> st.SearchStrategy[Operation]:
    """Draw an operation; most of them change something."""
    return st.one_of(_puts(), _updates(), _updates(), _deletes(), _gets(), _queries(), _counts())


def _pages(
    task: str, limit: int | None, forward: bool, table: Table[TaskSchedule], tenant: str
) -> list[Any]:
    pages, after = [], None
    while True:
        found, after = table.query(
            tenant, task, after=after, limit=limit, forward=forward, consistent=True
        )
        pages.append(found)
        if after is None:
            return [each for each in pages if each]  # after the last one may come an empty one


def _pages_of_index(
    index: str,
    limit: int | None,
    forward: bool,
    condition: Condition | None,
    table: Table[TaskSchedule],
    tenant: str,
) -> list[Any]:
    """Return the items of an index in its order. DynamoDB gives no order to items whose range keys
    are equal, and may end a page between them: only complete answers are compared.
    """
    value = tenant if index == "by_tenant" else indexed("fire", "fire", tenant)
    of_range = "schedule_uuid" if index == "by_tenant" else "fire_at"
    items, after = list[TaskSchedule](), None
    while True:
        found, after = table.query_index(
            index, value, after=after, limit=limit, forward=forward, range_condition=condition
        )
        assert limit is None or len(found) <= limit
        items += found
        if after is None:
            in_order = [getattr(each, of_range) for each in items]
            return [in_order, sorted(items, key=lambda each: each.key)]
