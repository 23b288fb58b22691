"""The context of one GraphQL request: the application, the tenant, and what the request gathers and
uses.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from ai_coordination_engine.api.loaders import Loaders
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.meter import Budget, Meter
from ai_coordination_engine.store.record import Record

T = TypeVar("T")


class Context:
    """What resolvers get as `info.context`. Made inside the running event loop, once a request.

    `app` writes; `reading` is the same application, its reads charged to the request's meter.
    """

    def __init__(
        self, app: App, tenant: str, method: str = "POST", budget: Budget | None = None
    ) -> None:
        self.app = app
        self.tenant = tenant
        self.method = method
        self.warnings: list[str] = []
        # sessions by key, which this answer shows as they were started
        self.just_started: set[tuple[str, str]] = set()
        self.meter = Meter(budget)
        self._has_written = False
        self._shown: dict[tuple[int, str], tuple[object, object]] = {}

    @cached_property
    def reading(self) -> App:
        """The application whose reads raise `OverBudget` once the request has used too much."""
        return replace(self.app, records=self.app.records.metered(self.meter))

    @cached_property
    def loaders(self) -> Loaders:
        """What has been loaded, or will be, since the latest write, which they see."""
        return Loaders(self.reading, self.tenant, consistent=self._has_written)

    def warn(self, warning: str) -> None:
        """Tell the caller something in `extensions.warnings`, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def shown(
        self, record: object, name: str, out: Callable[[object], object], value: object
    ) -> object:
        """What `out` makes of the value of a record's attribute; made once, however many fields
        show it.
        """
        key = id(record), name
        if key not in self._shown:
            self.meter.spend(len(value) if isinstance(value, dict | list) else 0)
            # the record lives on, so that its id stays its own
            self._shown[key] = record, out(value)
        return self._shown[key][1]

    async def call(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Run a blocking function beside the event loop."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def change(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Run a blocking function that writes, to its end; what was loaded before it is forgotten.

        Raises `OverBudget` before the first write when the request has used its budget.
        """
        self.meter.spend()
        try:
            with self.meter.writing():
                answer = await self.call(function, *args, **kwargs)
            if isinstance(answer, Record):  # what is read of it later is charged, too
                answer.blobs = self.reading.records.blobs
            return answer
        finally:
            self._has_written = True
            self.__dict__.pop("loaders", None)
