"""Requests of a JSON protocol."""

import json
from collections.abc import Callable
from dataclasses import field
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, HeadersDict

from ai_coordination_engine.data_classes import dataclass


class JsonRequests:
    """A serializer of botocore for requests whose parameters are the JSON to send.

    botocore serialises the first request of an operation; those that follow differ in the body
    only.
    """

    def __init__(self, serializer: Any, operations: frozenset[str]) -> None:
        self._serializer, self._operations = serializer, operations
        self._known: dict[str, dict[str, Any]] = {}  # by operation

    def serialize_to_request(self, parameters: Any, operation: Any) -> dict[str, Any]:
        """The parts of the HTTP request."""
        if (known := self._known.get(operation.name)) is not None:
            try:
                body = json.dumps(parameters).encode()
            except (TypeError, ValueError):
                pass  # a value that botocore encodes, such as bytes
            else:
                return {**known, "headers": dict(known["headers"]), "body": body}
        request: dict[str, Any] = self._serializer.serialize_to_request(parameters, operation)
        if operation.name in self._operations:
            self._known[operation.name] = {**request, "headers": dict(request["headers"])}
        return request


class Headers(dict[str, str]):
    """Headers of a request, each once, with the methods of `HTTPMessage` that botocore uses."""

    replace_header = dict.__setitem__

    def get_all(self, name: str) -> list[str]:
        """The value of a header, in a list."""
        return [self[name]]


@dataclass
class Request:
    """A request before it is signed, with the attributes of botocore's `AWSRequest`."""

    method: str
    url: str
    body: bytes
    headers: Headers
    context: dict[str, Any]
    params: dict[str, str] = field(default_factory=dict)
    stream_output: bool = False


def prepared(
    otherwise: Callable[..., Any],
    events: Any,
    operations: frozenset[str],
    parts: dict[str, Any],
    operation_model: Any,
) -> Any:
    """Create, sign and prepare a request, as `Endpoint.create_request` does."""
    name = operation_model.name
    if name not in operations or not isinstance(parts["body"], bytes):
        return otherwise(parts, operation_model)
    request = Request(
        parts["method"], parts["url"], parts["body"], Headers(parts["headers"]), parts["context"]
    )
    service = operation_model.service_model.service_id.hyphenize()
    events.emit(f"request-created.{service}.{name}", request=request, operation_name=name)
    request.headers["Content-Length"] = str(len(request.body))
    headers: Any = HeadersDict(request.headers)
    return AWSPreparedRequest(
        request.method,
        request.url,
        headers,
        request.body,
        request.stream_output,
        request.context,
    )
