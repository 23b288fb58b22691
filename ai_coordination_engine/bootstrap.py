"""The one place where settings become adapters and adapters become an `App`."""

import json
from functools import partial
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from pynamodb.connection import Connection

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.allow_list import SettingsAllowList
from ai_coordination_engine.adapters.clock import SystemClock
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.s3 import S3Blobs
from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.backend import (
    CONNECT_SECONDS,
    MAX_CONNECTIONS,
    READ_SECONDS,
    TRIES,
    client_config,
)
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import AllowList, Secrets
from ai_coordination_engine.settings import Settings, aws_region
from ai_coordination_engine.store.models import MODELS
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.creation import create
from ai_coordination_engine.store.tables.table import Table

# then a message whose step raises each time becomes a dead letter; as in template.yaml
MAX_RECEIVES = 10


def build_app(settings: Settings) -> App:
    """The application that `settings` describe. Clients are made here, once a process; S3 and
    secrets at first use.

    Raises `BadUserInput` for a default runtime of an unknown kind.
    """
    kind = settings.default_runtime["kind"]
    if kind not in KINDS:
        raise BadUserInput(
            f"ACE_DEFAULT_RUNTIME: the kind {kind!r} is unknown; it takes one of:"
            f" {', '.join(KINDS)}."
        )
    connection = connect()
    session = connection.session
    clock = SystemClock()
    blobs = S3Blobs(partial(client, "s3", session), settings.bucket)
    secrets = secrets_manager()
    records = Repository(connection, settings.table_prefix, blobs, clock, settings.inline_limit)
    return App(
        settings=settings,
        records=records,
        queue=SqsQueue(client("sqs", session), settings.queue_url),
        runtimes=RuntimeRegistry(settings, secrets),
        actions=AllowedActionFunctions(settings.action_functions),
        secrets=secrets,
        clock=clock,
    )


def allow_list(settings: Settings) -> AllowList:
    """What `settings` allow, for a process whose workers have the same settings."""
    actions = AllowedActionFunctions(settings.action_functions)
    return SettingsAllowList(
        RuntimeRegistry(settings, secrets_manager()), actions, settings.default_runtime
    )


def secrets_manager() -> Secrets:
    """What reads the secrets that settings name; its client is made when the first is read."""
    return SecretsManager()


def connect() -> Connection:
    """One connection for all tables, its client made now: botocore does not make clients
    thread-safely.
    """
    connection = Connection(
        region=aws_region(),
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout_seconds=CONNECT_SECONDS,
        read_timeout_seconds=READ_SECONDS,
        max_retry_attempts=TRIES - 1,
    )
    _ = connection.client
    return connection


def client(service: str, session: Any = None, *, read_seconds: float = READ_SECONDS) -> Any:
    """A botocore client; the standard AWS variables say where and as whom."""
    config = client_config(read_seconds=read_seconds)
    return (session or botocore.session.get_session()).create_client(
        service, aws_region(), config=config
    )


def create_tables(settings: Settings) -> list[str]:
    """Create the tables that do not exist yet, and return their names. In the cloud the template
    does it.
    """
    connection = connect()
    return [
        table.name
        for table in (Table(model, connection, settings.table_prefix) for model in MODELS)
        if create(table)
    ]


def dead_letter_queue(settings: Settings) -> str:
    """The URL of the queue that takes what the queue of `settings` gives up on; raises `NotFound`
    when it has none.
    """
    return SqsQueue(client("sqs"), settings.queue_url).dead_letter_url()


def _create_queue(settings: Settings) -> str:
    """The URL of the queue, created with its dead-letter queue if need be."""
    sqs = client("sqs")
    name = f"{settings.table_prefix}-wake"
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": "1209600"})
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    attributes = {
        "VisibilityTimeout": str(int(settings.lease_seconds) + 30),
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES}),
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def create_queue_and_bucket(settings: Settings) -> Settings:
    """Settings completed by a queue and a bucket, created where they name none."""
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
