"""Answers as events, on one machine: progress, questions to clients of 2025, and the result.

A client of 2025 answers a question by a request of its own. The id of the question names its
session, so any process can take the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import field
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.served.failures import shown
from ai_coordination_engine.served.mcp import results
from ai_coordination_engine.served.mcp.calls import MCP, Begun, Calls
from ai_coordination_engine.served.mcp.forms import form_of
from ai_coordination_engine.served.mcp.wire import Answer, WireError
from ai_coordination_engine.served.places import Place
from ai_coordination_engine.served.sessions import Question, ServedSession, stir
from ai_coordination_engine.served.waiting import seen_until

QUICK_SECONDS = 1.0
"""The seconds for which a call waits before its answer becomes a stream."""
STREAM_SECONDS = 600.0
KEEP_ALIVE_SECONDS = 15.0
HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_KEEP_ALIVE = ":\n\n"
_ASKS = "ask"
_MOST_KEPT = 1_000
_DECLINED = ""


@dataclass(frozen=True)
class Streams:
    """The streams of one process. `said`: what became of an answer that was not taken, by the id of
    its question.
    """

    said: dict[str, str] = field(default_factory=dict)

    def answered(self, calls: Calls, answer: Answer) -> None:
        """Take a client's response to a question; what is no such response is ignored."""
        word, _, rest = answer.id.partition(".")
        handle, _, key = rest.partition(".")
        if word != _ASKS or not key:
            return
        response = answer.result if answer.result is not None else {"action": "cancel"}
        try:
            note, is_declined = calls.answer(handle, {key: response})
        except NotFound:
            return
        if note or is_declined:
            while len(self.said) >= _MOST_KEPT:  # of streams that were closed meanwhile
                self.said.pop(next(iter(self.said)))
            self.said[answer.id] = note or _DECLINED
            stir(calls.app, calls.tenant, handle)

    async def events(
        self, calls: Calls, begun: Begun, place: Place, *, has_forms: bool
    ) -> AsyncIterator[str]:
        """Yield the events of a call until its result; then its place is free."""
        try:
            async for event in self._events(calls, begun, has_forms=has_forms):
                yield event
        except Exception as error:
            yield _event(WireError.of(shown(error)).body(begun.call.id))
        finally:
            place.leave()

    async def _events(self, calls: Calls, begun: Begun, *, has_forms: bool) -> AsyncIterator[str]:
        call, seen, told = begun.call, begun.session, _Told(begun)
        is_over = bool(begun.note or begun.is_declined)
        looks = seen_until(calls.app, calls.tenant, seen, MCP, 0 if is_over else STREAM_SECONDS)
        async with aclosing(looks):
            async for seen in looks:
                for event in told.news(seen):
                    yield event
                if seen.questions and (call.is_modern or not has_forms):
                    break
                asked = [self._asked(told, seen, each) for each in seen.questions]
                if None in asked:
                    break  # the user has declined: somebody else may answer, in the inbox
                for event in filter(None, asked):
                    yield event
        result = await asyncio.to_thread(calls.conclude, begun, seen)
        yield _event({"jsonrpc": "2.0", "id": call.id, "result": result})

    def _asked(self, told: "_Told", seen: ServedSession, question: Question) -> str | None:
        """The event that asks a question, if it is new or was answered wrongly; else an empty text.
        None if the user has declined to answer.
        """
        request_id = f"{_ASKS}.{seen.handle}.{question.key}"
        said = self.said.pop(request_id, None)
        if said == _DECLINED:
            return None
        if request_id in told.asked and said is None:
            return ""
        told.asked.add(request_id)
        params = form_of(question)
        if said:
            params["message"] = f"{said}\n\n{params['message']}"
        del params["mode"]  # revision 2025-06-18 has none
        return _event(
            {"jsonrpc": "2.0", "id": request_id, "method": "elicitation/create", "params": params}
        )


class _Told:
    """What the client of one stream was told."""

    def __init__(self, begun: Begun) -> None:
        self.asked: set[str] = set()
        self._token = begun.call.progress_token
        self._ended = -1
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time()

    def news(self, seen: ServedSession) -> list[str]:
        """The events about what is new: progress, or that the stream is alive."""
        now = self._loop.time()
        if self._token is not None and seen.ended > self._ended:
            self._ended, self._at = seen.ended, now
            return [_event(_progress(self._token, seen))]
        if now - self._at < KEEP_ALIVE_SECONDS:
            return []
        self._at = now
        return [_KEEP_ALIVE]


def _progress(token: str | int, seen: ServedSession) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {
            "progressToken": token,
            "progress": seen.ended,
            "total": seen.agents,
            "message": results.progress_message(seen),
        },
    }


def _event(message: Mapping[str, Any]) -> str:
    return f"event: message\ndata: {json_text.dumps(dict(message), compact=True)}\n\n"
