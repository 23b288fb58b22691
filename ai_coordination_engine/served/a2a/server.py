"""The server: from an HTTP request to a response, or to a stream of events on one machine.

Both bindings are below one address of a tenant: a POST to the address itself is JSON-RPC, the paths
below it are HTTP+JSON. Source: "Agent2Agent (A2A) Protocol Specification" 1.0, sections 9 and 11.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import field
from functools import partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import a2a, json_text, trace_context
from ai_coordination_engine.domain.a2a import Reason
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served.a2a import wire
from ai_coordination_engine.served.a2a.errors import ProtocolError, protocol_error
from ai_coordination_engine.served.a2a.methods import METHODS, STREAMS, Caller, begun, subscribed
from ai_coordination_engine.served.a2a.routes import JSON, Asked, asked_by
from ai_coordination_engine.served.a2a.streams import HEADERS, events_of
from ai_coordination_engine.served.places import Place, Places
from ai_coordination_engine.served.tasks import is_anything_served

WAIT_SECONDS = 20.0
"""For which SendMessage waits on AWS, where a function ends after 29 seconds."""
LONG_WAIT_SECONDS = 300.0
CARD_SECONDS = 60
JSONObject = dict[str, Any]
RpcId = tuple[str | int | float]


@dataclass(frozen=True)
class A2AServer:
    """Serves the exposed tasks of all tenants. `has_streams`: this process can answer by events."""

    app: App
    has_streams: bool = False
    places: Places = field(default_factory=Places)

    async def answer(
        self, request: Request, tenant: Callable[[], str], url: str, path: Sequence[str]
    ) -> Response | EventStream:
        """Return the response to a request at a path below the address `url`; never raises.

        `tenant` returns the tenant for which the caller may act, or raises `CoordinationError`.
        """
        rpc_id: RpcId | None = None
        try:
            caller = self._caller(request, tenant(), url)
            await asyncio.to_thread(self._check_served, caller.tenant)
            asked = asked_by(request, path)
            rpc_id = asked.rpc_id
            _check_version(request)
            _check_tenant(asked, request)
            if asked.method in STREAMS:
                return await self._stream(caller, asked)
            if asked.method not in METHODS:
                raise ProtocolError(
                    Reason.METHOD_NOT_FOUND, f"unknown method: {asked.method[:100]}"
                )
            return _answered(await METHODS[asked.method](caller, asked.params), rpc_id)
        except Exception as error:
            return failed(error, rpc_id, is_rpc=not path)

    async def card(self, request: Request, tenant: Callable[[], str], url: str) -> Response:
        """Return the response to a request for the card; never raises."""
        try:
            caller = self._caller(request, tenant(), url)
            if request.method not in ("GET", "HEAD"):
                refused = ProtocolError(Reason.METHOD_NOT_FOUND, "use GET", status=405)
                refused.headers["allow"] = "GET"
                raise refused
            card = await asyncio.to_thread(caller.card)
        except Exception as error:
            return failed(error, None, is_rpc=False)
        tag = f'"{card["version"]}"'
        headers = {"etag": tag, "cache-control": f"max-age={CARD_SECONDS}"}
        if request.headers.get("if-none-match") == tag:
            return Response(304, headers)
        return _json(200, card, JSON, headers)

    def _caller(self, request: Request, tenant: str, url: str) -> Caller:
        seconds = LONG_WAIT_SECONDS if self.has_streams else WAIT_SECONDS
        trace = trace_context.given(request.headers)
        return Caller(
            self.app, tenant, url, trace, seconds, self.places, streaming=self.has_streams
        )

    def _check_served(self, tenant: str) -> None:
        if not is_anything_served(self.app, tenant):
            raise NotFound("nothing is exposed to other systems here")

    async def _stream(self, caller: Caller, asked: Asked) -> EventStream:
        if not self.has_streams:
            raise ProtocolError(
                Reason.UNSUPPORTED_OPERATION,
                "this agent does not stream: use SendMessage and GetTask",
            )
        with self.places.place() as place:  # before anything begins
            return await self._streamed(caller, asked, place)

    async def _streamed(self, caller: Caller, asked: Asked, place: Place) -> EventStream:
        length = None
        if is_subscription := asked.method == "SubscribeToTask":
            seen = await subscribed(caller, asked.params)
        else:
            sent = wire.sent(asked.params)
            length = sent.history_length
            seen = await begun(caller, sent)
        wrap = partial(_result, asked.rpc_id)
        events = events_of(
            caller.app,
            caller.tenant,
            seen,
            length,
            wrap,
            partial(_error, asked.rpc_id),
            until_end=is_subscription,
        )
        return EventStream(HEADERS, _placed(events, place.keep()))


async def _placed(events: AsyncGenerator[str, None], place: Place) -> AsyncIterator[str]:
    """Yield the events; then the place of their caller is free."""
    try:
        async with aclosing(events):
            async for each in events:
                yield each
    finally:
        place.leave()


def failed(error: Exception, rpc_id: RpcId | None, *, is_rpc: bool) -> Response:
    """The response to a request that is refused, for any exception."""
    refused = protocol_error(error)
    if is_rpc:
        # what is wrong with the request itself is told by the status, too
        status = refused.status if refused.is_of_transport else 200
        body = {"jsonrpc": "2.0", "id": rpc_id[0] if rpc_id else None, "error": refused.as_rpc()}
        return _json(status, body, JSON, refused.headers)
    return _json(refused.status, refused.as_status(), a2a.MEDIA_TYPE, refused.headers)


def _check_version(request: Request) -> None:
    """Raise `ProtocolError` for another version; none means 0.3 (section 3.6.2)."""
    name = a2a.VERSION_HEADER
    given = request.headers.get(name.lower()) or dict(request.query).get(name, "")
    if not a2a.is_supported(given):
        raise ProtocolError(
            Reason.VERSION_NOT_SUPPORTED,
            f"version {given[:20] or '0.3'} is not supported: send {name}: {a2a.VERSION}",
            supportedVersions=a2a.VERSION,
        )


def _check_tenant(asked: Asked, request: Request) -> None:
    """Raise `ProtocolError` for a tenant in the parameters: the card names none."""
    if asked.params.get("tenant") not in (None, "", request.headers.get("part-id")):
        raise ProtocolError(
            Reason.INVALID_PARAMS,
            "tenant: the path and the header Part-Id name the tenant",
            field="tenant",
        )


def _answered(result: JSONObject, rpc_id: RpcId | None) -> Response:
    media_type = a2a.MEDIA_TYPE if rpc_id is None else JSON
    return _json(200, _result(rpc_id, result), media_type, {})


def _result(rpc_id: RpcId | None, result: JSONObject) -> JSONObject:
    return result if rpc_id is None else {"jsonrpc": "2.0", "id": rpc_id[0], "result": result}


def _error(rpc_id: RpcId | None, error: Exception) -> JSONObject:
    refused = protocol_error(error)
    if rpc_id is None:
        return refused.as_status()
    return {"jsonrpc": "2.0", "id": rpc_id[0], "error": refused.as_rpc()}


def _json(status: int, body: JSONObject, media_type: str, headers: Mapping[str, str]) -> Response:
    text = json_text.dumps(body, compact=True).encode(errors="replace")
    fixed = {"content-type": f"{media_type}; charset=utf-8", "cache-control": "no-store"}
    return Response(status, {**fixed, **headers}, text)
