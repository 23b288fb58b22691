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
from ai_coordination_engine.store.models import SessionRun
from ai_coordination_engine.store.tables.table import Table

NAME = "ace-session_runs"
Taken = Callable[[int, int], int]
"""How many entries of the request with this number, that asks for so many, are taken."""


class Stub:
    """A connection to a database that takes the first entries of each batch. `sizes`: how many each
    asked for.
    """

    def __init__(self, taken: Taken) -> None:
        self.sizes: list[int] = []
        self.written: list[str] = []
        self._taken = taken

    def add_meta_table(self, table: Any) -> None:
        """Nothing is looked up."""

    def batch_get_item(
        self, table: str, keys: Sequence[Any], *, consistent_read: bool
    ) -> dict[str, Any]:
        done = self._count(keys)
        items = [{**_raw(key), "agent_uuid": {"S": "a"}} for key in keys[:done]]
        return {
            "Responses": {table: items},
            "UnprocessedKeys": _left(table, {"Keys": [_raw(k) for k in keys[done:]]}),
        }

    def batch_write_item(self, table: str, *, put_items: Sequence[Any]) -> dict[str, Any]:
        done = self._count(put_items)
        self.written += [item["run_uuid"]["S"] for item in put_items[:done]]
        left = [{"PutRequest": {"Item": item}} for item in put_items[done:]]
        return {"UnprocessedItems": {table: left} if left else {}}

    def _count(self, entries: Sequence[Any]) -> int:
        self.sizes.append(len(entries))
        return self._taken(len(self.sizes), len(entries))


def _raw(key: Any) -> dict[str, Any]:
    return {name: {"S": value} for name, value in key.items()}


def _left(table: str, request: dict[str, Any]) -> dict[str, Any]:
    return {table: request} if request["Keys"] else {}


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


def _table(stub: Stub) -> Table[SessionRun]:
    return Table(SessionRun, stub, "ace")  # type: ignore[arg-type]


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
