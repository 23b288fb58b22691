"""The context of one GraphQL request: the application, the tenant, its loaders and its warnings."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TypeVar
from zlib import crc32

from ai_coordination_engine.api.loaders import Loaders
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.meter import Budget, Meter
from ai_coordination_engine.store.record import Record

T = TypeVar("T")


@dataclass(frozen=True)
class Heard:
    """What a client has got of the text of an agent: so many parts of an attempt (0: of none), and
    the length and the checksum of their text.
    """

    attempt: int = 0
    parts: int = 0
    length: int = 0
    checksum: int = 0

    def with_text(self, attempt: int, parts: int, text: str) -> "Heard":
        """What it has got with more text of this attempt."""
        before = self if attempt == self.attempt else Heard(attempt)
        checksum = crc32(text.encode(errors="replace"), before.checksum)
        return Heard(attempt, parts, before.length + len(text), checksum)


NOTHING = Heard()


class Context:
    """The `info.context` of resolvers; created in the running event loop, once per request.

    `app` is for writes. `reading` is the same application for reads, which it charges to the
    request's meter. `consistent`: reads see all writes that were acknowledged before.
    """

    def __init__(
        self,
        app: App,
        tenant: str,
        method: str = "POST",
        budget: Budget | None = None,
        *,
        consistent: bool = False,
    ) -> None:
        self.app = app
        self.tenant = tenant
        self.method = method
        self.warnings: list[str] = []
        # the trace of the caller (`domain.trace_context`), which sessions that it starts continue
        self.trace: str | None = None
        # Keys of sessions that this request started; their status is known without a read.
        self.just_started: set[tuple[str, str]] = set()
        # of a subscription: nothing will change any more
        self.is_last_answer = False
        # of the subscription `agentOutput`: what its client has got, and will have got
        self.heard = self.hears = NOTHING
        self.meter = Meter(budget)
        self._has_written = consistent
        self._converted: dict[tuple[int, str], tuple[object, object]] = {}

    @cached_property
    def reading(self) -> App:
        """The application for reads; they raise `OverBudget` once the request's budget is
        used up.
        """
        return replace(self.app, records=self.app.records.metered(self.meter))

    @cached_property
    def loaders(self) -> Loaders:
        """The loaders of this request; they are replaced after every write, so that they see it."""
        return Loaders(self.reading, self.tenant, consistent=self._has_written)

    def warn(self, warning: str) -> None:
        """Add a warning to `extensions.warnings`, unless it is there already."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def converted(
        self, record: object, name: str, out: Callable[[object], object], value: object
    ) -> object:
        """Return `out(value)` for an attribute of a record; computed once, even for
        several fields.
        """
        key = id(record), name
        if key not in self._converted:
            self.meter.spend(len(value) if isinstance(value, dict | list) else 0)
            # Keep the record, so that its `id()` is not used for another one.
            self._converted[key] = record, out(value)
        return self._converted[key][1]

    async def call(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Run a blocking function in a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def change(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Run a blocking function that writes, in a thread; afterwards all loaders read again.

        Raises `OverBudget` before the first write when the request has used up its budget.
        """
        self.meter.spend()
        try:
            with self.meter.writing():
                answer = await self.call(function, *args, **kwargs)
            if isinstance(answer, Record):  # charge later reads of its payloads, too
                answer.blobs = self.reading.records.blobs
            return answer
        finally:
            self._has_written = True
            self.__dict__.pop("loaders", None)
