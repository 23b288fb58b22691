"""What one request may use, and what it has used: reads of the store are charged where they are
made.

A unit of cost is about 10 µs of CPU, measured with the embedded AWS in the same process;
`docs/limits.md` has the price list.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic
from typing import Any

from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.ports import Blobs

CALL = 100  # a request to the database
RECORD = 25  # a record that is read
WRITING = 250  # a request to the database in the course of a write
BLOB = 100  # a value that lives in a blob and is read
ROW_KB = 2  # a kilobyte of records
BLOB_KB = 0.5  # a kilobyte of a blob
COUNTED = 4  # a record that is only counted
# a list of the root: without its parent it is looked for among all of the tenant's records
LIST = 5_000
MAX_PAGE = 1_200  # records that one Query reads, at most
# Queries of one request that run at the same time must not go far beyond its budget together
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """What one request may use: units of cost, bytes read from the store, bytes of the answer,
    seconds.
    """

    cost: int = 150_000
    read: int = 40_000_000
    answer: int = 20_000_000
    seconds: float = 120.0


# where a process has one request at a time, which its gateway gives up after 30 s
ALONE = Budget(seconds=25)
# a record of four large texts comes back from the mutation that writes one of them
MUTATION_ANSWER = 25_000_000


class OverBudget(TooComplex):
    """The request has used more than its budget; nothing more is read or resolved for it."""


class Meter:
    """What one request has used. Threads count without a lock: a few units may get lost, the end
    does not.
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
        """Count what has been done; whether the request may go on."""
        self.cost += cost
        self.read += read
        self.answer += answer
        self.refusal = self.refusal or self._refusal(self.budget)
        return self.refusal is None

    def spend(self, cost: float = 0, *, read: int = 0) -> None:
        """Count what has been done; raises `OverBudget` when that is more than the request may
        use.
        """
        if not self.add(cost, read=read):
            assert self.refusal is not None
            raise OverBudget(self.refusal.message)

    def may_write(self) -> bool:
        """Whether another write may begin: what is left after reading pays for all of them."""
        left = replace(self.budget, cost=self.budget.cost - int(self.written))
        self.refusal = self.refusal or self._refusal(left)
        return self.refusal is None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Charges this request for what the database is asked for meanwhile, by this thread or for
        it.

        A write is never stopped, and its answer never refused for what it cost; the next one may
        be.
        """
        token = _WRITING.set(self)
        try:
            yield
        finally:
            _WRITING.reset(token)

    @property
    def half_spent(self) -> bool:
        """Whether a list that has read enough rows should end its page, for what else the request
        asks for.
        """
        return self.cost > self.budget.cost / 2 or self.read > self.budget.read / 2

    def page(self, limit: int | None) -> int:
        """How many records the next Query may read."""
        left = int((self.budget.cost - self.cost) / RECORD / _AT_ONCE)
        return min(limit or MAX_PAGE, max(left, 25), MAX_PAGE)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """One count of the request at a time, for each may take all that is left, and only its
        answer tells. Raises `OverBudget` when nothing is.
        """
        with self._counting:
            self.spend()
            yield

    def countable(self, most: int, at_once: int = 1) -> int:
        """How many of at most `most` records the next Query may count, beside others: as many as
        the request has left, and one, with which it goes beyond.
        """
        left = int((self.budget.cost - self.cost) / COUNTED / at_once)
        return min(most, max(left, 0) + 1)

    def rows(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Charge one request to DynamoDB and the items that it returned; raises `OverBudget`."""
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
    """Charge one request to the database, with so many records, to the request whose write it is
    part of, if any.
    """
    if (meter := _WRITING.get()) is not None:
        meter.written += WRITING + RECORD * max(records - 1, 0)


ADVICE = (
    "ask for less at a time: a smaller limit and the next page by nextCursor, the session agents"
    " and runs of a large session by sessionAgentList and sessionRunList, fewer aliases and fewer"
    " large texts"
)
"""What to do about `TOO_COMPLEX`."""


@dataclass(frozen=True, slots=True)
class MeteredBlobs:
    """Blobs whose reading is charged to a request."""

    blobs: Blobs
    meter: Meter

    def get(self, key: str) -> bytes:
        """The bytes under `key`; raises `OverBudget` when the request has none left, before or
        afterwards.
        """
        self.meter.spend(BLOB)
        data = self.blobs.get(key)
        self.meter.spend(len(data) * BLOB_KB / 1000, read=len(data))
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store `data`; writes are paid for before a request begins."""
        self.blobs.put(key, data)

    def delete_all(self, prefix: str) -> None:
        """Remove every key that begins with `prefix`."""
        self.blobs.delete_all(prefix)
