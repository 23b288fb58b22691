"""A receiver of notices over HTTP on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What a receiver has got: paths, headers and bodies. `answer`: the status for a path."""

    url: str = ""
    answer: Callable[[str], int] = lambda path: 200
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, headers: dict[str, str], body: Any) -> None:
        with self._came:
            self.got.append((path, headers, body))
            self._came.notify_all()

    def until(self, count: int, path: str) -> list[Any]:
        """The bodies that came to a path, once there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self._at(path)) >= count, 20), len(self.got)
            return self._at(path)

    def _at(self, path: str) -> list[Any]:
        return [body for at, _, body in self.got if at == path]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver while the context is open."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = found.answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            found.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
