"""Run moto's DynamoDB, SQS and S3 on a request, fast enough for long use.

moto is made for tests of a few items. This module replaces seven slow parts and nothing else:

- a Query of one partition walks the whole table;
- a transaction copies whole tables;
- every attribute of a response walks the botocore model;
- sending a message reads the clock three times for each message in the queue;
- copies of responses and receipts of deleted messages are kept for good;
- an index with some attributes converts each item to JSON and back;
- comparing two texts, as sorting does most, first tests for five other types.

Not thread-safe: the caller holds one lock.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

from moto.core.model_instances import model_data
from moto.core.request import Request
from moto.core.responses import ActionResult
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import SecondaryIndex, Table
from moto.dynamodb.models.utilities import dynamo_json_dump, dynamo_to_dict
from moto.dynamodb.responses import DynamoHandler
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, sqs_backends
from moto.sqs.responses import SQSResponse
from werkzeug.exceptions import HTTPException

from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.observability import logger

SERVICES = frozenset({"dynamodb", "sqs", "s3"})

_ONE = {"PutItem", "GetItem", "UpdateItem", "DeleteItem"}
_MANY = {
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactGetItems",
    "TransactWriteItems",
}


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(status: int, code: str, message: str) -> Answer:
    """Return an error in the form of DynamoDB and SQS."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0"}, body)


class Call(NamedTuple):
    """The service and the action of a request, read from its signature and target.

    For S3, `action` is the HTTP method.
    """

    service: str
    action: str
    region: str

    @classmethod
    def of(cls, request: Request) -> "Call | None":
        """Return the call, or None when the request is not signed for one of the embedded
        services.
        """
        signature = request.headers.get("Authorization", "")
        scope = signature.partition("Credential=")[2].partition(",")[0].split("/")
        if len(scope) < 5 or scope[-2] not in SERVICES:
            return None
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.method
        return cls(scope[-2], action, scope[-3])


class Tables(DynamoDBBackend):
    """moto's DynamoDB, with queries that read one partition and transactions that copy single
    items.
    """

    def create_table(self, *args: Any, **options: Any) -> Table:
        """Create a table that transactions do not copy."""
        table = super().create_table(*args, **options)
        # moto copies every table of a transaction to roll it back; this class copies the items.
        table.__deepcopy__ = lambda memo: table  # type: ignore[attr-defined]
        return table

    def query(
        self, table_name: str, hash_key_dict: JSONObject | None, *args: Any, **options: Any
    ) -> Any:
        """Query a partition, of the table or of an index, without reading the others."""
        table = self.get_table(table_name)
        everything = table.items
        if options.get("index_name"):
            narrowed = _matching(everything, options.get("hash_key_conditions") or ())
        elif hash_key_dict is None:
            return super().query(table_name, hash_key_dict, *args, **options)
        else:
            partition = DynamoType(hash_key_dict)
            narrowed = {partition: everything[partition]} if partition in everything else {}
        table.items = narrowed
        try:
            return super().query(table_name, hash_key_dict, *args, **options)
        finally:
            table.items = everything

    def transact_write_items(self, transact_items: list[JSONObject]) -> None:
        """Write all items or none."""
        before = [(name, key, self.image(name, key)) for name, key in self._named(transact_items)]
        try:
            super().transact_write_items(transact_items)
        except BaseException:
            for name, key, image in before:
                self.restore(name, key, image)
            raise

    def keys(self, table_name: str, attributes: JSONObject) -> JSONObject:
        """Return the key attributes among `attributes` of an item of this table."""
        table = self.get_table(table_name)
        names = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
        return {name: attributes[name] for name in names}

    def image(self, table_name: str, key: JSONObject) -> JSONObject | None:
        """Return the item in wire format, or None when it does not exist."""
        item = self.get_item(table_name, key)
        if item is None:
            return None
        image: JSONObject = json.loads(dynamo_json_dump(dynamo_to_dict(item.attrs)))
        return image

    def restore(self, table_name: str, key: JSONObject, image: JSONObject | None) -> None:
        """Set an item to an earlier `image`; None deletes it."""
        if image is None:
            self.delete_item(table_name, key)
        else:
            self.put_item(table_name, image, overwrite=True)

    def _named(self, transact_items: list[JSONObject]) -> Iterator[tuple[str, JSONObject]]:
        for operation in (next(iter(item.values())) for item in transact_items):
            if operation.get("TableName") in self.tables:
                key = operation.get("Key") or self.keys(operation["TableName"], operation["Item"])
                yield operation["TableName"], key


def _matching(items: Any, conditions: Sequence[tuple[str, JSONObject]]) -> Any:
    """Return the items whose attributes have these values; the table has a range key."""
    wanted = [(name, DynamoType(value)) for name, value in conditions]

    def holds(item: Any) -> bool:
        return all(name in item.attrs and item.attrs[name] == value for name, value in wanted)

    found = {
        hash_key: {key: item for key, item in rows.items() if holds(item)}
        for hash_key, rows in items.items()
    }
    return {hash_key: rows for hash_key, rows in found.items() if rows}


class Messages(Queue):
    """moto's queue, with one reading of the clock per request and a list of new dead letters."""

    dead: list[str]

    def add_message(self, message: Message) -> None:
        """Add a message; one that was received before comes from a redrive policy."""
        super().add_message(message)
        if message.approximate_receive_count:
            self.dead.append(message.id)

    def delete_message(self, receipt_handle: str) -> None:
        """Delete a message and keep no record of it; succeeds also when it is deleted already."""
        with suppress(ReceiptHandleIsInvalid):
            super().delete_message(receipt_handle)
        self.deleted_messages.clear()

    @property
    def messages(self) -> list[Message]:
        """The visible messages."""
        now = time.time() * 1000
        return [
            each for each in self._messages if each.visible_at < now and each.delayed_until <= now
        ]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """The number of messages that are delayed."""
        now = time.time() * 1000
        return sum(each.delayed_until > now for each in self._messages)

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """The number of messages in flight."""
        now = time.time() * 1000
        return sum(each.visible_at >= now for each in self._messages)


class Services:
    """DynamoDB, SQS and S3 of one account, initially empty."""

    def __init__(self, account: str) -> None:
        _stop_instance_tracking()
        SecondaryIndex.project = _projected  # type: ignore[assignment,method-assign]
        DynamoType.cast_value = property(_comparable)  # type: ignore[assignment,method-assign]
        self.account = account
        self.tables: dict[str, Tables] = {}
        # When a message from before the start was first sent: its id → epoch seconds.
        self.first_sent: dict[str, float] = {}

    def answer(self, call: Call, request: Request) -> Answer:
        """Perform the request; every error becomes a response."""
        try:
            status, headers, body = self._dispatch(call, request)
        except HTTPException as error:
            status, headers, body = error.code or 500, dict(error.get_headers()), error.get_body()
        except Exception as error:
            logger.exception(
                "the embedded AWS failed", extra={"service": call.service, "action": call.action}
            )
            return refusal(500, "InternalFailure", f"{type(error).__name__}: {error}")
        raw = body.encode() if isinstance(body, str) else body
        return Answer(int(status), {str(name): str(value) for name, value in headers.items()}, raw)

    def in_region(self, region: str) -> Tables:
        """Return the tables of a region."""
        if region not in self.tables:
            self.tables[region] = Tables(region, self.account)
        return self.tables[region]

    def moved(self, region: str) -> Iterator[tuple[str, str]]:
        """Yield the id and the new queue of each message that became a dead letter since the last
        call.
        """
        for queue in sqs_backends[self.account][region].queues.values():
            dead = cast(Messages, queue).dead
            while dead:
                yield dead.pop(), queue.name

    def rename_message(self, region: str, queue: str, message_id: str, name: str) -> None:
        """Give a message that was just sent the id that it had before a restart."""
        for message in reversed(
            cast(Any, sqs_backends[self.account][region].queues[queue])._messages
        ):
            if message.id == message_id:
                message.id = name
                return

    def close(self) -> None:
        """Delete all data."""
        self.tables.clear()
        for backends in (sqs_backends, s3_backends):
            backends[self.account].reset()
            del backends[self.account]

    def _dispatch(self, call: Call, request: Request) -> Any:
        path, headers = request.raw_path.strip("/"), cast(Any, request.headers)
        respond: Callable[..., Any]
        if call.service == "dynamodb":
            respond = _Dynamo(self)._dispatch
        elif call.service == "sqs":
            respond = _Sqs(self)._dispatch
        else:
            respond = _s3_handler(_S3(self), path)
        return respond(request, request.raw_url, headers)


def _s3_handler(s3: "_S3", path: str) -> Callable[..., Any]:
    """Return moto's function for a key, a bucket, or the list of buckets."""
    if "/" in path:
        return s3.key_response
    return s3.ambiguous_response if path else s3.bucket_response


def _stop_instance_tracking() -> None:
    """Let unused objects be freed: moto keeps every instance of its models for its dashboard."""
    for service in ("dynamodb", "sqs"):
        for model in model_data[service].values():
            cast(Any, model).instances_tracked = deque(maxlen=0)


def _projected(index: SecondaryIndex, item: Item) -> Item:
    """Return the attributes of an item that an index contains, without converting them to JSON."""
    if not index.projection or index.projection.get("ProjectionType") not in (
        "KEYS_ONLY",
        "INCLUDE",
    ):
        return item
    names = (
        *index.table_key_attrs,
        *index.schema_key_attrs,
        *index.projection.get("NonKeyAttributes", ()),
    )
    held = Item(item.hash_key, item.range_key, {})
    held.attrs.update({name: item.attrs[name] for name in names if name in item.attrs})
    return held


_cast_other: Callable[[DynamoType], Any] = cast(Any, DynamoType).cast_value.fget


def _comparable(value: DynamoType) -> Any:
    """Return the value to compare; quick for texts, which keys are."""
    return value.value if value.type == "S" else _cast_other(value)


def items_as_json(handler: DynamoHandler, action_result: ActionResult) -> Any:
    """Return the response to a call about items, which is in wire format already; None
    for others.
    """
    result = action_result.result
    if handler._get_action() not in _ONE | _MANY or not isinstance(result, dict):
        return None
    body = dynamo_json_dump({name: value for name, value in result.items() if value is not None})
    return 200, {"Content-Type": "application/x-amz-json-1.0", **handler.response_headers}, body


class _Dynamo(DynamoHandler):
    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        return self.services.in_region(self.region)

    def get_current_account(self) -> str:
        return self.services.account

    def serialized(self, action_result: ActionResult) -> Any:
        return items_as_json(self, action_result) or super().serialized(action_result)


class _Sqs(SQSResponse):
    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services

    def get_current_account(self) -> str:
        return self.services.account

    def create_queue(self) -> Any:
        result = super().create_queue()
        for queue in self.sqs_backend.queues.values():
            if not isinstance(queue, Messages):
                queue.__class__ = Messages  # type: ignore[type-abstract]
                cast(Messages, queue).dead = []
        return result

    def receive_message(self) -> Any:
        # Set in the response only: moto computes retention and visibility from the message's own
        # time.
        result = super().receive_message()
        for message in cast(Any, result.result).get("Messages", ()):
            sent = self.services.first_sent.get(message["MessageId"])
            if sent and "SentTimestamp" in message.get("Attributes", ()):
                message["Attributes"]["SentTimestamp"] = str(int(sent * 1000))
        return result


class _S3(S3Response):
    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services

    def get_current_account(self) -> str:
        return self.services.account
