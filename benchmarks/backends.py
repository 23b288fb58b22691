"""The application on a backend of its own, as users run it: on the embedded AWS, or with ministack
in its place.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.embedded import EmbeddedAws
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
    name: f"benchmarks.functions:{name}" for name in ("sleep", "numbers", "job", "refused")
}


@contextmanager
def embedded() -> Iterator[App]:
    """In this process."""
    with EmbeddedAws() as aws, _application(aws.endpoint_url) as app:
        yield app


@contextmanager
def ministack() -> Iterator[App]:
    """A process beside this one; the engine and its worker stay in this one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator.running(Path(folder)) as running,
        _application(running.url) as app,
    ):
        yield app


@contextmanager
def in_process() -> Iterator[App]:
    """In this process, without a server: DynamoDB is in memory, for what is counted and not
    measured.
    """
    with mock_aws(), in_memory(), _application("") as app:
        yield app


def offered() -> Mapping[str, Backend]:
    """The backends that this machine has."""
    return (
        {"embedded": embedded, "ministack": ministack}
        if emulator.PYTHON.exists()
        else {"embedded": embedded}
    )


@contextmanager
def working(app: App) -> Iterator[App]:
    """The local worker runs, and hears at once what the app sends, as in the local server."""
    app, worker = LocalWorker.of(app)
    worker.start()
    try:
        yield app
    finally:
        worker.stop(grace=5)


@contextmanager
def _application(endpoint_url: str) -> Iterator[App]:
    """The application; of the caller's environment nothing reaches it, an AWS account least of
    all.
    """
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(("AWS_", "ACE_")):
            del os.environ[name]
    os.environ.update(NOBODY | ({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}))
    try:
        settings = Settings(auth="local", functions=FUNCTIONS)
        bootstrap.create_tables(settings)
        yield bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
    finally:
        os.environ.clear()
        os.environ.update(kept)
