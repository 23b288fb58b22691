"""The context of one GraphQL request: the application, the tenant, and what the request gathers."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ai_coordination_engine.api.loaders import Loaders
from ai_coordination_engine.engine.app import App

T = TypeVar("T")


class Context:
    """What resolvers get as `info.context`. Made inside the running event loop, once a request."""

    def __init__(self, app: App, tenant: str, method: str = "POST") -> None:
        self.app = app
        self.tenant = tenant
        self.method = method
        self.warnings: list[str] = []
        self.loaders = Loaders(app, tenant)

    def warn(self, warning: str) -> None:
        """Tell the caller something in `extensions.warnings`, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking function beside the event loop."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def change(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking function that writes; what was loaded before it is forgotten."""
        result = await self.call(function, *args, **kwargs)
        self.loaders = Loaders(self.app, self.tenant)
        return result
