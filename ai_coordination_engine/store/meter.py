"""Measure what one GraphQL request costs, and stop it when it exceeds its budget.

Each read of the store is charged where it is made. A unit of cost is at most about 10 µs of CPU
time, that of an SQLite file included; `docs/limits.md` has the price list.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.ports import Blobs

CALL = 100  # a request to the database
RECORD = 25  # a record that is read
WRITING = 250  # a request to the database during a mutation
BLOB = 100  # a value that is read from a blob
ROW_KB = 2  # a kilobyte of records
BLOB_KB = 0.5  # a kilobyte of a blob
COUNTED = 4  # a record that is counted but not read
# a list at the root of the query: it may have to look through all of the tenant's records
LIST = 5_000
MAX_PAGE = 1_200  # records that one Query reads, at most
# a Query may use this fraction of the budget that is left: others may run at the same time
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one request: cost (units), bytes read, bytes of the response, seconds."""

    cost: int = 150_000
    read: int = 40_000_000
    answer: int = 20_000_000
    seconds: float = 120.0


# for a process with one request at a time (Lambda); API Gateway ends a request after 30 s
ALONE = Budget(seconds=25)
# bytes; a mutation that writes one large text returns a record that may have four
MUTATION_ANSWER = 25_000_000


class OverBudget(TooComplex):
    """The request has exceeded its budget; it reads and resolves nothing more."""


class Meter:
    """The cost of one request so far.

    Threads add to it without a lock: a few units may get lost, but an exceeded budget is noticed.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.cost: float = 0
        self.written: float = 0
        self.read = 0
        self.answer = 0
        self.refusal: OverBudget | None = None
        self._counting = Lock()
        self._deadline = monotonic() + self.budget.seconds

    def add(self, cost: float = 0, *, read: int = 0, answer: int = 0) -> bool:
        """Add a cost; return whether the request is still within its budget."""
        self.cost += cost
        self.read += read
        self.answer += answer
        self.refusal = self.refusal or self._refusal(self.budget)
        return self.refusal is None

    def spend(self, cost: float = 0, *, read: int = 0) -> None:
        """Add a cost; raise `OverBudget` if the request has exceeded its budget."""
        if not self.add(cost, read=read):
            assert self.refusal is not None
            raise OverBudget(self.refusal.message)

    def may_write(self) -> bool:
        """Whether another write may begin: reads and writes so far are within the budget."""
        left = replace(self.budget, cost=self.budget.cost - int(self.written))
        self.refusal = self.refusal or self._refusal(left)
        return self.refusal is None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Charge this request for the calls to the database that this block makes or starts.

        A write that has begun is never stopped. If it exceeds the budget, the next one is refused.
        """
        token = _WRITING.set(self)
        try:
            yield
        finally:
            _WRITING.reset(token)

    @property
    def half_spent(self) -> bool:
        """Whether half of the budget is used up. A list then ends its page early, to leave some
        budget for the rest of the request.
        """
        return self.cost > self.budget.cost / 2 or self.read > self.budget.read / 2

    def page(self, limit: int | None) -> int:
        """The number of records that the next Query may read; `limit` is what the caller wants."""
        left = int((self.budget.cost - self.cost) / RECORD / _AT_ONCE)
        return min(limit or MAX_PAGE, max(left, 25), MAX_PAGE)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Let one count of the request run at a time: each may use all of the budget that is left.

        Raises `OverBudget` if nothing is left.
        """
        with self._counting:
            self.spend()
            yield

    def countable(self, most: int, at_once: int = 1) -> int:
        """The number of records that the next Query may count, at most `most`.

        It is what the budget pays for, if `at_once` Queries run at once, plus one: with that one
        the request exceeds its budget, and so is stopped.
        """
        left = int((self.budget.cost - self.cost) / COUNTED / at_once)
        return min(most, max(left, 0) + 1)

    def rows(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Charge one request to DynamoDB and its items; raise `OverBudget` if it is too much."""
        sizes = [sum(len(value.get("S", "")) for value in item.values()) for item in items]
        self.spend(CALL + RECORD * len(sizes) + sum(sizes) * ROW_KB / 1000, read=sum(sizes))

    def _refusal(self, budget: Budget) -> OverBudget | None:
        exceeded = self._exceeded(budget)
        return OverBudget(f"the request was ended: it {exceeded}; {ADVICE}") if exceeded else None

    def _exceeded(self, budget: Budget) -> str:
        if self.cost > budget.cost:
            return f"costs more than {self.budget.cost:,} units"
        if self.read > budget.read:
            return f"reads more than {budget.read:,} bytes"
        if self.answer > budget.answer:
            return f"answers more than {budget.answer:,} bytes"
        return f"takes more than {budget.seconds:g} seconds" if monotonic() > self._deadline else ""


_WRITING: ContextVar[Meter | None] = ContextVar("_WRITING", default=None)


def charge_write(records: int = 1) -> None:
    """Charge a call to the database with `records` records to the request that is writing, if any.

    See `Meter.writing`.
    """
    if (meter := _WRITING.get()) is not None:
        meter.written += WRITING + RECORD * max(records - 1, 0)


ADVICE = (
    "ask for less at a time: a smaller limit and the next page by nextCursor, the session agents"
    " and runs of a large session by sessionAgentList and sessionRunList, fewer aliases and fewer"
    " large texts"
)
"""The advice in the message of the error `TOO_COMPLEX`."""


@dataclass(frozen=True, slots=True)
class MeteredBlobs:
    """Blobs whose reads are charged to a request."""

    blobs: Blobs
    meter: Meter

    def get(self, key: str) -> bytes:
        """The bytes under `key`; raises `OverBudget` before or after reading."""
        self.meter.spend(BLOB)
        data = self.blobs.get(key)
        self.meter.spend(len(data) * BLOB_KB / 1000, read=len(data))
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store `data`. Not charged here: the price of a mutation includes it."""
        self.blobs.put(key, data)

    def delete_all(self, prefix: str) -> None:
        """Remove every key that begins with `prefix`."""
        self.blobs.delete_all(prefix)
