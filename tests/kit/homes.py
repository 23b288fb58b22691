"""Applications on the two homes: SQLite, and an in-process AWS whose DynamoDB is in memory.

A test of `BOTH` that asks for `app` or `shared_app` runs on both homes (promise P11); with
`TEST_HOMES=both` each one does. The mark `only_on` says that it is about one of them.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from ai_coordination_engine import bootstrap, local_bootstrap
from ai_coordination_engine.adapters.sqlite_blobs import SqliteBlobs
from ai_coordination_engine.assembly import MAX_RECEIVES, visible_after
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings, aws_region
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from benchmarks.harness.memory import Database, databases, in_memory
from tests.kit.contents import Contents
from tests.kit.crossing import CrossedTables

HOMES = ("dynamodb", "sqlite")
CI = bool(os.environ.get("CI"))
SLOW = (  # on SQLite only in CI
    "tests/engine/advance/",
    "tests/promises/test_nothing_hangs.py",
    "tests/promises/test_planned_crashes.py",
    "tests/promises/test_questions.py",
)
BOTH = (
    "tests/api/",
    "tests/engine/attempt/",
    "tests/engine/control/",
    "tests/engine/graph/",
    "tests/engine/planning/",
    "tests/engine/scheduling/",
    "tests/engine/test_lost_attempts.py",
    "tests/engine/test_step.py",
    "tests/engine/waits/",
    "tests/promises/test_at_once.py",
    "tests/promises/test_budgets.py",
    "tests/promises/test_crash_points.py",
    "tests/promises/test_elsewhere.py",
    "tests/promises/test_faults.py",
    "tests/promises/test_planned_graphs.py",
    "tests/promises/test_rare_deaths.py",
    "tests/promises/test_same_uuids.py",
    "tests/promises/test_tenants.py",
    "tests/served/a2a/test_pushes.py",
    "tests/served/test_",
    "tests/store/",
    *(SLOW if CI else ()),
)
EVERYWHERE = os.environ.get("TEST_HOMES") == "both"
_connect = bootstrap.connect


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses an application on the homes that it is about."""
    if "app_home" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("only_on")
        is_both = EVERYWHERE or metafunc.definition.nodeid.startswith(BOTH)
        homes = mark.args if mark else HOMES if is_both else HOMES[:1]
        if {"calls", "aws"} & set(metafunc.fixturenames):  # it counts, or breaks, calls to AWS
            homes = ("dynamodb",)
        metafunc.parametrize("app_home", homes, scope="module", indirect=True)


@pytest.fixture(scope="module")
def app_home(request: pytest.FixtureRequest) -> str:
    """The home of the application."""
    return str(request.param)


@pytest.fixture
def aws() -> Iterator[Database]:
    """An in-process AWS whose DynamoDB is `benchmarks.harness.memory`."""
    with mock_aws(), in_memory() as database:
        yield database


@pytest.fixture
def app(app_home: str, settings: Settings, request: pytest.FixtureRequest) -> Iterator[App]:
    """The whole application, with tables, queue and blobs."""
    if app_home == "sqlite":
        with on_sqlite(settings, request.getfixturevalue("tmp_path")) as app:
            yield app
    else:
        request.getfixturevalue("aws")
        yield on_aws(settings)


@pytest.fixture(scope="module")
def shared_app(app_home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application for all tests of a module, since creating one takes longer than most tests.

    The tests use different tenants.
    """
    settings = Settings(auth="local", agent_timeout_seconds=30)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        if app_home == "sqlite":
            with on_sqlite(settings, tmp_path_factory.mktemp("home")) as app:
                yield app
        else:
            with mock_aws(), in_memory():
                yield on_aws(settings)


def on_aws(settings: Settings) -> App:
    """An application on the AWS of this process."""
    with patch.object(bootstrap, "connect", _creating):
        bootstrap.create_tables(settings)
    return bootstrap.build_app(with_queue_and_bucket(settings))


@cache
def _creating() -> DynamoDb:
    """The connection that creates tables, once a process."""
    return _connect()


def with_queue_and_bucket(settings: Settings) -> Settings:
    """What `bootstrap.create_queue_and_bucket` makes for a new AWS, without its requests to moto:
    they took longer than most tests.
    """
    region = aws_region() or os.environ["AWS_DEFAULT_REGION"]
    sqs, s3 = sqs_backends[ACCOUNT][region], s3_backends[ACCOUNT]["aws"]
    name, bucket = f"{settings.table_prefix}-wake", f"{settings.table_prefix}-payloads"
    dead = sqs.create_queue(f"{name}-dead", MessageRetentionPeriod="1209600")
    sqs.create_queue(
        name,
        VisibilityTimeout=str(visible_after(settings)),
        RedrivePolicy={"deadLetterTargetArn": dead.queue_arn, "maxReceiveCount": MAX_RECEIVES},
    )
    if bucket not in s3.buckets:  # of the application of the module
        s3.create_bucket(bucket, region)
    url = f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}"
    return settings.model_copy(update={"queue_url": url, "bucket": bucket})


@contextmanager
def on_sqlite(settings: Settings, folder: Path) -> Iterator[App]:
    """An application on a file in this folder."""
    with closing(DatabaseFile(folder / "ace.db", "none")) as file:
        yield local_bootstrap.build_local_app(settings, file)


# Looking into a home


def contents(records: Repository) -> Database | Contents:
    """What the database of these records holds."""
    database = next(iter(records.tables.values())).database
    if isinstance(database, CrossedTables):
        database = database.database
    return Contents(database) if isinstance(database, SqliteTables) else databases[-1]


def count_blobs(app: App) -> int:
    """How many large values there are."""
    if isinstance(app.records.blobs, SqliteBlobs):
        with app.records.blobs._file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM blobs").fetchone()[0])
    pages = bootstrap.client("s3").get_paginator("list_objects_v2")
    return sum(len(page.get("Contents", ())) for page in pages.paginate(Bucket=app.settings.bucket))
