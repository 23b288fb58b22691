"""moto's DynamoDB, SQS and S3 as one function from a request to an answer, and fast enough for long
use.

moto is written for tests of a few items: it walks the whole table for a Query of one partition,
copies whole tables for a transaction, walks the botocore model for every attribute of an answer,
and reads the clock three times for every message in the queue when one is sent. It also keeps
whatever it has ever made: the copies of every answer, the receipts of every deleted message; and it
turns what an index of some attributes holds into JSON and back, and asks for five other types
before it compares a text, as a sort does most. What is here avoids these seven and nothing else.
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
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(status: int, code: str, message: str) -> Answer:
    """An error as DynamoDB and SQS phrase it."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0"}, body)


class Call(NamedTuple):
    """What a request asks for, read from its signature and target; `action` is the HTTP method for
    S3.
    """

    service: str
    action: str
    region: str

    @classmethod
    def of(cls, request: Request) -> "Call | None":
        """The call, or None when the request is not signed for one of the embedded services."""
        signature = request.headers.get("Authorization", "")
        scope = signature.partition("Credential=")[2].partition(",")[0].split("/")
        if len(scope) < 5 or scope[-2] not in SERVICES:
            return None
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.method
        return cls(scope[-2], action, scope[-3])


class Tables(DynamoDBBackend):
    """moto's DynamoDB whose queries read one partition and whose transactions copy the items they
    touch.
    """

    def create_table(self, *args: Any, **options: Any) -> Table:
        """Create a table that is not copied for transactions."""
        table = super().create_table(*args, **options)
        # transact_write_items copies every table it touches, to roll back; ours rolls back by item
        table.__deepcopy__ = lambda memo: table  # type: ignore[attr-defined]
        return table

    def query(
        self, table_name: str, hash_key_dict: JSONObject | None, *args: Any, **options: Any
    ) -> Any:
        """Query a partition, or that of an index, as if there were no other."""
        table = self.get_table(table_name)
        everything = table.items
        if options.get("index_name"):
            narrowed = _holding(everything, options.get("hash_key_conditions") or ())
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
        """All or nothing."""
        before = [(name, key, self.image(name, key)) for name, key in self._named(transact_items)]
        try:
            super().transact_write_items(transact_items)
        except BaseException:
            for name, key, image in before:
                self.restore(name, key, image)
            raise

    def keys(self, table_name: str, attributes: JSONObject) -> JSONObject:
        """The key attributes among `attributes` of an item of this table."""
        table = self.get_table(table_name)
        names = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
        return {name: attributes[name] for name in names}

    def image(self, table_name: str, key: JSONObject) -> JSONObject | None:
        """The item as it goes over the wire, or None when there is none."""
        item = self.get_item(table_name, key)
        if item is None:
            return None
        image: JSONObject = json.loads(dynamo_json_dump(dynamo_to_dict(item.attrs)))
        return image

    def restore(self, table_name: str, key: JSONObject, image: JSONObject | None) -> None:
        """Bring an item back to its `image`."""
        if image is None:
            self.delete_item(table_name, key)
        else:
            self.put_item(table_name, image, overwrite=True)

    def _named(self, transact_items: list[JSONObject]) -> Iterator[tuple[str, JSONObject]]:
        for operation in (next(iter(item.values())) for item in transact_items):
            if operation.get("TableName") in self.tables:
                key = operation.get("Key") or self.keys(operation["TableName"], operation["Item"])
                yield operation["TableName"], key


def _holding(items: Any, conditions: Sequence[tuple[str, JSONObject]]) -> Any:
    """The items (of a table with a range key) whose attributes have these values."""
    wanted = [(name, DynamoType(value)) for name, value in conditions]

    def holds(item: Any) -> bool:
        return all(name in item.attrs and item.attrs[name] == value for name, value in wanted)

    found = {
        hash_key: {key: item for key, item in rows.items() if holds(item)}
        for hash_key, rows in items.items()
    }
    return {hash_key: rows for hash_key, rows in found.items() if rows}


class Messages(Queue):
    """moto's queue that reads the clock once for all its messages, and tells which came to it as
    dead letters.
    """

    dead: list[str]

    def add_message(self, message: Message) -> None:
        """Take a message in; one that was received before was moved here by a redrive policy."""
        super().add_message(message)
        if message.approximate_receive_count:
            self.dead.append(message.id)

    def delete_message(self, receipt_handle: str) -> None:
        """Delete a message; one that is gone already is a success, though nothing is remembered of
        it.
        """
        with suppress(ReceiptHandleIsInvalid):
            super().delete_message(receipt_handle)
        self.deleted_messages.clear()

    @property
    def messages(self) -> list[Message]:
        """The visible ones."""
        now = time.time() * 1000
        return [
            each for each in self._messages if each.visible_at < now and each.delayed_until <= now
        ]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """How many are not due yet."""
        now = time.time() * 1000
        return sum(each.delayed_until > now for each in self._messages)

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """How many are in flight."""
        now = time.time() * 1000
        return sum(each.visible_at >= now for each in self._messages)


class Services:
    """DynamoDB, SQS and S3 of one account, empty at first."""

    def __init__(self, account: str) -> None:
        _track_nothing()
        SecondaryIndex.project = _held_by  # type: ignore[assignment,method-assign]
        DynamoType.cast_value = property(_compared)  # type: ignore[assignment,method-assign]
        self.account = account
        self.tables: dict[str, Tables] = {}
        # ids of messages from before the start → epoch seconds
        self.first_sent: dict[str, float] = {}

    def answer(self, call: Call, request: Request) -> Answer:
        """Carry the request out; whatever goes wrong is an answer."""
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
        """The tables of a region."""
        if region not in self.tables:
            self.tables[region] = Tables(region, self.account)
        return self.tables[region]

    def moved(self, region: str) -> Iterator[tuple[str, str]]:
        """The ids of the messages that became dead letters since the last call, and their new
        queues.
        """
        for queue in sqs_backends[self.account][region].queues.values():
            dead = cast(Messages, queue).dead
            while dead:
                yield dead.pop(), queue.name

    def rename_message(self, region: str, queue: str, message_id: str, name: str) -> None:
        """Give a message that was sent just now the id that it had before a restart."""
        for message in reversed(
            cast(Any, sqs_backends[self.account][region].queues[queue])._messages
        ):
            if message.id == message_id:
                message.id = name
                return

    def close(self) -> None:
        """Forget everything."""
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
            respond = _of_place(_S3(self), path)
        return respond(request, request.raw_url, headers)


def _of_place(s3: "_S3", path: str) -> Callable[..., Any]:
    """What answers for a key, for a bucket, or for all of them."""
    if "/" in path:
        return s3.key_response
    return s3.ambiguous_response if path else s3.bucket_response


def _track_nothing() -> None:
    """Free what nobody uses any more: moto lists every instance of its models for its dashboard,
    for good.
    """
    for service in ("dynamodb", "sqs"):
        for model in model_data[service].values():
            cast(Any, model).instances_tracked = deque(maxlen=0)


def _held_by(index: SecondaryIndex, item: Item) -> Item:
    """What an index holds of an item; moto turns the item into JSON and back for each of the
    attributes.
    """
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


_compared_otherwise: Callable[[DynamoType], Any] = cast(Any, DynamoType).cast_value.fget


def _compared(value: DynamoType) -> Any:
    """What is compared of a value, of a text at once: that is what keys are."""
    return value.value if value.type == "S" else _compared_otherwise(value)


def items_as_json(handler: DynamoHandler, action_result: ActionResult) -> Any:
    """An answer about items, which is in the wire's shape already; None for any other answer."""
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
        # told here, not to the queue: moto reckons a message's retention and visibility from when
        # it was sent
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
