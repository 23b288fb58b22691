"""The local server: the API, the worker and the queue in one process, on loopback only.

`ace` starts it with `serving`. Its state lies in an SQLite file, unless `AWS_ENDPOINT_URL` names an
AWS or `aws=True` selects the account of the standard variables (`home`).
"""

import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import uvicorn
from pydantic import SecretStr, ValidationError

from ai_coordination_engine import bootstrap
from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.entrypoints.cli.output import VisibleLog
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.entrypoints.local.forks import close_in_children
from ai_coordination_engine.entrypoints.local.home import StartError, home
from ai_coordination_engine.entrypoints.local.http_protocol import BoundedProtocol
from ai_coordination_engine.entrypoints.local.local_guard import LocalGuard
from ai_coordination_engine.entrypoints.local.local_sweep import EVERY_SECONDS, LocalSweep
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.observability import SERVICE, configure, logger
from ai_coordination_engine.settings import OpenAIEndpoint, Settings

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
GRACE_SECONDS = 5.0


class InvalidSetting(StartError):
    """A setting is not valid."""


@dataclass(frozen=True)
class Running:
    """A running server.

    `where` says where the state lies. `model` is the endpoint for agents without a runtime, or
    None. `notes` are lines for the user.
    """

    app: App
    url: str
    where: str
    model: str | None
    notes: list[str]

    @property
    def page(self) -> str:
        """The address to open in a browser."""
        return self.url.removesuffix("graphql")


@contextmanager
def serving(
    settings: Settings,
    *,
    port: int | None = None,
    data_dir: Path | None = None,
    aws: bool = False,
    durability: Durability | None = None,
) -> Iterator[Running]:
    """Run the server while the context is open.

    `port` None means 8000, or a free port when 8000 is taken. Raises `StartError`. Its subclass
    `InvalidSetting` is raised when an allowed function cannot be imported or the default runtime is
    not allowed.
    """
    notes: list[str] = []
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(port, notes))
        found = stack.enter_context(home(data_dir, aws=aws, durability=durability))
        log_to_stderr(settings)
        settings, model = with_model(
            settings.model_copy(update={"auth": "local"})
        )  # safe because only this machine can reach the server
        allow_list = bootstrap.allow_list(settings)
        if problems := list(allow_list.problems()):
            raise InvalidSetting("\nace: ".join(problems))
        app = replace(found.build(settings), allow_list=allow_list)
        app, worker = LocalWorker.of(app)
        worker.start()
        stack.callback(worker.stop, GRACE_SECONDS)
        sweep = LocalSweep(partial(reconcile.sweep, app), partial(send_due, app, EVERY_SECONDS))
        sweep.start()
        stack.callback(sweep.stop, GRACE_SECONDS)
        stack.enter_context(_http(app, listener))
        yield Running(
            app, f"http://{HOST}:{listener.getsockname()[1]}/graphql", found.where, model, notes
        )


def with_model(settings: Settings) -> tuple[Settings, str | None]:
    """Make a configured model the default runtime; return the settings and its endpoint's name.

    The model is the first of `ACE_OPENAI_ENDPOINTS`, or that of `OPENAI_API_KEY`, `OPENAI_BASE_URL`
    and `OPENAI_MODEL`. The settings are unchanged, and the name is None, when there is no model or
    `ACE_DEFAULT_RUNTIME` is set.
    """
    endpoints = settings.openai_endpoints or _endpoint_of_the_environment()
    if not endpoints:
        return settings, None
    settings = settings.model_copy(update={"openai_endpoints": endpoints})
    if "default_runtime" in settings.model_fields_set:
        return settings, None
    name = next(iter(endpoints))
    return (
        settings.model_copy(update={"default_runtime": {"kind": "openai", "endpoint": name}}),
        name,
    )


def _endpoint_of_the_environment() -> dict[str, OpenAIEndpoint]:
    key, base_url = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
    if not key and not base_url:
        return {}
    try:
        endpoint = OpenAIEndpoint(
            base_url=base_url or "https://api.openai.com/v1",
            api_key=SecretStr(key) if key else None,
            model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
        )
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix(
            "Value error, "
        )
        raise InvalidSetting(f"OPENAI_BASE_URL: {reason}") from error
    return {"default": endpoint}


@contextmanager
def _listen(port: int | None, notes: list[str]) -> Iterator[socket.socket]:
    # asyncio disables Nagle's algorithm only when the protocol is given; saves 40 ms a request.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener:
        close_in_children(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wanted = DEFAULT_PORT if port is None else port
        try:
            _bind(listener, wanted)
        except OSError as error:
            if port is not None or error.errno != errno.EADDRINUSE:
                raise StartError(
                    f"Port {wanted} cannot be used: {error.strerror}. Choose another."
                ) from error
            _bind(listener, 0)
            used = listener.getsockname()[1]
            notes.append(
                f"Port {wanted} is busy; using {used}: export API=http://{HOST}:{used}/graphql"
            )
        yield listener


def _bind(listener: socket.socket, port: int) -> None:
    listener.bind((HOST, port))
    listener.listen(2048)  # from now on, connections wait instead of being refused


def log_to_stderr(settings: Settings) -> None:
    """Write the log to stderr, since stdout is for results; show warnings unless a level is set."""
    configure(settings.log_level if "log_level" in settings.model_fields_set else "WARNING")
    for handler in logging.getLogger(SERVICE).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(VisibleLog())
    uvicorn_log = logging.getLogger("uvicorn")
    uvicorn_log.handlers, uvicorn_log.propagate = list(logger.handlers), False
    uvicorn_log.setLevel(logging.WARNING)


@contextmanager
def _http(app: App, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        LocalGuard(asgi_app(app), app.settings.cors_origins),
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="ace-http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(GRACE_SECONDS)
