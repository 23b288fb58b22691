"""Create the application for a benchmark: on an SQLite file, on ministack, or in memory."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.settings import Settings
from benchmarks.harness import emulator
from benchmarks.harness.memory import in_memory

Backend = Callable[[], AbstractContextManager[App]]

NOBODY = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": emulator.REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

FUNCTIONS = {
    name: f"benchmarks.functions:{name}" for name in ("sleep", "model", "numbers", "job", "refused")
}


@contextmanager
def sqlite() -> Iterator[App]:
    """Yield an application whose state lies in an SQLite file, with full durability."""
    with (
        tempfile.TemporaryDirectory() as folder,
        isolated(""),
        home(Path(folder) / "data") as found,
    ):
        yield found.build(_settings())


@contextmanager
def ministack() -> Iterator[App]:
    """Yield an application on ministack, a child process; engine and worker run in this process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator.running(Path(folder)) as running,
        _application(running.url) as app,
    ):
        yield app


@contextmanager
def in_process() -> Iterator[App]:
    """Yield an application on DynamoDB in memory, without a server, for counting calls.

    Not for measuring time.
    """
    with mock_aws(), in_memory(), _application("") as app:
        yield app


def offered() -> Mapping[str, Backend]:
    """Return the homes on which time is measured, as far as this machine has them."""
    return {"sqlite": sqlite} | ({"ministack": ministack} if emulator.PYTHON.exists() else {})


def emulated() -> tuple[str, Backend]:
    """Return the AWS on which calls are counted while they take time: ministack, where there is
    one.
    """
    return (
        ("ministack", ministack) if emulator.PYTHON.exists() else ("DynamoDB in memory", in_process)
    )


@contextmanager
def working(app: App) -> Iterator[App]:
    """Run the local worker while the context is open; it is notified of messages as in the local
    server.
    """
    app, worker = LocalWorker.of(app)
    worker.start()
    try:
        yield app
    finally:
        worker.stop(grace=5)


@contextmanager
def _application(endpoint_url: str) -> Iterator[App]:
    """Yield the application on new tables, with a new queue and bucket."""
    with isolated(endpoint_url):
        settings = _settings()
        bootstrap.create_tables(settings)
        yield bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))


def _settings() -> Settings:
    return Settings(auth="local", functions=FUNCTIONS)


@contextmanager
def isolated(endpoint_url: str) -> Iterator[None]:
    """Set the standard AWS variables so that no client can reach an AWS account."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(("AWS_", "ACE_")):
            del os.environ[name]
    os.environ.update(NOBODY | ({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
