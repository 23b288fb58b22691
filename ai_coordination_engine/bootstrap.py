"""Create the `App` and its adapters from `Settings`.

The entrypoints call this module once per process. No other module imports `adapters`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from pynamodb.connection import Connection

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.allow_list import SettingsAllowList
from ai_coordination_engine.adapters.clock import SteadyClock, SystemClock
from ai_coordination_engine.adapters.lean.client import lean
from ai_coordination_engine.adapters.message_bodies import message_from_body
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.s3 import S3Blobs
from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.adapters.sqlite_blobs import SqliteBlobs
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.backend import (
    CONNECT_SECONDS,
    MAX_CONNECTIONS,
    READ_SECONDS,
    TRIES,
    client_config,
)
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import AllowList, Queue, Secrets
from ai_coordination_engine.settings import ClientKind, Settings, aws_region
from ai_coordination_engine.store.models import MODELS
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.creation import create
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.parallel import OneTransaction
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.sqlite_check import wrong_rows
from ai_coordination_engine.store.tables.sqlite_orphans import orphans
from ai_coordination_engine.store.tables.table import table_name

# Deliveries of a message before it becomes a dead letter; template.yaml has the same number.
MAX_RECEIVES = 10


def build_app(settings: Settings) -> App:
    """Create the application for `settings`.

    The DynamoDB and SQS clients are created here; those of S3 and Secrets Manager when they are
    first used. Raises `BadUserInput` when `default_runtime` has an unknown kind.
    """
    _check_default_runtime(settings)
    kind = settings.aws_client
    database = connect(kind)
    session = database.connection.session
    clock = SystemClock()
    blobs = S3Blobs(partial(client, "s3", session), settings.bucket)
    records = Repository(database, settings.table_prefix, blobs, clock, settings.inline_limit)
    return _app(settings, records, SqsQueue(client("sqs", session, kind=kind), settings.queue_url))


def build_local_app(
    settings: Settings,
    file: DatabaseFile,
    *,
    process: str = "",
    wake_others: Callable[[], None] = lambda: None,
) -> App:
    """Create the application whose records, queue and large values lie in a file.

    `process` names this process among those that share the file, and `wake_others` tells them that
    there are messages. Raises `BadUserInput` when `default_runtime` has an unknown kind.
    """
    _check_default_runtime(settings)
    clock = SystemClock()
    queue = SqliteQueue(
        file, SteadyClock(), visible_after(settings), MAX_RECEIVES, process, wake_others
    )
    records = Repository(
        SqliteTables(file), settings.table_prefix, SqliteBlobs(file), clock, settings.inline_limit
    )
    records.parallel = OneTransaction(file)
    app = _app(settings, records, queue)
    return replace(app, process=process, state_problem=file.problem)


def state_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with the records, messages and large values of a file, and what to do.

    What a running server is about to write may be among the last two.
    """
    yield from wrong_rows(connection)
    yield from orphans(connection, message_from_body)


def visible_after(settings: Settings) -> int:
    """The seconds after which a message that was received is delivered again."""
    return int(settings.lease_seconds) + 30


def _app(settings: Settings, records: Repository, queue: Queue) -> App:
    secrets = secrets_manager()
    return App(
        settings=settings,
        records=records,
        queue=queue,
        runtimes=RuntimeRegistry(settings, secrets),
        actions=AllowedActionFunctions(settings.action_functions),
        secrets=secrets,
        clock=records.clock,
    )


def _check_default_runtime(settings: Settings) -> None:
    kind = settings.default_runtime["kind"]
    if kind not in KINDS:
        raise BadUserInput(
            f"ACE_DEFAULT_RUNTIME: the kind {kind!r} is unknown; it takes one of:"
            f" {', '.join(KINDS)}."
        )


def allow_list(settings: Settings) -> AllowList:
    """Return the allow-list of `settings`, for a process whose workers use the same settings."""
    actions = AllowedActionFunctions(settings.action_functions)
    return SettingsAllowList(
        RuntimeRegistry(settings, secrets_manager()), actions, settings.default_runtime
    )


def secrets_manager() -> Secrets:
    """Return the reader of secrets; it creates its client when it reads the first secret."""
    return SecretsManager()


def connect(kind: ClientKind = "botocore") -> DynamoDb:
    """Create the one connection that all tables share; `kind` as in `Settings.aws_client`.

    The client is created here rather than at its first use, because botocore does not create
    clients thread-safely.
    """
    connection = Connection(
        region=aws_region(),
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout_seconds=CONNECT_SECONDS,
        read_timeout_seconds=READ_SECONDS,
        max_retry_attempts=TRIES - 1,
    )
    made = connection.client
    if kind == "lean":
        lean(made)
    return DynamoDb(connection)


def client(
    service: str,
    session: Any = None,
    *,
    read_seconds: float = READ_SECONDS,
    kind: ClientKind = "botocore",
) -> Any:
    """Create a botocore client; region and credentials come from the standard AWS variables.

    `kind` as in `Settings.aws_client`.
    """
    config = client_config(read_seconds=read_seconds)
    session = session or botocore.session.get_session()
    made = session.create_client(service, aws_region(), config=config)
    return lean(made) if kind == "lean" else made


def create_tables(settings: Settings) -> list[str]:
    """Create the tables that do not exist yet and return their names.

    Used locally and in tests; on AWS the CloudFormation template creates the tables.
    """
    database = connect()
    names = {model: table_name(settings.table_prefix, model) for model in MODELS}
    return [name for model, name in names.items() if create(database, model, name)]


def dead_letter_queue(settings: Settings) -> str:
    """Return the URL of the dead-letter queue that belongs to `settings.queue_url`.

    Raises `NotFound` when the queue has none.
    """
    return SqsQueue(client("sqs"), settings.queue_url).dead_letter_url()


def _create_queue(settings: Settings) -> str:
    """Create the queue and its dead-letter queue, if they do not exist; return its URL."""
    sqs = client("sqs")
    name = f"{settings.table_prefix}-wake"
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": "1209600"})
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    attributes = {
        "VisibilityTimeout": str(visible_after(settings)),
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES}),
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def create_queue_and_bucket(settings: Settings) -> Settings:
    """Create the queue and the bucket that `settings` do not name; return complete settings."""
    changes: dict[str, Any] = {}
    if not settings.queue_url:
        changes["queue_url"] = _create_queue(settings)
    if not settings.bucket:
        changes["bucket"] = f"{settings.table_prefix}-payloads"
        s3 = client("s3")
        region = s3.meta.region_name
        place = (
            {}
            if region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        try:
            s3.create_bucket(Bucket=changes["bucket"], **place)
        except ClientError as error:
            if error.response["Error"]["Code"] not in (
                "BucketAlreadyOwnedByYou",
                "BucketAlreadyExists",
            ):
                raise
    return settings.model_copy(update=changes)
