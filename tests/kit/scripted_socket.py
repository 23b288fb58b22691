"""A WebSocket server that follows a script, for the tests of the Python client."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.server import ServerConnection, serve

from ai_coordination_engine.client import Operation

TICKS: Operation[int] = Operation(
    "ticks", "subscription { tick }", {}, ("tick",), int, repeatable=True
)
Script = Callable[[ServerConnection], None]


@contextmanager
def socket_server(*scripts: Script) -> Iterator[str]:
    """A WebSocket server that serves its first connection with the first script, and so on."""
    waiting = iter(scripts)
    lock = threading.Lock()

    def handle(connection: ServerConnection) -> None:
        with lock:
            script = next(waiting)
        script(connection)

    with serve(handle, "127.0.0.1", 0, subprotocols=["graphql-transport-ws"]) as server:  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/live"
        finally:
            server.shutdown()
            thread.join()


def script(*messages: dict[str, Any], code: int | None = None, reason: str = "") -> Script:
    def run(connection: ServerConnection) -> None:
        begin = json.loads(connection.recv())
        assert begin["payload"] == {
            "authorization": "Bearer secret",
            "endpointId": "acme",
            "partId": "eu",
        }
        connection.send('{"type": "ping"}')
        assert json.loads(connection.recv()) == {"type": "pong"}
        connection.send('{"type": "connection_ack"}')
        subscribed = json.loads(connection.recv())
        assert subscribed["payload"] == {"query": TICKS.document, "variables": {}}
        for message in messages:
            connection.send(json.dumps({"id": subscribed["id"], **message}))
        if code is None:
            connection.recv()  # until the client has gone
        connection.close(code or 1000, reason)

    return run


def next_tick(number: int) -> dict[str, Any]:
    return {"type": "next", "payload": {"data": {"tick": number}}}


COMPLETE = {"type": "complete"}
