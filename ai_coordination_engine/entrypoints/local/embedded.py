"""An embedded AWS for development and tests: DynamoDB, SQS and S3 in this process, on loopback.

Clients in this process that are created after its start bypass the socket; the answers are the
same.
"""

import json
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS
from moto.core.botocore_stubber import MockRawResponse
from moto.core.request import Request
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from ai_coordination_engine.entrypoints.local.data_dir import DataDirError
from ai_coordination_engine.entrypoints.local.embedded_journal import Journal, restore, unsupported
from ai_coordination_engine.entrypoints.local.embedded_services import (
    Answer,
    Call,
    Services,
    refusal,
)
from ai_coordination_engine.entrypoints.local.journal_file import Unwritable

__all__ = ["DataDirError", "EmbeddedAws"]

_HOST = "127.0.0.1"
_LOOPBACK = (_HOST, "localhost", "[::1]")
_POLL_SECONDS = 0.25  # for delayed messages and visibility timeouts, which cause no event


class EmbeddedAws:
    """Serves moto's DynamoDB, SQS and S3 on 127.0.0.1 while the context is open.

    Requests run one at a time. They must be signed, with any credentials: a web page cannot sign.
    With `data_dir`, a journal in that directory keeps the state across restarts. Raises
    `DataDirError` when the directory is in use or damaged, and `OSError` when the port is taken.
    """

    def __init__(self, data_dir: Path | None = None, port: int = 0) -> None:
        self._data_dir = data_dir
        self._port = port
        self._changed = Condition()
        self._closed = True
        self._journal: Journal | None = None

    def __enter__(self) -> "EmbeddedAws":
        # Bound here because werkzeug exits the process when the port is taken.
        with socket.create_server((_HOST, self._port)) as listener:
            self._server: BaseWSGIServer = make_server(
                _HOST,
                0,
                self._wsgi,
                threaded=True,
                request_handler=_RequestHandler,
                fd=listener.fileno(),
            )
        try:
            self._services = Services(account=_account())
            if self._data_dir:
                self._journal = Journal(self._data_dir)
                self._journal.open(self._services)
        except BaseException:
            self._server.server_close()
            if self._journal:
                self._journal.close()
            raise
        self.endpoint_url = f"http://{_HOST}:{self._server.port}"
        self._closed = False
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        BUILTIN_HANDLERS.append(("before-send", self._answer_in_process))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        BUILTIN_HANDLERS.remove(("before-send", self._answer_in_process))
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._changed:
            self._services.close()
            if self._journal:
                self._journal.close()

    def answer(self, request: Request) -> Answer:
        """Perform one request. A ReceiveMessage that waits does not block other requests."""
        call = Call.of(request)
        if call is None:
            return refusal(
                403, "AccessDeniedException", "Sign the request for dynamodb, sqs or s3."
            )
        if self._journal and unsupported(call):
            return refusal(400, "UnknownOperationException", f"{call.action} cannot be journaled.")
        if call.service == "sqs" and call.action == "POST":
            return refusal(400, "UnsupportedOperation", "Use the JSON protocol of SQS.")
        if call.action == "ReceiveMessage":
            return self._receive(call, request)
        with self._changed:
            answer = self._perform(call, request)
            if call.service == "sqs":
                self._changed.notify_all()
            return answer

    def _perform(self, call: Call, request: Request) -> Answer:
        if self._closed:
            return refusal(503, "ServiceUnavailable", "The embedded AWS is shutting down.")
        if self._journal is None:
            return self._services.answer(call, request)
        before = self._journal.images(call, request, self._services)
        answer = self._services.answer(call, request)
        if answer.status < 300:
            try:
                self._journal.record(call, request, answer, self._services)
            except Unwritable as error:
                restore(before, self._services)
                return _storage_full(error)
        return answer

    def _receive(self, call: Call, request: Request) -> Answer:
        body = json.loads(request.get_data())
        deadline = time.monotonic() + float(body.get("WaitTimeSeconds") or 0)
        at_once = json.dumps({**body, "WaitTimeSeconds": 0}).encode()
        with self._changed:
            while True:
                once = Request.from_primitives(
                    request.method, request.url, dict(request.headers), at_once
                )
                answer = self._perform(call, once)
                left = deadline - time.monotonic()
                if answer.status >= 300 or left <= 0 or json.loads(answer.body).get("Messages"):
                    return answer
                self._changed.wait(min(left, _POLL_SECONDS))
                if self._closed:
                    return answer

    def _wsgi(
        self, environ: dict[str, object], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        request = Request(environ)
        # A web page can make a name of its own resolve to loopback (DNS rebinding).
        if request.host.rsplit(":", 1)[0] not in _LOOPBACK:
            answer = refusal(403, "AccessDeniedException", "Only loopback addresses are served.")
        else:
            answer = self.answer(request)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if request.method != "HEAD":
            headers["content-length"] = str(len(answer.body))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
        return [answer.body]

    def _answer_in_process(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        """Answer botocore's event `before-send`, so that no HTTP request is sent."""
        if self._closed or not request.url.startswith(self.endpoint_url + "/"):
            return None
        sent: object = request.body
        body = sent.read() if hasattr(sent, "read") else sent
        answer = self.answer(
            Request.from_primitives(request.method, request.url, request.headers, body)
        )
        headers = HTTPHeaders.from_dict(answer.headers)
        return AWSResponse(request.url, answer.status, headers, MockRawResponse(answer.body))


class _RequestHandler(MotoRequestHandler):
    """Keeps connections open and logs nothing."""

    protocol_version = "HTTP/1.1"
    timeout = 30.0  # seconds that a client may pause within a request; clients reconnect
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log_error(self, format: str, *args: object) -> None:
        """Log nothing: the client disconnected or was silent for too long."""


def _storage_full(error: Unwritable) -> Answer:
    """Return a 507 ("Insufficient Storage", RFC 4918), which clients do not retry by themselves."""
    message = (
        f"The data directory cannot be written ({error}). Reads still work; writes work again once"
        " there is space."
    )
    return refusal(HTTPStatus.INSUFFICIENT_STORAGE, "InsufficientStorage", message)


def _account() -> str:
    """Return a new account number. moto keeps SQS and S3 by account for the whole process."""
    return str(100_000_000_000 + secrets.randbelow(900_000_000_000))
