"""Responses of AWS services over HTTP, checked against the models that the services publish."""

import json
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator


@cache
def _operation(service: str, name: str) -> Any:
    return get_session().get_service_model(service).operation_model(name)


def checked(service: str, operation: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of an operation, if the service's model has such ones."""
    _check(answer, _operation(service, operation).output_shape)
    return answer


def asked(service: str, operation: str, given: Mapping[str, Any]) -> None:
    """Check the parameters of an operation."""
    _check(given, _operation(service, operation).input_shape)


def error(service: str, operation: str, code: str, message: str) -> dict[str, Any]:
    """How `AgentServer.answers` is told of an error that the operation may raise."""
    shapes = {each.name: each for each in _operation(service, operation).error_shapes}
    status = shapes[code].metadata["error"]["httpStatusCode"]
    return {
        "body": {"message": message},
        "status": status,
        "headers": {"x-amzn-ErrorType": code},
    }


def stream(service: str, operation: str, *events: Mapping[str, Any]) -> dict[str, Any]:
    """How it is told of a stream of events, each an object with one member (AWS event stream
    encoding).
    """
    members = _operation(service, operation).output_shape.members["stream"].members
    frames = []
    for each in events:
        ((name, value),) = each.items()
        _check(value, members[name])
        is_error = bool(members[name].metadata.get("exception"))
        kind = "exception" if is_error else "event"
        frames.append(_frame({":message-type": kind, f":{kind}-type": name}, value))
    headers = {"Content-Type": "application/vnd.amazon.eventstream"}
    return {"body": b"".join(frames), "headers": headers}


def _check(value: Any, shape: Any) -> None:
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()


def _frame(headers: Mapping[str, str], value: Any) -> bytes:
    payload = json.dumps(value).encode()
    lines = {**headers, ":content-type": "application/json"}
    head = b"".join(_short(name) + b"\x07" + _long(text) for name, text in lines.items())
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _short(name: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode()


def _long(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()
