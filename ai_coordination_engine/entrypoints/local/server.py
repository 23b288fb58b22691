"""The local server: the API, the worker and the queue in one process, on loopback only.

`ace` starts it with `serving`. Its state lies in an SQLite file, unless `AWS_ENDPOINT_URL` names an
AWS or `aws=True` selects the account of the standard variables (`home`).
"""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.entrypoints.local.address import published
from ai_coordination_engine.entrypoints.local.agreement import shared
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.entrypoints.local.home import StartError, WrongInput, home
from ai_coordination_engine.entrypoints.local.http_protocol import BoundedProtocol
from ai_coordination_engine.entrypoints.local.live.websocket_protocol import BoundedWebSocket
from ai_coordination_engine.entrypoints.local.local_guard import LocalGuard
from ai_coordination_engine.entrypoints.local.local_notices import LocalNotices
from ai_coordination_engine.entrypoints.local.local_settings import local_settings, log_to_stderr
from ai_coordination_engine.entrypoints.local.local_sweep import EVERY_SECONDS, LocalSweep
from ai_coordination_engine.entrypoints.local.working import GRACE_SECONDS, working
from ai_coordination_engine.forks import close_in_children
from ai_coordination_engine.settings import Settings

HOST = "127.0.0.1"
DEFAULT_PORT = 8000


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
    workers: int = 1,
    reload: bool = False,
    is_lasting: bool = True,
) -> Iterator[Running]:
    """Run the server while the context is open.

    `port` None means 8000, or a free port when 8000 is taken. `workers` processes run the agents,
    this one included; with `reload` the others load functions anew when their files change.
    `is_lasting`: other commands may rely on it; else it belongs to a command
    that prints lines of its own. Raises `StartError`. Its subclass `InvalidSetting` is raised when
    an allowed function cannot be imported or the default runtime is not allowed.
    """
    notes: list[str] = []
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(port, notes))
        log_to_stderr(settings, is_readable=not is_lasting)
        settings, model, allow_list = local_settings(settings)
        at = home(data_dir, aws=aws, durability=durability, shared=shared(settings))
        found = stack.enter_context(at)
        if workers > 1 and found.place is None:
            raise WrongInput("--workers is for SQLite; on AWS, start more servers.")
        app = replace(found.build(settings), allow_list=allow_list)
        app = stack.enter_context(working(app, found, workers, reload=reload))
        sweeping, sending = partial(reconcile.sweep, app), partial(send_due, app, EVERY_SECONDS)
        sweep = LocalSweep(sweeping, sending, app.remove_expired)
        sweep.start()
        stack.callback(sweep.stop, GRACE_SECONDS)
        notices = LocalNotices(app)
        notices.start()
        stack.callback(notices.stop, GRACE_SECONDS)
        pids = found.processes.pids if found.processes else tuple
        stack.enter_context(_http(asgi_app(app, pids), settings, listener))
        url = f"http://{HOST}:{listener.getsockname()[1]}/graphql"
        if data_dir and found.processes:
            stack.enter_context(
                published(data_dir, found.processes.name, url, is_lasting=is_lasting)
            )
        yield Running(app, url, found.where, model, notes)


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
                    f"Port {wanted} cannot be used: {error.strerror}. Choose another, or leave out"
                    " --port: then a free one is taken."
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


@contextmanager
def _http(app: ASGIApp, settings: Settings, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        LocalGuard(app, settings.cors_origins),
        http=BoundedProtocol,
        ws=BoundedWebSocket,
        ws_max_size=Limits().body_bytes,
        ws_per_message_deflate=False,
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
