"""An HTTP server on loopback that plays an agent or a model, and requests for it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ai_coordination_engine.runtime_ports import AgentRequest

BASE: dict[str, Any] = {
    "tenant": "acme",
    "session_uuid": "session-1",
    "session_agent_uuid": "session-agent-1",
    "run_uuid": "run-1",
    "idempotency_key": "operation-1",
    "attempt": 1,
    "agent_uuid": "agent-1",
    "agent_name": "Writer",
    "runtime": {},
    "instructions": "",
    "input": "Write a line.",
    "query": "Write a line.",
    "task_query": "A poem",
    "user_input": None,
    "predecessors": (),
    "input_files": (),
    "thread_uuid": "thread-1",
    "thread": (),
    "timeout_seconds": 60.0,
}


@pytest.fixture
def agent_request() -> Callable[..., AgentRequest]:
    """Return a function that makes a request; arguments that are not given have usual values."""
    return lambda **given: AgentRequest(**{**BASE, **given})


@dataclass
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0  # between two bytes
    silent: bool = False  # answers nothing until the server stops


class AgentServer(ThreadingHTTPServer):
    """Gives the same response to every request and records what it received."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.stopping = threading.Event()
        self.answer = Answer(b"")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answers(self, body: Any, status: int = 200, **how: Any) -> None:
        """Set the response: bytes as they are, anything else as JSON."""
        headers = {"Content-Type": "application/json", **how.pop("headers", {})}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = Answer(raw, status, headers, **how)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect; some tests do so on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: AgentServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(
            Received(self.command, self.path, headers, self.rfile.read(length))
        )
        answer = self.server.answer
        if answer.silent:
            self.server.stopping.wait(10)
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not answer.drip_seconds:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            if self.server.stopping.wait(answer.drip_seconds):
                return
            self.wfile.write(bytes([byte]))

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[AgentServer]:
    with AgentServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.stopping.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def dead_url() -> Iterator[str]:
    """A URL at which nothing listens; its port is bound, so that no other process gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
