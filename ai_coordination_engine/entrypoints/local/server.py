"""The local server: the API, the worker and the queue in one process, on loopback only.

AWS is the embedded one, unless `AWS_ENDPOINT_URL` names another or `aws=True` means the account of
the standard variables. A single service can be moved out with its own variable, e.g.
`AWS_ENDPOINT_URL_DYNAMODB`.
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
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.entrypoints.cli.output import VisibleLog
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.entrypoints.local.embedded import DataDirError, EmbeddedAws
from ai_coordination_engine.entrypoints.local.http_protocol import BoundedProtocol
from ai_coordination_engine.entrypoints.local.local_guard import LocalGuard
from ai_coordination_engine.entrypoints.local.local_sweep import EVERY_SECONDS, LocalSweep
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.observability import SERVICE, configure, logger
from ai_coordination_engine.settings import OpenAIEndpoint, Settings

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
GRACE_SECONDS = 5.0
REGION = "us-east-1"


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class WrongSetting(StartError):
    """A setting names what is not there."""


@dataclass(frozen=True)
class Running:
    """A server that serves. `model` names the endpoint of agents without a runtime; `notes` are for
    people.
    """

    app: App
    url: str
    aws: str
    model: str | None
    notes: list[str]

    @property
    def page(self) -> str:
        """The address to open in a browser."""
        return self.url.removesuffix("graphql")


@contextmanager
def serving(
    settings: Settings, *, port: int | None = None, data_dir: Path | None = None, aws: bool = False
) -> Iterator[Running]:
    """Serve while the context is open; port None is 8000 or, when that is taken, another.

    Raises `StartError`; of it `WrongSetting` when an allow-list names a function that does not
    load, or the default runtime is not allowed.
    """
    notes: list[str] = []
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(port, notes))
        endpoint = stack.enter_context(chosen_aws(data_dir, aws=aws))
        log_to_stderr(settings)
        settings, model = with_a_model(
            settings.model_copy(update={"auth": "local"})
        )  # only this machine can reach the server
        allow_list = bootstrap.allow_list(settings)
        if problems := list(allow_list.problems()):
            raise WrongSetting("\nace: ".join(problems))
        bootstrap.create_tables(settings)
        app = replace(
            bootstrap.build_app(bootstrap.create_queue_and_bucket(settings)), allow_list=allow_list
        )
        if data_dir:  # locked by this process: every earlier holder of a lease is dead
            app = replace(app, alone_since=app.clock.now().timestamp())
        app, worker = LocalWorker.of(app)
        worker.start()
        stack.callback(worker.stop, GRACE_SECONDS)
        sweep = LocalSweep(partial(reconcile.sweep, app), partial(send_due, app, EVERY_SECONDS))
        sweep.start()
        stack.callback(sweep.stop, GRACE_SECONDS)
        stack.enter_context(_http(app, listener))
        yield Running(
            app, f"http://{HOST}:{listener.getsockname()[1]}/graphql", endpoint, model, notes
        )


def with_a_model(settings: Settings) -> tuple[Settings, str | None]:
    """Settings whose default runtime is a model, if one is configured, and the name of its
    endpoint.

    That is the first of `ACE_OPENAI_ENDPOINTS`, or what `OPENAI_API_KEY`, `OPENAI_BASE_URL` and
    `OPENAI_MODEL` say. An explicit `ACE_DEFAULT_RUNTIME` stays.
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
        raise WrongSetting(f"OPENAI_BASE_URL: {reason}") from error
    return {"default": endpoint}


@contextmanager
def _listen(port: int | None, notes: list[str]) -> Iterator[socket.socket]:
    # naming the protocol lets asyncio turn Nagle's algorithm off: 40 ms a request
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener:
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
    listener.listen(2048)  # from here on connections wait instead of being refused


def has_endpoint() -> bool:
    """Whether the standard variable names an AWS."""
    return bool(os.environ.get("AWS_ENDPOINT_URL"))


@contextmanager
def chosen_aws(data_dir: Path | None, *, aws: bool) -> Iterator[str]:
    """Where AWS is while the context is open, started if it is the embedded one. Raises
    `StartError`.
    """
    if aws or has_endpoint():
        if data_dir:
            raise StartError(
                "A data directory belongs to the embedded AWS; it cannot be used with another."
            )
        yield os.environ.get("AWS_ENDPOINT_URL") or "the AWS account of the environment"
        return
    with ExitStack() as stack:
        try:
            embedded = stack.enter_context(EmbeddedAws(data_dir))
        except DataDirError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise StartError(f"{data_dir} cannot be used: {error.strerror or error}.") from error
        stack.enter_context(_environment(embedded.endpoint_url))
        yield embedded.endpoint_url


@contextmanager
def _environment(endpoint: str) -> Iterator[None]:
    """The standard variables, as the clients of this process are to find them."""
    before = dict(os.environ)
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    if not any(name.startswith("AWS_ENDPOINT_URL_") for name in before):
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            os.environ.pop(name, None)
        os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        os.environ |= {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}  # data is kept by region
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def log_to_stderr(settings: Settings) -> None:
    """Standard output belongs to results; people see warnings only, unless they ask for more."""
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
