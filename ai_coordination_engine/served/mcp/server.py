"""The server: from an HTTP request to a response, or to a stream of events on one machine.

The entrypoints call `answer`. It follows "Streamable HTTP" of revision 2026-07-28, and those of
2025 for clients that begin with `initialize`. The server keeps nothing between requests: what a
client of 2025 can do is written into the session id that it gets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any
from uuid import uuid4

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import CoordinationError, Forbidden, NotFound
from ai_coordination_engine.http_messages import EventStream, Request, Response
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.failures import shown
from ai_coordination_engine.served.mcp import headers, results
from ai_coordination_engine.served.mcp.calls import LOOK_TOOL, MCP, WAIT_SECONDS, Begun, Calls
from ai_coordination_engine.served.mcp.results import Result
from ai_coordination_engine.served.mcp.streams import HEADERS, QUICK_SECONDS, Streams
from ai_coordination_engine.served.mcp.wire import (
    EARLIER,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    SUPPORTED,
    TASKS,
    Answer,
    Call,
    Message,
    Notice,
    WireError,
    id_of,
    parse,
    read,
    takes_forms,
)
from ai_coordination_engine.served.places import Place, Places
from ai_coordination_engine.served.tasks import is_anything_served, served_tasks

PAGE = 50
TASK_SECONDS = 0.5
"""The seconds that a call waits for its result before it is answered by a task."""
_JSON, _EVENTS = "application/json", "text/event-stream"
_HTTP_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404, "THROTTLED": 503}
_INSTRUCTIONS = (
    "Each tool starts a session of agents, which may take minutes, and may ask people before it"
    " goes on."
)
_FORMS = "-form"  # at the end of the session id of a client that takes forms


@dataclass(frozen=True)
class Asked:
    """A request of a tenant, and its message."""

    tenant: str
    request: Request
    message: Message
    version: str


@dataclass(frozen=True)
class McpServer:
    """Serves the exposed tasks of all tenants. `has_streams`: this process can answer by events."""

    app: App
    has_streams: bool = False
    streams: Streams = field(default_factory=Streams)
    places: Places = field(default_factory=Places)

    async def answer(
        self,
        request: Request,
        tenant: Callable[[], str],
        is_allowed: Callable[[str], bool] = lambda origin: True,
    ) -> Response | EventStream:
        """Return the response to a request; never raises.

        `tenant` returns the tenant for which the caller may act, or raises `CoordinationError`.
        `is_allowed`: whether pages of an origin may call the server.
        """
        message: Message = {}
        try:
            origin = request.headers.get("origin")
            if origin is not None and not is_allowed(origin):
                raise Forbidden("this origin is not allowed: add it to ACE_CORS_ORIGINS")
            acting_for = tenant()
            if (refused := _refused(request)) is not None:
                return refused
            message = parse(request.body)
            version = headers.version_of(message, request.headers)
            return await self._answer(Asked(acting_for, request, message, version))
        except WireError as error:
            return _failed(error, message)
        except Exception as error:
            return _shown(error, message)

    async def _answer(self, asked: Asked) -> Response | EventStream:
        found = read(asked.message, asked.version)
        match found:
            case Answer():
                calls = Calls(self.app, asked.tenant)
                await asyncio.to_thread(self.streams.answered, calls, found)
                return Response(202, {})
            case Notice():
                return Response(202, {})
        if found.is_modern:
            headers.check(asked.message, asked.request.headers)
        is_checked = found.method in ("tools/call", *_TASK_METHODS)  # by what they look for
        if not is_checked:
            await asyncio.to_thread(self._check_served, asked.tenant)
        try:
            return await self._called(asked, found)
        except (WireError, CoordinationError) as error:
            if is_checked:
                await asyncio.to_thread(self._check_served, asked.tenant)
            wrong = error if isinstance(error, WireError) else WireError.of(error)
            return _failed(wrong, asked.message, None if found.is_modern else 200)

    async def _called(self, asked: Asked, call: Call) -> Response | EventStream:
        if call.method == "tools/call":
            return await self._call_tool(asked, call)
        known = _MODERN if call.is_modern else _LEGACY
        if call.method not in known:
            raise WireError(METHOD_NOT_FOUND, f"Unknown method: {call.method[:100]}")
        result = await known[call.method](self, asked, call)
        more = {}
        if call.method == "initialize" and self.has_streams:
            can = call.params.get("capabilities")
            end = _FORMS if isinstance(can, Mapping) and takes_forms(can) else ""
            more = {headers.SESSION: uuid4().hex + end}
        return _json(200, {"jsonrpc": "2.0", "id": call.id, "result": result}, more)

    def _check_served(self, tenant: str) -> None:
        """Raise `NotFound` if nothing is exposed."""
        if not is_anything_served(self.app, tenant):
            raise NotFound("nothing is exposed to other systems here")

    async def _call_tool(self, asked: Asked, call: Call) -> Response | EventStream:
        with self.places.place() as place:  # before anything begins
            return await self._called_tool(asked, call, place)

    async def _called_tool(self, asked: Asked, call: Call, place: Place) -> Response | EventStream:
        calls = Calls(self.app, asked.tenant)
        accepts = asked.request.headers.get("accept", "")
        may_stream = self.has_streams and _EVENTS in accepts and not call.has_tasks
        begun = await calls.begin(call, asked.request.headers)
        if not isinstance(begun, Begun):
            return _result(call, results.of(call, begun))
        if call.has_tasks:
            seen = await calls.wait(begun, TASK_SECONDS)
            if seen.has_ended:
                return _result(call, calls.conclude(begun, seen))
            return _result(call, results.of(call, results.task(call, seen), "task"))
        if not may_stream:
            return _result(call, calls.conclude(begun, await calls.wait(begun, WAIT_SECONDS)))
        has_forms = call.is_modern or asked.request.headers.get(headers.SESSION, "").endswith(
            _FORMS
        )
        if call.progress_token is None:
            seen = await calls.wait(begun, QUICK_SECONDS)
            if seen.has_ended or (seen.questions and (call.is_modern or not has_forms)):
                return _result(call, calls.conclude(begun, seen))
        events = self.streams.events(calls, begun, place.keep(), has_forms=has_forms)
        return EventStream(HEADERS, events)

    # Methods

    async def _discover(self, asked: Asked, call: Call) -> Result:
        return results.fresh(
            call,
            {
                "supportedVersions": list(SUPPORTED),
                "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
                "instructions": _INSTRUCTIONS,
            },
        )

    async def _initialize(self, asked: Asked, call: Call) -> Result:
        wanted = call.params.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in EARLIER else EARLIER[-1],
            "capabilities": {"tools": {}},
            "serverInfo": results.SERVER,
            "instructions": _INSTRUCTIONS,
        }

    async def _ping(self, asked: Asked, call: Call) -> Result:
        return {}

    async def _list_tools(self, asked: Asked, call: Call) -> Result:
        cursor = call.params.get("cursor")
        if cursor is not None and not isinstance(cursor, str):
            raise WireError(INVALID_PARAMS, "cursor must be a text.")
        page, after = await asyncio.to_thread(
            served_tasks, self.app, asked.tenant, MCP, cursor, PAGE
        )
        tools = [results.tool(each) for each in page]
        if after is None and not call.is_modern:
            tools.append(dict(LOOK_TOOL))
        more = {} if after is None else {"nextCursor": after}
        return results.fresh(call, {"tools": tools, **more})

    async def _get_task(self, asked: Asked, call: Call) -> Result:
        handle = _task_id(call)
        seen = await asyncio.to_thread(sessions.look, self.app, asked.tenant, handle, MCP)
        return results.of(call, await asyncio.to_thread(results.whole_task, self.app, call, seen))

    async def _update_task(self, asked: Asked, call: Call) -> Result:
        handle, responses = _task_id(call), call.params.get("inputResponses")
        if not isinstance(responses, Mapping):
            raise WireError(INVALID_PARAMS, "inputResponses must be an object.")
        calls = Calls(self.app, asked.tenant)
        note, _ = await asyncio.to_thread(calls.answer, handle, responses)
        if note:
            raise WireError(INVALID_PARAMS, note)
        return results.of(call, {})

    async def _cancel_task(self, asked: Asked, call: Call) -> Result:
        handle = _task_id(call)
        await asyncio.to_thread(sessions.end, self.app, asked.tenant, handle, MCP)
        return results.of(call, {})


_Method = Callable[[McpServer, Asked, Call], Awaitable[Result]]
_TASK_METHODS: Mapping[str, _Method] = {
    "tasks/get": McpServer._get_task,
    "tasks/update": McpServer._update_task,
    "tasks/cancel": McpServer._cancel_task,
}
_MODERN: Mapping[str, _Method] = {
    "server/discover": McpServer._discover,
    "tools/list": McpServer._list_tools,
    **_TASK_METHODS,
}
_LEGACY: Mapping[str, _Method] = {
    "initialize": McpServer._initialize,
    "ping": McpServer._ping,
    "tools/list": McpServer._list_tools,
}


def _task_id(call: Call) -> str:
    if not call.has_tasks:
        needed: dict[str, Any] = {"extensions": {TASKS: {}}}
        raise WireError(
            MISSING_CAPABILITY,
            f"Missing required client capability: {TASKS}",
            {"requiredCapabilities": needed},
        )
    found = call.params.get("taskId")
    if not isinstance(found, str):
        raise WireError(INVALID_PARAMS, "taskId must be a text.")
    return found


def _refused(request: Request) -> Response | None:
    """The response to a request that is none of the protocol; None if it may be one."""
    if request.method != "POST":
        return Response(405, {"allow": "POST"})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        return Response(415, {"accept": _JSON})
    accepts = request.headers.get("accept", "*/*")
    if not any(each in accepts for each in (_JSON, _EVENTS, "*/*", "application/*")):
        return Response(406, {})
    return None


def refusal(error: Exception, request: Request) -> Response:
    """Return the response to a request whose answer cannot be sent."""
    try:
        return _shown(error, parse(request.body))
    except WireError:
        return _shown(error, {})


def _shown(error: Exception, message: Message) -> Response:
    found = shown(error)
    status = _HTTP_STATUS.get(found.code, 500 if found.code == "INTERNAL" else 400)
    more = {"www-authenticate": "Bearer"} if status == 401 else {}
    return _json(status, WireError.of(found).body(id_of(message)), more)


def _result(call: Call, result: Result) -> Response:
    return _json(200, {"jsonrpc": "2.0", "id": call.id, "result": result})


def _failed(error: WireError, message: Message, status: int | None = None) -> Response:
    """The response with an error; `status` None: the one of its code."""
    return _json(error.status if status is None else status, error.body(id_of(message)))


def _json(status: int, body: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Response:
    text = json_text.dumps(dict(body), compact=True)
    return Response(status, {"content-type": _JSON, **(more or {})}, text.encode())
