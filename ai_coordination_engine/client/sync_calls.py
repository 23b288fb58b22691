"""The client. Made from `async_client.py` by `make client`: do not edit."""

import json
import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from ai_coordination_engine.client.answers import data_of, is_truncated, lost, place, read
from ai_coordination_engine.client.endpoint import (
    Bearer,
    Token,
    checked_websocket,
    endpoint,
    is_loopback,
)
from ai_coordination_engine.client.errors import ApiError
from ai_coordination_engine.client.model import Page
from ai_coordination_engine.client.operation import Operation
from ai_coordination_engine.client.retries import DEFAULT_RETRIES, Retries
from ai_coordination_engine.client.sync_streams import EventStreams, Sockets

T = TypeVar("T")
_logger = logging.getLogger("ai_coordination_engine.client")
_WRITES = ("mutation", "subscription", "askOperationHub")


class Calls:
    """Sends operations and documents to one API; `Client` describes the arguments."""

    def __init__(
        self,
        url: str,
        *,
        tenant: str | None = None,
        token: Token | None = None,
        auth: httpx.Auth | None = None,
        timeout: float = 30.0,
        retries: Retries = DEFAULT_RETRIES,
        websocket_url: str | None = None,
        on_warning: Callable[[str], object] = _logger.warning,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        where = endpoint(url, tenant)
        bearer = None if token is None else Bearer(token)
        local = is_loopback(where.url)
        self._url = where.url
        self._retries = retries
        self._on_warning = on_warning
        self._http = httpx.Client(
            auth=bearer or auth,
            headers=where.headers,
            timeout=timeout,
            transport=transport,
            trust_env=not local,
        )
        self._streams: EventStreams | Sockets = EventStreams(self._http, self._url)
        if websocket_url is not None:
            address = checked_websocket(websocket_url)
            named = where.endpoint_id, where.part_id
            self._streams = Sockets(address, bearer or auth, named, local, timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({place(self._url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        """Return the data of any document.

        `repeatable` says that the client may retry it: by default, if it is surely a query.
        """
        if repeatable is None:
            repeatable = not any(each in document for each in _WRITES)
        return self._execute(document, variables or {}, operation_name, repeatable)

    def send(self, operation: Operation[T]) -> T:
        """Return the typed result of an operation of the module `operations`."""
        data = self._execute(operation.document, operation.variables, None, operation.repeatable)
        return operation.read(data)

    def records(self, operation: Operation[Page[T]]) -> Generator[T]:
        """Yield the records of all pages of a list."""
        while True:
            page = self.send(operation)
            for record in page.records:
                yield record
            if page.next_cursor is None:
                return
            operation = operation.at(page.next_cursor)

    def subscribe(self, operation: Operation[T]) -> Generator[T]:
        """Yield the results of a subscription, first the present one, until the server ends it.

        When the connection is lost, it subscribes again and yields the present result. Raises
        `NotOffered` if the server has no such connections.
        """
        retries, told = self._retries.of_streams(), set[str]()
        attempt, began = 0, 0.0
        while True:
            try:
                with closing(self._results(operation)) as answers:
                    for answer in answers:
                        data = read(answer, partial(self._tell_once, told))
                        # it was too large for a message
                        cut = is_truncated(answer) and operation.is_query_too
                        yield self.send(operation.as_query()) if cut else operation.read(data)
                        attempt = 0
                return
            except ApiError as error:
                began = began if attempt else time.monotonic()
                attempt += 1
                pause = retries.pause(error, attempt, time.monotonic() - began, repeatable=True)
                if pause is None:
                    raise
            time.sleep(pause)

    def _execute(
        self,
        document: str,
        variables: Mapping[str, Any],
        operation_name: str | None,
        repeatable: bool,
    ) -> dict[str, Any]:
        """Send a request until it is answered, or the retries are used up."""
        request = {"query": document, "variables": variables, "operationName": operation_name}
        body = json.dumps(request, allow_nan=False).encode()
        began, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            try:
                return self._post(body)
            except ApiError as error:
                elapsed = time.monotonic() - began
                pause = self._retries.pause(error, attempt, elapsed, repeatable=repeatable)
                if pause is None:
                    raise
            time.sleep(pause)

    def _results(self, operation: Operation[Any]) -> Generator[dict[str, Any]]:
        """Return the responses of one connection for a subscription."""
        request = {"query": operation.document, "variables": operation.variables}
        return self._streams.results(request)

    def _tell_once(self, told: set[str], warning: str) -> None:
        if warning not in told:
            told.add(warning)
            self._on_warning(warning)

    def _post(self, body: bytes) -> dict[str, Any]:
        try:
            response = self._http.post(self._url, content=body)
        except httpx.HTTPError as error:
            raise lost(error, place(self._url)) from None
        data: dict[str, Any] = data_of(response, self._on_warning)
        return data
