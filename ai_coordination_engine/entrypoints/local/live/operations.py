"""The results of one operation, of any kind, as texts of JSON."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import DocumentError, Documents
from ai_coordination_engine.api.live.subscription import errors_of, subscription_of
from ai_coordination_engine.api.transport import Parameters, run
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.entrypoints.local.live.feeds import Feeds
from ai_coordination_engine.errors import CoordinationError


class Refusal(Exception):
    """The operation was refused: these `errors` of a GraphQL response are all that there is."""

    def __init__(self, errors: Sequence[dict[str, Any]]) -> None:
        super().__init__("refused")
        self.errors = errors


async def results(
    parameters: Parameters,
    documents: Documents,
    context: Callable[[], Context],
    feeds: Feeds,
) -> AsyncGenerator[str, None]:
    """Yield the results: one of a query or a mutation, any number of a subscription.

    `context` makes a context of the caller's tenant for each execution. Raises `Refusal`.
    """
    try:
        subscription = subscription_of(parameters, documents, context().tenant)
    except (DocumentError, CoordinationError) as error:
        raise Refusal(errors_of(error)) from None
    if subscription is None:
        # a client that leaves does not cut a mutation in half
        running = asyncio.ensure_future(run(parameters, documents, context()))
        payload: Any = await asyncio.shield(running)
        if "data" not in payload:
            raise Refusal(payload["errors"])
        yield json_text.encode(payload).encode(errors="replace").decode()
        return
    async with feeds.watching(subscription, context) as answers:
        async for answer in answers:
            if answer.refusal is not None:
                raise Refusal(answer.refusal)
            yield answer.text
