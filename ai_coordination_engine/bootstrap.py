"""Create the `App` on AWS and its adapters from `Settings`.

The entrypoints call this module once per process; `local_bootstrap` is its counterpart for one
machine, and `assembly` what both share. No other module imports `adapters`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from pynamodb.connection import Connection

from ai_coordination_engine.adapters.client_config import client_config
from ai_coordination_engine.adapters.clock import SystemClock
from ai_coordination_engine.adapters.lean.client import lean
from ai_coordination_engine.adapters.s3 import S3Blobs
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.assembly import (
    MAX_RECEIVES,
    application,
    check_budgets,
    check_default_runtime,
    visible_after,
)
from ai_coordination_engine.backend import CONNECT_SECONDS, MAX_CONNECTIONS, READ_SECONDS, TRIES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.settings import ClientKind, Settings, aws_region
from ai_coordination_engine.store.budget_items import BudgetCounter
from ai_coordination_engine.store.models import MODELS
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.creation import create
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.table import table_name

SERVICES = ("apigatewaymanagementapi", "dynamodb", "lambda", "s3", "secretsmanager", "sqs")
"""The services of which clients are made."""


def build_app(settings: Settings) -> App:
    """Create the application for `settings`.

    The DynamoDB and SQS clients are created here; those of S3 and Secrets Manager when they are
    first used. Raises `BadUserInput` when `default_runtime` has an unknown kind.
    """
    check_default_runtime(settings)
    check_budgets(settings)
    kind = settings.aws_client
    database = connect(kind)
    session = database.connection.session
    clock = SystemClock()
    blobs = S3Blobs(partial(client, "s3", session), settings.bucket)
    records = Repository(database, settings.table_prefix, blobs, clock, settings.inline_limit)
    sqs = client("sqs", session, kind=kind)
    return application(settings, records, _queue(settings, sqs), look=_look(settings, sqs))


def _look(settings: Settings, sqs: Any) -> Callable[[str, str], None] | None:
    """As `Notices.look` where a function sends the notices."""
    if not settings.a2a_push or not settings.socket_queue_url:
        return None
    # Imported here because most processes do without: a cold start is without it.
    from ai_coordination_engine.adapters.reminders import SqsReminders  # noqa: PLC0415
    from ai_coordination_engine.live_ports import Look  # noqa: PLC0415

    reminders = SqsReminders(sqs, settings.socket_queue_url)
    return lambda topic, name: reminders.send(Look(topic, name))


def _queue(settings: Settings, sqs: Any) -> SqsQueue:
    if settings.worker_extra not in settings.queue_urls:
        raise BadUserInput("ACE_WORKER_EXTRA needs ACE_AGENTS_QUEUE_URL, the queue of that worker.")
    extras = {name: url for name, url in settings.queue_urls.items() if name}
    return SqsQueue(sqs, settings.queue_url, extras, settings.worker_extra)


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
    _names_services(connection.session)
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
    url: str | None = None,
) -> Any:
    """Create a botocore client; region and credentials come from the standard AWS variables.

    `kind` as in `Settings.aws_client`. `url`: the endpoint, if it is not that of the service.
    """
    config = client_config(read_seconds=read_seconds)
    session = session or _names_services(botocore.session.get_session())
    made = session.create_client(service, aws_region(), config=config, endpoint_url=url)
    return lean(made) if kind == "lean" else made


def _names_services(session: Any) -> Any:
    """Tell a session these services.

    Before it loads the model of one, it would list the folders of all: a sixth of a cold start.
    """
    loader = session.get_component("data_loader")
    # of the class: a session that others use, too, may have been told already
    listed = partial(type(loader).list_available_services, loader)
    loader.list_available_services = lambda type_name: _Services(partial(listed, type_name))
    return session


class _Services:
    """The names of all services; only a look for one that is not in `SERVICES` lists them. The
    credentials of a role, a web identity or a single sign-on need clients of their own.
    """

    def __init__(self, listed: Callable[[], Iterable[str]]) -> None:
        self._listed = listed

    def __contains__(self, name: str) -> bool:
        return name in SERVICES or name in self._listed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())


def create_tables(settings: Settings) -> list[str]:
    """Create the tables that do not exist yet and return their names.

    Used locally and in tests; on AWS the CloudFormation template creates the tables.
    """
    # Imported here because a cold start on AWS does not need it.
    from ai_coordination_engine.store.connections import OPERATIONAL  # noqa: PLC0415

    database = connect()
    models: tuple[type[Record], ...] = (*MODELS, BudgetCounter, *OPERATIONAL)
    names = {model: table_name(settings.table_prefix, model) for model in models}
    return [name for model, name in names.items() if create(database, model, name)]


def dead_letter_queues(settings: Settings) -> list[str]:
    """Return the URLs of the dead-letter queues of all workers' queues.

    Raises `NotFound` when a queue has none.
    """
    return _queue(settings, client("sqs")).dead_letter_urls()


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
