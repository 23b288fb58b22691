"""The journal that keeps the state of the embedded AWS across restarts, even after `kill -9`.

Each request that changes something appends one line before it is answered. A line does not hold the
request but its result (the item, the object or the message), so that reading the journal evaluates
no conditions and keeps only the last state. A line is handed to the operating system at once but
not synced to disk: only a crash of the machine can lose it. When a line cannot be written
completely, it is removed and the request is refused.
"""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from moto.core.request import Request

from ai_coordination_engine.entrypoints.local.data_dir import DataDirError
from ai_coordination_engine.entrypoints.local.embedded_services import Answer, Call, Services
from ai_coordination_engine.entrypoints.local.journal_file import (
    JournalFile,
    Unwritable,
)

Change = dict[str, Any]

_READS = (
    "Get",
    "List",
    "Describe",
    "Query",
    "Scan",
    "BatchGet",
    "TransactGet",
    "Receive",
    "HEAD",
    "GET",
)
_CHILD_TABLES = ("-tasks", "-task_schedules", "-sessions", "-session_agents", "-session_runs")
_OBJECT_HEADERS = ("content-type", "content-encoding", "x-amz-meta-")
_NOT_KEPT = frozenset({"ChangeMessageVisibility", "ChangeMessageVisibilityBatch"})
_ANY_ACCOUNT = "0" * 12  # stands for the account number, which changes with every start
_HOST = re.compile(rb"http://127\.0\.0\.1:\d+/")
_UNSUPPORTED = frozenset(
    {"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction", "ImportTable"}
)


class Journal:
    """The journal in `data_dir`; raises `DataDirError` when the directory is in use or
    not usable.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = JournalFile(data_dir)
        self._receipts: dict[str, str] = {}
        self._moved: list[Change] = []
        self._calls_recorded = _State()

    def open(self, services: Services) -> None:
        """Restore the journaled state in `services`, compact the journal and prepare it for
        recording.
        """
        state = _State()
        for number, line in self._file.lines():
            try:
                for change in json.loads(line):
                    if _is_of_earlier_layout(change):
                        raise DataDirError(
                            f"{self._file.path} has the layout of an earlier version, which is not"
                            " supported: choose an empty directory, or remove the file."
                        )
                    state.apply(change)
            except (ValueError, KeyError, TypeError) as error:
                raise DataDirError(
                    f"{self._file.path}:{number} is damaged. Repair that line, or remove the file;"
                    " removing it deletes all data of this directory."
                ) from error
        state.replay(services)
        self._file.rewrite(json.dumps([change]) for change in state)
        self._file.open()
        self._calls_recorded = state.only_calls()

    def images(self, call: Call, request: Request, services: Services) -> list[Change]:
        """Return the items that a request is about to change, in their present state."""
        tables = services.in_region(call.region)
        if call.service != "dynamodb" or call.action.startswith(_READS):
            return []
        # An invalid request is refused later, so its errors do not matter here.
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            touched = [
                (table, tables.keys(table, attributes))
                for table, attributes in _touched(
                    call.action, json.loads(request.get_data() or b"{}")
                )
                if table in tables.tables
            ]
            return [_item(call.region, table, key, services) for table, key in touched]
        return []

    def record(self, call: Call, request: Request, answer: Answer, services: Services) -> None:
        """Append the results of a successful request as one line; raises `Unwritable`."""
        if call.service == "sqs" and call.action == "ReceiveMessage":
            for message in json.loads(answer.body).get("Messages", []):
                self._receipts[message["ReceiptHandle"]] = message["MessageId"]
            self._moved += [
                {"moved": message, "to": queue} for message, queue in services.moved(call.region)
            ]
            # When this fails, the moves are appended with a later request.
            with suppress(Unwritable):
                self._append(self._moved)
                self._moved = []
        elif not call.action.startswith(_READS) and call.action not in _NOT_KEPT:
            changes = [
                change
                for change in self._changes(call, request, answer, services)
                if not self._calls_recorded.holds(change)
            ]
            self._append(changes)
            for change in changes:
                self._note(change)

    def close(self) -> None:
        """Release the directory."""
        self._file.close()

    def _append(self, changes: list[Change]) -> None:
        if changes:
            self._file.append(json.dumps(changes))

    def _note(self, change: Change) -> None:
        if "call" in change:
            self._calls_recorded.apply(change)
        elif "deleted" in change:
            self._receipts = {
                key: value for key, value in self._receipts.items() if value != change["deleted"]
            }

    def _changes(
        self, call: Call, request: Request, answer: Answer, services: Services
    ) -> Iterator[Change]:
        if call.service == "s3":
            yield from _objects(call, request, services)
            return
        body = json.loads(request.get_data() or b"{}")
        if call.service == "sqs":
            yield from self._messages(
                call, request, body, json.loads(answer.body or b"{}"), services.account
            )
            return
        tables = services.in_region(call.region)
        touched = list(_touched(call.action, body))
        for table, attributes in touched:
            yield _item(call.region, table, tables.keys(table, attributes), services)
        if not touched:
            yield _verbatim(call, request)

    def _messages(
        self, call: Call, request: Request, body: Any, answer: Any, account: str
    ) -> Iterator[Change]:
        queue = str(body.get("QueueUrl", "")).rpartition("/")[2]
        if call.action == "SendMessage":
            yield _sent(call.region, queue, answer["MessageId"], body)
        elif call.action == "SendMessageBatch":
            ids = {success["Id"]: success["MessageId"] for success in answer.get("Successful", [])}
            for entry in body["Entries"]:
                if entry["Id"] in ids:
                    yield _sent(call.region, queue, ids[entry["Id"]], entry)
        elif call.action in {"DeleteMessage", "DeleteMessageBatch"}:
            for entry in body.get("Entries", [body]):
                message = self._receipts.get(entry["ReceiptHandle"])
                if message:
                    yield {"deleted": message}
        elif call.action == "PurgeQueue":
            yield {"purged": queue}
        else:
            yield _verbatim(call, request, account)


def _is_of_earlier_layout(change: Change) -> bool:
    """Whether the change is to an item of the earlier layout, with no tenant in its hash key.

    The hash key is the first of the key attributes.
    """
    if not str(change.get("item", "")).endswith(_CHILD_TABLES):
        return False
    return " " not in str(next(iter(change["key"].values())).get("S"))


def restore(images: list[Change], services: Services) -> None:
    """Set items to earlier states, as returned by `Journal.images`."""
    for change in images:
        services.in_region(change["region"]).restore(change["item"], change["key"], change["image"])


def _item(region: str, table: str, key: dict[str, Any], services: Services) -> Change:
    image = services.in_region(region).image(table, key)
    return {"item": table, "region": region, "key": key, "image": image}


def unsupported(call: Call) -> bool:
    """Whether the journal cannot record the changes of this call."""
    return call.service == "dynamodb" and call.action in _UNSUPPORTED


def _touched(action: str, body: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the table and at least the key attributes of each item that a request writes."""
    if action in {"PutItem", "UpdateItem", "DeleteItem"}:
        yield body["TableName"], body.get("Item") or body["Key"]
    elif action == "BatchWriteItem":
        yield from _touched_by_batch(body)
    elif action == "TransactWriteItems":
        writes = [
            write
            for item in body["TransactItems"]
            for kind, write in item.items()
            if kind != "ConditionCheck"
        ]
        for write in writes:
            yield write["TableName"], write.get("Item") or write["Key"]


def _touched_by_batch(body: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for table, writes in body["RequestItems"].items():
        for write in writes:
            put = write.get("PutRequest")
            yield table, put["Item"] if put else write["DeleteRequest"]["Key"]


def _sent(region: str, queue: str, message_id: str, message: Any) -> Change:
    kept = {key: message[key] for key in ("MessageBody", "MessageAttributes") if key in message}
    now = time.time()
    due = now + int(message.get("DelaySeconds") or 0)
    return {
        "sent": message_id,
        "region": region,
        "queue": queue,
        "message": kept,
        "at": now,
        "due": due,
    }


def _verbatim(call: Call, request: Request, account: str = _ANY_ACCOUNT) -> Change:
    query = request.query_string.decode()
    # Without account and port, the calls of every start are equal and are recorded once.
    body = _HOST.sub(
        b"http://127.0.0.1/", request.get_data().replace(account.encode(), _ANY_ACCOUNT.encode())
    )
    return {
        "call": list(call),
        "method": request.method,
        "path": request.raw_path + (f"?{query}" if query else ""),
        "target": request.headers.get("X-Amz-Target", ""),
        "body": base64.b64encode(body).decode(),
    }


def _objects(call: Call, request: Request, services: Services) -> Iterator[Change]:
    """Yield the new state of each object that a request changed; for a bucket, the
    request itself.
    """
    bucket, _, key = request.raw_path.strip("/").partition("/")
    if key:
        paths = [request.raw_path]
    elif request.method == "POST" and "delete" in request.args:
        # Trusted XML: a client of this process wrote it.
        named = ElementTree.fromstring(request.get_data()).iter()  # noqa: S314
        paths = [f"/{bucket}/{key.text}" for key in named if key.tag.endswith("Key")]
    else:
        yield _verbatim(call, request)
        return
    for path in paths:
        found = services.answer(call, _request(call, "GET", path))
        headers = found.headers.items()
        kept = {name: value for name, value in headers if name.lower().startswith(_OBJECT_HEADERS)}
        body = base64.b64encode(found.body).decode() if found.status == 200 else None
        yield {"object": path, "region": call.region, "headers": kept, "body": body}


def _request(
    call: Call, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Request:
    scope = f"local/20200101/{call.region}/{call.service}/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, Signature=none"
    sent = {
        "Authorization": signature,
        "Content-Type": "application/x-amz-json-1.0",
        **(headers or {}),
    }
    return Request.from_primitives(method, f"http://127.0.0.1{path}", sent, body)


class _State:
    """The state that a journal describes, in the order in which it must be replayed."""

    def __init__(self) -> None:
        self._calls: dict[str, Change] = {}
        self._items: dict[str, Change] = {}
        self._objects: dict[str, Change] = {}
        self._messages: dict[str, Change] = {}

    def apply(self, change: Change) -> None:
        """Apply one change."""
        if "item" in change:
            name = json.dumps([change["region"], change["item"], change["key"]], sort_keys=True)
            _keep(self._items, name, change, change["image"])
        elif "object" in change:
            _keep(self._objects, change["object"], change, change["body"])
        elif "sent" in change:
            self._messages[change["sent"]] = change
        elif "deleted" in change:
            self._messages.pop(change["deleted"], None)
        elif "moved" in change:
            if message := self._messages.get(change["moved"]):
                self._messages[change["moved"]] = {**message, "queue": change["to"]}
        elif "purged" in change:
            self._forget(self._messages, "queue", change["purged"])
        else:
            self._apply_call(change)

    def __iter__(self) -> Iterator[Change]:
        """Yield the state as changes."""
        for kind in (self._calls, self._items, self._objects, self._messages):
            yield from kind.values()

    def replay(self, services: Services) -> None:
        """Restore this state in `services`."""
        for change in self._calls.values():
            call = Call(*change["call"])
            body = base64.b64decode(change["body"]).replace(
                _ANY_ACCOUNT.encode(), services.account.encode()
            )
            target = {"X-Amz-Target": change["target"]}
            _replay(services, call, _request(call, change["method"], change["path"], target, body))
        restore(list(self._items.values()), services)
        for change in self._objects.values():
            call = Call("s3", "PUT", change["region"])
            body = base64.b64decode(change["body"])
            _replay(
                services, call, _request(call, "PUT", change["object"], change["headers"], body)
            )
        for change in self._messages.values():
            _send_again(services, change)

    def only_calls(self) -> "_State":
        """Return only the calls that concern tables, queues and buckets."""
        state = _State()
        state._calls = dict(self._calls)
        return state

    def holds(self, change: Change) -> bool:
        """Whether the change is a call that was recorded already and is the latest one of
        its kind.
        """
        if "call" not in change:
            return False
        same = [each for each in self._calls.values() if _kind(each) == _kind(change)]
        return bool(same) and same[-1] == change

    def _apply_call(self, change: Change) -> None:
        name, (_, action, _) = _subject(change), change["call"]
        if action in {"DeleteTable", "DeleteQueue"} or (
            action == "DELETE" and "?" not in change["path"]
        ):
            self._drop(name)
            return
        text = json.dumps([change[key] for key in sorted(change)])
        if not (action.startswith("Create") or (action == "PUT" and "?" not in change["path"])):
            # A repeated creation keeps its first place; any other repeated call moves to the end.
            self._calls.pop(text, None)
        self._calls.setdefault(text, change)

    def _drop(self, name: str) -> None:
        self._calls = {text: call for text, call in self._calls.items() if _subject(call) != name}
        self._forget(self._items, "item", name)
        self._forget(self._messages, "queue", name)

    @staticmethod
    def _forget(changes: dict[str, Change], field: str, value: str) -> None:
        for name in [name for name, change in changes.items() if change[field] == value]:
            del changes[name]


def _subject(change: Change) -> str:
    """Return the name of the table, queue or bucket of a journaled call."""
    if change["call"][0] == "s3":
        return str(change["path"].partition("?")[0].strip("/"))
    body = json.loads(base64.b64decode(change["body"]) or b"{}")
    return str(
        body.get("TableName")
        or body.get("QueueName")
        or body.get("QueueUrl", "").rpartition("/")[2]
    )


def _kind(change: Change) -> tuple[Any, ...]:
    return (*change["call"], change["path"], _subject(change))


def _keep(changes: dict[str, Change], name: str, change: Change, state: Any) -> None:
    if state is None:
        changes.pop(name, None)
    else:
        changes[name] = change


def _send_again(services: Services, change: Change) -> None:
    """Send a message again and give it the id that it had."""
    delay = min(900, max(0, round(change["due"] - time.time())))
    call = Call("sqs", "SendMessage", change["region"])
    url = f"http://127.0.0.1/{services.account}/{change['queue']}"
    body = json.dumps({**change["message"], "QueueUrl": url, "DelaySeconds": delay}).encode()
    target = {"X-Amz-Target": "AmazonSQS.SendMessage"}
    answer = _replay(services, call, _request(call, "POST", "/", target, body))
    services.rename_message(
        call.region, change["queue"], json.loads(answer.body)["MessageId"], change["sent"]
    )
    services.first_sent[change["sent"]] = float(change.get("at") or change["due"])


def _replay(services: Services, call: Call, request: Request) -> Answer:
    answer = services.answer(call, request)
    if answer.status >= 300:
        reason = answer.body.decode(errors="replace")[:200]
        raise DataDirError(
            f"The journal cannot be replayed: {call.service} {call.action} failed: {reason}"
        )
    return answer
