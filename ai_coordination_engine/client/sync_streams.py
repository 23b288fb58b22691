"""The client. Made from `async_client.py` by `make client`: do not edit."""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx

from ai_coordination_engine.client import socket_messages
from ai_coordination_engine.client.answers import data_of, lost, place
from ai_coordination_engine.client.endpoint import Bearer
from ai_coordination_engine.client.errors import NotOffered, UnexpectedAnswer, Unreachable
from ai_coordination_engine.client.server_events import STREAM, EventReader

SILENT_SECONDS = 60.0
"""A stream without a sign of life for so long is lost; the server sends one each 12 seconds."""
_LARGEST = 2**26  # bytes of a message
_logger = logging.getLogger("ai_coordination_engine.client.websocket")
_logger.setLevel(logging.INFO)  # below, websockets logs each message, and so the token


@dataclass(frozen=True)
class EventStreams:
    """Subscribes at the endpoint of the queries."""

    http: httpx.Client
    url: httpx.URL

    def results(self, request: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """Yield the responses of one subscription until it is complete.

        Raises `ApiError`: `NotOffered` if the server has no such streams, `Unreachable` when the
        connection is lost.
        """
        body = json.dumps(request, allow_nan=False).encode()
        timeout = httpx.Timeout(**{**self.http.timeout.as_dict(), "read": SILENT_SECONDS})
        try:
            with self.http.stream(
                "POST", self.url, content=body, headers={"accept": STREAM}, timeout=timeout
            ) as response:
                _check(response)
                reader = EventReader()
                for received in response.iter_bytes():
                    for result in reader.results(received):
                        yield result
                    if reader.is_complete:
                        return
        except httpx.HTTPError as error:
            raise lost(error, place(self.url)) from None
        raise Unreachable("the stream ended before the subscription", retryable=True)


def _check(response: httpx.Response) -> None:
    """Raise the error of a response that is no stream."""
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() == STREAM:
        return
    if response.status_code == httpx.codes.NOT_ACCEPTABLE:
        raise NotOffered(f"{place(response.url)} offers no server-sent events")
    response.read()
    data_of(response, lambda _: None)
    raise UnexpectedAnswer("the answer to a subscription is no stream")


@dataclass(frozen=True)
class Sockets:
    """Subscribes over a WebSocket, one connection for each subscription."""

    url: str
    auth: httpx.Auth | None
    tenant: tuple[str | None, str | None]
    is_loopback: bool
    timeout: float

    def results(self, request: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """Yield the responses of one subscription until it is complete; raises `ApiError`."""
        try:
            from websockets.exceptions import (  # noqa: PLC0415
                ConnectionClosed,
                WebSocketException,
            )
            from websockets.sync.client import connect  # noqa: PLC0415 - it is optional
        except ImportError:
            raise NotOffered("a WebSocket needs the package websockets: install it") from None
        try:
            with (
                connect(
                    self.url,
                    subprotocols=[socket_messages.SUBPROTOCOL],  # type: ignore[list-item]
                    additional_headers=self._signature(),
                    proxy=None if self.is_loopback else True,
                    open_timeout=self.timeout,
                    max_size=_LARGEST,
                    logger=_logger,
                ) as socket,
                closing(self._answers(socket, request)) as answers,
            ):
                for answer in answers:
                    yield answer
        except ConnectionClosed as error:
            end = error.rcvd
            code, reason = (end.code, end.reason) if end else (1006, "")
            raise socket_messages.closed(code, reason) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            kind = type(error).__name__
            raise Unreachable(f"{self.url} does not answer ({kind})", retryable=True) from None

    def _answers(self, socket: Any, request: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        socket_messages.check_origin(self.url, socket.protocol)
        token = self.auth.value() if isinstance(self.auth, Bearer) else None
        socket.send(socket_messages.init(token, self.tenant))
        while True:
            kind, payload = socket_messages.received(socket.recv())
            if kind == "connection_ack":
                socket.send(socket_messages.subscribe(request))
            elif kind == "ping":
                socket.send(socket_messages.PONG)
            elif kind == "next" and isinstance(payload, dict):
                yield payload
            elif kind == "complete":
                return

    def _signature(self) -> dict[str, str]:
        """Return the headers with which `auth` signs the request to connect; a token is sent in the
        first message instead.
        """
        if self.auth is None or isinstance(self.auth, Bearer):
            return {}
        request = httpx.Request("GET", self.url.replace("ws", "http", 1))
        before = set(request.headers)
        flow = self.auth.sync_auth_flow(request)
        next(flow)
        flow.close()
        return {name: value for name, value in request.headers.items() if name not in before}
