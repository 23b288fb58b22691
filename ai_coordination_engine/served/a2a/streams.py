"""The events of a task, on one machine: the task, then what has changed.

The events that answer a message end once the task has ended or asks, those of a subscription only
once it has ended (section 3.1.6): the answer may come from somebody else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.served.a2a.cards import PROTOCOL
from ai_coordination_engine.served.a2a.errors import protocol_error
from ai_coordination_engine.served.a2a.tasks import artifact_of, context_of, status_of, task_of
from ai_coordination_engine.served.sessions import ServedSession
from ai_coordination_engine.served.waiting import seen_until

STREAM_SECONDS = 3_600.0
KEEP_ALIVE_SECONDS = 15.0
HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_KEEP_ALIVE = ":\n\n"
JSONObject = dict[str, Any]


async def settled(app: App, tenant: str, begun: ServedSession, seconds: float) -> ServedSession:
    """The session once it has ended or asks, or when the time is over."""
    seen = begun
    async with aclosing(seen_until(app, tenant, begun, PROTOCOL, seconds)) as looks:
        async for seen in looks:
            if seen.has_ended or seen.questions:
                break
    return seen


async def events_of(
    app: App,
    tenant: str,
    begun: ServedSession,
    history_length: int | None,
    wrap: Callable[[JSONObject], JSONObject],
    failed: Callable[[Exception], JSONObject],
    *,
    until_end: bool = False,
) -> AsyncGenerator[str, None]:
    """Yield the events of a task as texts. `wrap` makes the message of a binding, `failed` that of
    an error. `until_end`: a question does not end them.
    """
    try:
        told = _Told(begun)
        yield _event(wrap({"task": task_of(begun, history_length)}))
        looks = seen_until(app, tenant, begun, PROTOCOL, STREAM_SECONDS)
        async with aclosing(looks):
            async for seen in looks:
                for news in told.news(seen):
                    yield _event(wrap(news))
                if seen.has_ended or (seen.questions and not until_end):
                    return
                if told.is_silent():
                    yield _KEEP_ALIVE
    except Exception as error:
        yield "event: error\n" + _event(failed(protocol_error(error)))


class _Told:
    """What a client was told of a task."""

    def __init__(self, begun: ServedSession) -> None:
        self._status = _without_time(status_of(begun))
        self._artifacts = {each.uuid for each in begun.outputs}
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time()

    def news(self, seen: ServedSession) -> Iterator[JSONObject]:
        """What is new: artifacts first, so that a final status is the last event."""
        names = {"taskId": seen.handle, "contextId": context_of(seen)}
        for each in seen.outputs:
            if each.uuid not in self._artifacts:
                self._artifacts.add(each.uuid)
                update = {**names, "artifact": artifact_of(each), "lastChunk": True}
                yield self._told({"artifactUpdate": update})
        status = status_of(seen)
        if _without_time(status) != self._status:
            self._status = _without_time(status)
            yield self._told({"statusUpdate": {**names, "status": status}})

    def is_silent(self) -> bool:
        """Whether nothing was told for a while; then a sign of life follows."""
        if self._loop.time() - self._at < KEEP_ALIVE_SECONDS:
            return False
        self._at = self._loop.time()
        return True

    def _told(self, news: JSONObject) -> JSONObject:
        self._at = self._loop.time()
        return news


def _without_time(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in status.items() if name != "timestamp"}


def _event(message: JSONObject) -> str:
    return f"data: {json_text.dumps(message, compact=True)}\n\n"
