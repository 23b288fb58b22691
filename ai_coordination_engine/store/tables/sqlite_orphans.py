"""What an SQLite file holds that belongs to nothing: records, messages and large values."""

from collections.abc import Callable, Iterator, Mapping
from sqlite3 import Connection
from typing import Any

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import CancelJob, QueueMessage, Wake
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent, TaskSchedule
from ai_coordination_engine.store.parent_keys import SEPARATOR, ParentKey
from ai_coordination_engine.store.payload import REFERENCE
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import ENTITIES, Entity
from ai_coordination_engine.store.tables.items import RawItem
from ai_coordination_engine.store.tables.sqlite_check import CheckedTable, checked_tables, told
from ai_coordination_engine.store.tables.table_keys import TableKeys

Tables = Mapping[tuple[str, type[Record]], CheckedTable]
_PLACE = 4  # parts of a blob's key that name its record


def orphans(connection: Connection, read: Callable[[str], QueueMessage]) -> Iterator[str]:
    """Yield what belongs to nothing, and what to do; `read` reads the body of a message."""
    tables = {(each.prefix, each.model): each for each in checked_tables(connection)}
    for entity in ENTITIES:
        for (_, model), table in tables.items():
            if model is entity.model and entity.parent is not None:
                found = _without_parent(connection, tables, table, entity)
                yield from told(table.layout.name, found, "delete it, or restore a backup")
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "messages" in known:
        found = _messages(connection, tables, read)
        yield from told("messages", found, "the worker, or ace dlq redrive, removes it")
    if "blobs" in known:
        yield from told("blobs", _unnamed(connection, tables), "it only takes space")
        yield from told("blobs", _missing(connection, tables), "restore the file from a backup")


def _exists(connection: Connection, table: CheckedTable | None, key: Key) -> bool:
    return table is not None and connection.execute(table.layout.select, key).fetchone() is not None


def _without_parent(
    connection: Connection, tables: Tables, table: CheckedTable, entity: Entity[Any]
) -> Iterator[str]:
    parent = entity.parent
    assert parent is not None
    for item in table.items(connection):
        tenant, own = _text(item, "partition_key"), _own_key(entity.model, item)
        above = tenant if parent.parent is None else _text(item, "coordination_uuid")
        # the row of a session keeps its reservation when it starts
        is_reserved = "unconfirmed" in item and "plan_hash" not in item
        if own[0].startswith(SEPARATOR) or is_reserved or not above:
            continue  # an internal item, or one that is being created
        key = TableKeys(parent.model).stored_key(tenant, (above, own[0]))
        if not _exists(connection, tables.get((table.prefix, parent.model)), key):
            yield f"the {entity.name} {own[1]} is of a {parent.name} that does not exist: {own[0]}"


def _messages(
    connection: Connection, tables: Tables, read: Callable[[str], QueueMessage]
) -> Iterator[str]:
    for number, body in connection.execute("SELECT id, body FROM messages ORDER BY id"):
        try:
            message = read(body)
        except BadUserInput:
            yield f"the message {number} cannot be read"
            continue
        if isinstance(message, CancelJob):  # its agent need not exist any more
            continue
        model = SessionAgent if isinstance(message, Wake) else TaskSchedule
        key = TableKeys(model).stored_key(message.tenant, message.key)
        of_model = [each for each in tables.values() if each.model is model]
        if not any(_exists(connection, each, key) for each in of_model):
            what = "session agent" if isinstance(message, Wake) else "task schedule"
            yield f"the message {number} is for a {what} that does not exist: {message.key[1]}"


def _unnamed(connection: Connection, tables: Tables) -> Iterator[str]:
    """Large values whose record is gone. An earlier value of a record that exists is not one."""
    places = {_place(key): key for (key,) in connection.execute("SELECT key FROM blobs")}
    if not places:
        return
    for (_, model), table in tables.items():
        entity = next((each for each in ENTITIES if each.model is model), None)
        for item in table.items(connection) if entity else ():
            tenant, nonce = _text(item, "partition_key"), _text(item, "nonce") or None
            prefix = blob_prefix(entity, tenant, _own_key(model, item), nonce)  # type: ignore[arg-type]
            places.pop(prefix.removesuffix("/"), None)
    for key in places.values():
        yield f"the large value {key} is of a record that does not exist"


def _missing(connection: Connection, tables: Tables) -> Iterator[str]:
    """References to large values that are not there."""
    for table in tables.values():
        for item in table.items(connection):
            for name, value in item.items():
                key = str(value.get("S", ""))
                if key.startswith(REFERENCE) and not _has_blob(
                    connection, key := key.removeprefix(REFERENCE)
                ):
                    record = "/".join(_own_key(table.model, item))
                    yield f"{name} of the record {record} is a large value that is not there: {key}"


def _has_blob(connection: Connection, key: str) -> bool:
    found = connection.execute("SELECT 1 FROM blobs WHERE key = ?", (key,))
    return found.fetchone() is not None


def _place(key: str) -> str:
    """The part of a blob's key that names its record."""
    return "/".join(key.split("/")[:_PLACE])


def _own_key(model: type[Record], item: RawItem) -> Key:
    """The key of an item as its attributes say it, with the bare uuid of the parent."""
    hash_key, range_key = model.key_names()
    attribute, text = model.get_attributes()[hash_key], _text(item, hash_key)
    try:
        bare = attribute.deserialize(text) if isinstance(attribute, ParentKey) else text
    except ValueError:  # it is no key of the engine
        bare = text
    return bare, _text(item, range_key)


def _text(item: RawItem, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
