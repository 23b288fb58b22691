"""In-process drivers of the application: a GraphQL client, a worker, and a counter of AWS calls."""

import asyncio
from collections import Counter
from typing import Any, cast

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.transport import Parameters, run
from ai_coordination_engine.bootstrap import client
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.entrypoints.branches import Branches, Seats
from ai_coordination_engine.entrypoints.local.local_worker import (
    MAX_MESSAGES,
    Messages,
    SqsMessages,
)

DOCUMENTS = Documents(SCHEMA.graphql_schema)


class Api:
    """Runs GraphQL documents in process as the server does."""

    def __init__(self, app: App, runner: asyncio.Runner, tenant: str = "acme") -> None:
        self.app = app
        self.tenant = tenant
        self._runner = runner

    def as_tenant(self, tenant: str) -> "Api":
        """Return the same API for another tenant."""
        return Api(self.app, self._runner, tenant)

    def send(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the whole GraphQL response object."""
        return self._runner.run(self._send(query, variables))

    def data(self, query: str, **variables: Any) -> Any:
        """Return the data of a response that must not have errors."""
        answer = self.send(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def code(self, query: str, **variables: Any) -> str:
        """Return the code of the only error of a response."""
        (error,) = self.send(query, **variables)["errors"]
        return str(error["extensions"]["code"])

    async def _send(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        return await run(
            Parameters(query, None, variables), DOCUMENTS, Context(self.app, self.tenant)
        )


class Worker:
    """Receives messages and processes them one after the other."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.client = None if isinstance(app.queue, Messages) else client("sqs")
        self._messages = (
            app.queue
            if isinstance(app.queue, Messages)
            else SqsMessages(self.client, app.settings.queue_url, cast(Any, app.queue))
        )

    def _branches(self) -> Branches | None:
        is_home = not self.app.records.parallel.has_transactions
        return Branches(Seats(self.app.settings.worker_concurrency - 1)) if is_home else None

    def receive(self) -> list[dict[str, Any]]:
        """Receive up to ten messages."""
        return self._messages.receive(MAX_MESSAGES, wait=False)

    def delete(self, message: dict[str, Any]) -> None:
        """Delete a message from the queue."""
        self._messages.finish(message["ReceiptHandle"], 0)

    def drain(self) -> int:
        """Process messages until none is visible; return their number. Messages that are `Busy`
        stay.
        """
        handled = 0
        while messages := self.receive():
            for message in messages:
                try:
                    read = self._messages.read(message["Body"])
                    process_message(self.app, read, branches=self._branches())
                except Busy:
                    continue
                self.delete(message)
                handled += 1
        return handled


class Calls:
    """Counts AWS calls by operation."""

    def __init__(self, app: App) -> None:
        self.counts: Counter[str] = Counter()
        connection = next(iter(app.records.tables.values())).database
        for made in (connection.client, app.queue._client):  # type: ignore[attr-defined]
            made.meta.events.register("before-call.*.*", self._count)

    def _count(self, model: Any, **_: Any) -> None:
        self.counts[model.name] += 1

    def taken(self) -> dict[str, int]:
        """Return the calls since the last time, by operation."""
        taken, self.counts = dict(self.counts), Counter()
        return taken
