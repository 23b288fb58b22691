"""The method and the parameters of a request, in either binding."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.a2a import MEDIA_TYPE, Reason
from ai_coordination_engine.http_messages import Request
from ai_coordination_engine.served.a2a.errors import ProtocolError

JSON = "application/json"
_CONFIGS = "pushNotificationConfigs"
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A method with its parameters. `rpc_id`: of the JSON-RPC request, in a list; None in the
    other binding.
    """

    method: str
    params: Params
    rpc_id: tuple[str | int | float] | None = None


def asked_by(request: Request, path: Sequence[str]) -> Asked:
    """What is asked for at this path below the address; raises `ProtocolError`.

    A POST to the address itself is JSON-RPC.
    """
    if not path:
        return _rpc(request)
    methods = _methods(path)
    found = methods.get(request.method)
    if found is None:
        allow = ", ".join(methods)
        refused = ProtocolError(Reason.METHOD_NOT_FOUND, f"use {allow}", status=405)
        refused.headers["allow"] = allow
        raise refused
    name, own = found
    given = dict(request.query) if request.method == "GET" else _body(request, needed=not own)
    return Asked(name, {**given, **own})


def _methods(path: Sequence[str]) -> Mapping[str, tuple[str, Params]]:
    """By HTTP method: the method of the protocol, and the parameters in the path (section 5.3)."""
    match [*path]:
        case ["message:send"]:
            return {"POST": ("SendMessage", {})}
        case ["message:stream"]:
            return {"POST": ("SendStreamingMessage", {})}
        case ["extendedAgentCard"]:
            return {"GET": ("GetExtendedAgentCard", {})}
        case ["tasks"]:
            return {"GET": ("ListTasks", {})}
        case ["tasks", task]:
            return _of_task(task)
        case ["tasks", task, name] if name == _CONFIGS:
            return {
                "POST": ("CreateTaskPushNotificationConfig", {"taskId": task}),
                "GET": ("ListTaskPushNotificationConfigs", {"taskId": task}),
            }
        case ["tasks", task, name, config] if name == _CONFIGS:
            own = {"taskId": task, "id": config}
            return {
                "GET": ("GetTaskPushNotificationConfig", own),
                "DELETE": ("DeleteTaskPushNotificationConfig", own),
            }
    raise ProtocolError(Reason.METHOD_NOT_FOUND, "there is nothing at this path", status=404)


def _of_task(segment: str) -> Mapping[str, tuple[str, Params]]:
    task, _, verb = segment.rpartition(":")
    if verb == "cancel":
        return {"POST": ("CancelTask", {"id": task})}
    if verb == "subscribe":  # GET in the protocol's definition, POST in its text
        return {name: ("SubscribeToTask", {"id": task}) for name in ("POST", "GET")}
    return {"GET": ("GetTask", {"id": segment})}


def _rpc(request: Request) -> Asked:
    if request.method != "POST":
        refused = ProtocolError(Reason.METHOD_NOT_FOUND, "use POST", status=405)
        refused.headers["allow"] = "POST"
        raise refused
    message = _body(request)
    params = message.get("params")
    rpc_id = rpc_id_of(message)
    method = message.get("method")
    if message.get("jsonrpc") != "2.0" or rpc_id is None or not isinstance(method, str):
        raise ProtocolError(
            Reason.INVALID_REQUEST, 'a request has `"jsonrpc": "2.0"`, an `id` and a `method`'
        )
    if params is not None and not isinstance(params, dict):
        raise ProtocolError(Reason.INVALID_PARAMS, "params must be an object")
    return Asked(method, params or {}, rpc_id)


def rpc_id_of(message: Mapping[str, Any]) -> tuple[str | int | float] | None:
    """The id of a JSON-RPC request, in a tuple; None without a valid one."""
    found = message.get("id")
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    return (found,)


def _body(request: Request, *, needed: bool = True) -> Mapping[str, Any]:
    """The JSON object in the body; an empty body is one without parameters, unless it is needed."""
    if not request.body and not needed:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (JSON, MEDIA_TYPE):
        raise ProtocolError(
            Reason.CONTENT_TYPE_NOT_SUPPORTED,
            f"the body must be {MEDIA_TYPE} or {JSON}: set the header Content-Type",
            status=415,
        )
    try:
        value = json_text.loads(request.body.decode())
        if b"\\u" in request.body:  # halves of surrogate pairs are no text
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise ProtocolError(Reason.PARSE_ERROR, "the body must be JSON in UTF-8") from None
    except json_text.NotJSON as error:
        raise ProtocolError(Reason.PARSE_ERROR, f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(
            Reason.INVALID_REQUEST, "the body must be one JSON object; batches are not supported"
        )
    return value
