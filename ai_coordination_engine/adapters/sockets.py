"""Send messages to the WebSocket connections of an API Gateway."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ai_coordination_engine.backend import translated
from ai_coordination_engine.live_ports import ConnectionGone

SERVICE = "the WebSocket API"
_GONE = {"GoneException", "410"}


class ApiGatewaySockets:
    """Implements `live_ports.Sockets`. Thread-safe. The client is created on first use."""

    def __init__(self, make_client: Callable[[], Any]) -> None:
        self._make_client = make_client
        self._lock = threading.Lock()
        self._made: Any = None

    def send(self, connection: str, message: bytes) -> None:
        """PostToConnection."""
        self._call("post_to_connection", ConnectionId=connection, Data=message)

    def close(self, connection: str) -> None:
        """DeleteConnection; API Gateway sends no close code of ours."""
        try:
            self._call("delete_connection", ConnectionId=connection)
        except ConnectionGone:
            return

    def _call(self, operation: str, **arguments: Any) -> None:
        try:
            with translated(SERVICE):
                getattr(self._client(), operation)(**arguments)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                raise ConnectionGone(arguments["ConnectionId"]) from None
            raise

    def _client(self) -> Any:
        with self._lock:  # botocore does not create clients thread-safely
            if self._made is None:
                self._made = self._make_client()
            return self._made
