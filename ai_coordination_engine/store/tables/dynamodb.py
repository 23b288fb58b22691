"""Tables on DynamoDB.

PynamoDB serialises, names and signs; what it does not offer on a model (the old item of a refused
condition, one connection for six tables) is added here. Errors of the service become errors of ours
at this boundary.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.connection import Connection
from pynamodb.connection.base import MetaTable
from pynamodb.constants import (
    ATTR_DEFINITIONS,
    ATTRIBUTES,
    GLOBAL_SECONDARY_INDEXES,
    INDEX_NAME,
    ITEM,
    KEY_SCHEMA,
    TABLE_NAME,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import charge_write
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.batches import get_items, write_items
from ai_coordination_engine.store.tables.items import (
    Answer,
    Items,
    Query,
    RawItem,
    RawKey,
    Refused,
    Write,
)
from ai_coordination_engine.store.tables.translation import of_the_database


class DynamoDb:
    """The tables of one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._keys: dict[str, tuple[str, str]] = {}  # by table
        self._adding = Lock()

    @property
    def client(self) -> Any:
        """The client of the database, for what is done with whole tables."""
        return self.connection.client

    def items(self, model: type[Record], name: str) -> Items:
        """The items of an existing table; no request is made."""
        with self._adding:
            if name not in self._keys:
                self._add(model, name)
        return _DynamoDbItems(self.connection, model, name)

    def _add(self, model: type[Record], name: str) -> None:
        schema = model.schema()
        self._keys[name] = model.key_names()
        self.connection.add_meta_table(
            MetaTable(
                {
                    TABLE_NAME: name,
                    KEY_SCHEMA: schema["key_schema"],
                    ATTR_DEFINITIONS: schema["attribute_definitions"],
                    GLOBAL_SECONDARY_INDEXES: [
                        {INDEX_NAME: index["index_name"], KEY_SCHEMA: index["key_schema"]}
                        for index in schema["global_secondary_indexes"]
                    ],
                }
            )
        )

    def write_together(self, writes: Sequence[Write]) -> None:
        """TransactWriteItems. The client repeats a request whose answer was lost under the token of
        the first try, so that it counts once.
        """
        charge_write(len(writes))
        try:
            with of_the_database():
                self.connection.dispatch(
                    "TransactWriteItems", {"TransactItems": [*map(self._part, writes)]}
                )
        except ClientError as error:
            # PynamoDB raises its own error from botocore's, and only the latter has the reasons.
            answer = getattr(error.__cause__ or error, "response", {})
            reasons = answer.get("CancellationReasons", ())
            if not any(each.get("Code") == "ConditionalCheckFailed" for each in reasons):
                raise
            raise Refused(None) from None

    def _part(self, write: Write) -> Mapping[str, Any]:
        """The part of the request for one write."""
        part = partial(self.connection.get_operation_kwargs, write.table, condition=write.condition)
        if write.key is not None:
            hash_value, range_value = write.key
            return {"Update": part(hash_value, range_value, actions=write.actions)}
        attributes = dict(write.item or {})
        hash_key, range_key = self._keys[write.table]
        hash_value, range_value = attributes.pop(hash_key)["S"], attributes.pop(range_key)["S"]
        return {"Put": part(hash_value, range_value, key=ITEM, attributes=attributes)}

    def get_items(
        self, wanted: Iterable[tuple[str, RawKey]], *, consistent: bool
    ) -> Iterator[Mapping[str, Sequence[RawItem]]]:
        """One request per 100 keys, of all tables together, and one more for keys left over."""
        return get_items(self.connection, wanted, consistent=consistent)


class _DynamoDbItems:
    """The items of one table. Every method raises `Throttled` when DynamoDB refuses for load, and
    `Unavailable` when it fails or does not answer.
    """

    def __init__(self, connection: Connection, model: type[Record], name: str) -> None:
        self._connection, self._name = connection, name
        self._hash_key, self._range_key = model.key_names()

    def get(self, key: Key, *, consistent: bool) -> RawItem | None:
        """GetItem."""
        with of_the_database():
            answer = self._connection.get_item(
                self._name, key[0], range_key=key[1], consistent_read=consistent
            )
        found: RawItem | None = answer.get(ITEM)
        return found or None

    def put(self, item: RawItem, condition: Condition) -> None:
        """PutItem."""
        attributes = dict(item)
        key = attributes.pop(self._hash_key)["S"], attributes.pop(self._range_key)["S"]
        self._write("PutItem", key, condition, key=ITEM, attributes=attributes)

    def update(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem:
        """UpdateItem."""
        answer = self._write("UpdateItem", key, condition, actions=actions, return_values="ALL_NEW")
        found: RawItem = answer[ATTRIBUTES]
        return found

    def delete(self, key: Key, condition: Condition) -> RawItem:
        """DeleteItem."""
        answer = self._write("DeleteItem", key, condition, return_values="ALL_OLD")
        found: RawItem = answer[ATTRIBUTES]
        return found

    def query(self, query: Query) -> Answer:
        """One Query."""
        with of_the_database():
            found: Answer = self._connection.query(
                self._name,
                query.hash_value,
                index_name=query.index,
                range_key_condition=query.range_condition,
                filter_condition=query.filter_condition,
                exclusive_start_key=query.after,
                limit=query.limit,
                scan_index_forward=query.forward,
                consistent_read=query.consistent,
                attributes_to_get=query.attributes,
                select="COUNT" if query.counts else None,
            )
        return found

    def write_many(self, requests: Iterable[RawKey]) -> None:
        """BatchWriteItem, at most 25 a request."""
        write_items(self._connection, self._name, requests)

    def _write(
        self, operation: str, under: Key, condition: Condition, **arguments: Any
    ) -> Mapping[str, Any]:
        request = self._connection.get_operation_kwargs(
            self._name,
            *under,
            condition=condition,
            return_values_on_condition_failure="ALL_OLD",
            **arguments,
        )
        charge_write()
        try:
            with of_the_database():
                answer: Mapping[str, Any] = self._connection.dispatch(operation, request)
        except ClientError as error:
            if error.response["Error"].get("Code") != "ConditionalCheckFailedException":
                raise
            # PynamoDB raises its own error from botocore's, and only the latter carries the item.
            cause = error.__cause__ or error
            refusal = getattr(cause, "response", {})
            how = refusal.get("ResponseMetadata", {})
            raise Refused(refusal.get("Item"), again=bool(how.get("RetryAttempts"))) from None
        return answer
