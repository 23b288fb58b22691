"""Batches of which the database leaves some over: progress goes on, a standstill ends, and both
wait between tries.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from ai_coordination_engine import backend
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import CALL, RECORD, Budget, Meter, OverBudget
from ai_coordination_engine.store.models import SessionRun, Task
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.table import Table, get_many_of

Taken = Callable[[int, int], int]
"""How many entries of the request with this number, that asks for so many, are taken."""
Entry = tuple[str, Any]  # the name of its table, and a key or a write


class Stub:
    """A connection to a database that takes the first entries of each batch. `sizes`: how many each
    asked for; `asked`: what.
    """

    def __init__(self, taken: Taken) -> None:
        self.sizes: list[int] = []
        self.asked: list[dict[str, Any]] = []
        self.written: list[str] = []
        self._taken = taken

    def add_meta_table(self, table: Any) -> None:
        """Nothing is looked up."""

    def dispatch(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        entries = [
            (name, each)
            for name, wanted in request["RequestItems"].items()
            for each in (wanted["Keys"] if operation == "BatchGetItem" else wanted)
        ]
        done = self._count(entries)
        self.asked.append(request["RequestItems"])
        return _OPERATIONS[operation](self, entries[:done], entries[done:])

    def _got(self, done: Sequence[Entry], left: Sequence[Entry]) -> dict[str, Any]:
        items = [(name, {**key, "agent_uuid": {"S": "a"}}) for name, key in done]
        unprocessed = {name: {"Keys": keys} for name, keys in _by_table(left).items()}
        return {"Responses": _by_table(items), "UnprocessedKeys": unprocessed}

    def _put(self, done: Sequence[Entry], left: Sequence[Entry]) -> dict[str, Any]:
        self.written += [each["PutRequest"]["Item"]["run_uuid"]["S"] for _, each in done]
        return {"UnprocessedItems": _by_table(left)}

    def _count(self, entries: Sequence[Any]) -> int:
        self.sizes.append(len(entries))
        return self._taken(len(self.sizes), len(entries))


_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "BatchGetItem": Stub._got,
    "BatchWriteItem": Stub._put,
}


def _by_table(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, each in entries:
        found.setdefault(name, []).append(each)
    return found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest that each wait may take."""
    found: list[float] = []
    monkeypatch.setattr(backend, "pause", found.append)
    return found


def get(stub: Stub, count: int) -> int:
    keys = [("s", str(number)) for number in range(count)]
    found = _table(stub).get_many("t", keys, consistent=True)
    assert set(found) <= set(keys)
    return len(found)


def put(stub: Stub, count: int) -> int:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    _table(stub).put_many(
        [
            SessionRun(
                session_uuid="s",
                run_uuid=str(number),
                partition_key="t",
                created_at=now,
                updated_at=now,
            )
            for number in range(count)
        ]
    )
    assert len(set(stub.written)) == len(stub.written)
    return len(stub.written)


def _table(stub: Stub, model: type[Record] = SessionRun) -> Table[Any]:
    return Table(model, DynamoDb(stub), "ace")  # type: ignore[arg-type]


CALLS = pytest.mark.parametrize(("call", "page"), [(get, 100), (put, 25)], ids=["get", "put"])


@CALLS
def test_what_is_left_of_each_page_never_adds_up(call: Any, page: int, waits: list[float]) -> None:
    stub = Stub(lambda number, asked: asked - asked // 20)  # the last one of 25, or five of 100
    assert call(stub, 80 * page) == 80 * page
    left = [size // 20 for size in stub.sizes if size >= 20]
    assert len(waits) == len(left)
    assert sum(stub.sizes) == 80 * page + sum(left)
    assert sum(waits) < 0.5


@CALLS
def test_whatever_gets_on_gets_to_the_end(call: Any, page: int, waits: list[float]) -> None:
    stub = Stub(lambda number, asked: 1)
    assert call(stub, page) == page
    assert stub.sizes == list(range(page, 0, -1))


@CALLS
def test_a_standstill_ends_after_ten_waits_that_grow(
    call: Any, page: int, waits: list[float]
) -> None:
    stub = Stub(lambda number, asked: 0)
    with pytest.raises(Throttled, match=r"^The database refuses more work for now; "):
        call(stub, 2 * page)
    assert stub.sizes == [page] * 11
    assert waits == [0.1, 0.2, 0.4, 0.8, *[1.0] * 6]


@CALLS
def test_progress_begins_anew(call: Any, page: int, waits: list[float]) -> None:
    stub = Stub(lambda number, asked: asked if number % 10 == 0 else 0)
    assert call(stub, 3 * page) == 3 * page
    assert stub.sizes == [page] * 30
    assert waits == [0.1, 0.2, 0.4, 0.8, *[1.0] * 5] * 3


@CALLS
def test_nothing_waits_when_nothing_is_left(call: Any, page: int, waits: list[float]) -> None:
    stub = Stub(lambda number, asked: asked)
    assert call(stub, 2 * page + 1) == 2 * page + 1
    assert (stub.sizes, waits) == ([page, page, 1], [])


def get_of_two(
    stub: Stub, tasks: int, runs: int, meter: Meter | None = None, *, consistent: bool = False
) -> list[set[Key]]:
    """The keys that are found of so many tasks and runs, read together."""
    tables = [_table(stub, model) for model in (Task, SessionRun)]
    if meter:
        tables = [table.metered(meter) for table in tables]
    keys = [[("c", f"t{n}") for n in range(tasks)], [("s", f"r{n}") for n in range(runs)]]
    found = get_many_of("t", dict(zip(tables, keys, strict=True)), consistent=consistent)
    assert all(type(record) is table.model for table in tables for record in found[table].values())
    assert [len(each) for each in keys] == [tasks, runs]
    assert all(set(found[table]) <= {*each} for table, each in zip(tables, keys, strict=True))
    return [set(found[table]) for table in tables]


def sizes_by_table(stub: Stub) -> list[dict[str, int]]:
    return [{name: len(each["Keys"]) for name, each in request.items()} for request in stub.asked]


@pytest.mark.parametrize("consistent", [True, False])
def test_keys_of_two_tables_are_one_request(waits: list[float], consistent: bool) -> None:
    stub = Stub(lambda number, asked: asked)
    assert [len(each) for each in get_of_two(stub, 60, 40, consistent=consistent)] == [60, 40]
    assert (sizes_by_table(stub), waits) == ([{"ace-tasks": 60, "ace-session_runs": 40}], [])
    how = {each.get("ConsistentRead", False) for each in stub.asked[0].values()}
    assert how == {consistent}


@pytest.mark.parametrize(
    ("taken", "then"),
    [
        (30, {"ace-tasks": 20, "ace-session_runs": 40}),
        (50, {"ace-session_runs": 40}),
        (70, {"ace-session_runs": 20}),
    ],
)
@pytest.mark.parametrize("consistent", [True, False])
def test_what_is_left_over_of_some_tables_is_asked_for_again(
    waits: list[float], taken: int, then: dict[str, int], consistent: bool
) -> None:
    """The keys of the tasks come first in a request, so that the stub leaves some of either."""
    stub = Stub(lambda number, asked: taken if number == 1 else asked)
    assert [len(each) for each in get_of_two(stub, 50, 40, consistent=consistent)] == [50, 40]
    assert sizes_by_table(stub) == [{"ace-tasks": 50, "ace-session_runs": 40}, then]
    assert waits == [pytest.approx(backend.FIRST_PAUSE * (90 - taken) / 90)]
    how = {each.get("ConsistentRead", False) for each in stub.asked[1].values()}
    assert how == {consistent}


def test_the_keys_of_all_tables_together_are_at_most_a_hundred_a_request(
    waits: list[float],
) -> None:
    stub = Stub(lambda number, asked: asked - 10 if number == 1 else asked)
    assert [len(each) for each in get_of_two(stub, 150, 60)] == [150, 60]
    assert sizes_by_table(stub) == [
        {"ace-tasks": 100},
        {"ace-tasks": 50, "ace-session_runs": 50},
        {"ace-session_runs": 10, "ace-tasks": 10},
    ]


def test_a_standstill_of_two_tables_ends_too(waits: list[float]) -> None:
    stub = Stub(lambda number, asked: 0)
    with pytest.raises(Throttled, match=r"^The database refuses more work for now; "):
        get_of_two(stub, 1, 1)
    assert stub.sizes == [2] * 11


def test_a_request_for_two_tables_is_charged_once(waits: list[float]) -> None:
    stub = Stub(lambda number, asked: asked)
    meter = Meter()
    get_of_two(stub, 2, 3, meter)
    characters = (
        sum(  # of the keys and of the agent's uuid
            len(value["S"])
            for each in stub.asked[0].values()
            for key in each["Keys"]
            for value in key.values()
        )
        + 5
    )
    assert (meter.cost, meter.read) == (CALL + 5 * RECORD + characters * 2 / 1000, characters)
    with pytest.raises(OverBudget):
        get_of_two(stub, 100, 100, Meter(Budget(cost=CALL + 50 * RECORD)))
    assert stub.sizes == [5, 100]  # nothing more is read then


def test_how_long_a_wait_takes_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    class Clock:
        def wait(self, seconds: float) -> None:
            drawn.append(seconds)

    monkeypatch.setattr(backend, "Event", Clock)
    monkeypatch.setattr(backend, "_RANDOM", Random(1))
    for _ in range(100):
        backend.pause(2)
    assert 0 <= min(drawn) < 0.2
    assert 1.8 < max(drawn) <= 2
