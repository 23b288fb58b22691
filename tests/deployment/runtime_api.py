"""What Lambda offers to the process of a function: its runtime API, on loopback.

AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

SECONDS = 60
BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv[1])
from awslambdaric.__main__ import main
main(sys.argv[1:])
"""
NEXT = "/2018-06-01/runtime/invocation/next"


class Function:
    """A process that serves invocations."""

    def __init__(self) -> None:
        self.events: Queue[Any] = Queue()
        self.answers: Queue[tuple[str, Any]] = Queue()

    def invoke(self, event: Any) -> Any:
        """Return what the function answers; raises `RuntimeError` with its error."""
        self.events.put(event)
        what, answer = self.answers.get(timeout=SECONDS)
        if what != "response":
            raise RuntimeError(answer)
        return answer


class _Server(ThreadingHTTPServer):
    block_on_close = False  # the last request for an event is never answered

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of the process that is killed."""


@contextmanager
def running(python: Path, task_root: Path, handler: str, **variables: str) -> Iterator[Function]:
    """Run a handler as the base image of AWS does: by the runtime interface client of `python`,
    which finds the code in `task_root`, and with these variables alone.
    """
    function = Function()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            assert self.path == NEXT
            body = json.dumps(function.events.get()).encode()
            self.send_response(200)
            self.send_header("lambda-runtime-aws-request-id", "1")
            self.send_header("lambda-runtime-deadline-ms", str(int(time.time() + SECONDS) * 1000))
            self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:::function:f")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            function.answers.put((self.path.rpartition("/")[2], json.loads(body)))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "agents",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "LAMBDA_TASK_ROOT": str(task_root),
            **variables,
        }
        command = [python, "-I", "-c", BOOTSTRAP, task_root, handler]
        with subprocess.Popen(command, cwd=task_root, env=environment) as process:
            try:
                yield function
            finally:
                process.kill()
        server.shutdown()
        thread.join()
