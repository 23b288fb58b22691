"""A service of AWS whose answers a test writes byte by byte, and clients that call it."""

import copy
import socket
import threading
import zlib
from typing import Any

import botocore.session
from botocore.config import Config

from ai_coordination_engine.adapters.lean.client import OPERATIONS, lean

KEY = {"h": {"S": "häsh"}, "r": {"S": "1"}}
ITEM = {**KEY, "n": {"N": "1.5"}, "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}}}
REQUESTS: dict[str, dict[str, Any]] = {
    "GetItem": {"TableName": "t", "Key": KEY, "ConsistentRead": True},
    "PutItem": {"TableName": "t", "Item": ITEM, "ConditionExpression": "attribute_not_exists (h)"},
    "UpdateItem": {"TableName": "t", "Key": KEY, "UpdateExpression": "SET n = :0"},
    "DeleteItem": {"TableName": "t", "Key": KEY, "ReturnValues": "ALL_OLD"},
    "Query": {"TableName": "t", "KeyConditionExpression": "h = :0", "Limit": 2},
    "BatchGetItem": {"RequestItems": {"t": {"Keys": [KEY], "ConsistentRead": True}}},
    "BatchWriteItem": {"RequestItems": {"t": [{"PutRequest": {"Item": ITEM}}]}},
    "TransactWriteItems": {
        "TransactItems": [{"Put": {"TableName": "t", "Item": ITEM}}],
        "ClientRequestToken": "token",
    },
    "SendMessageBatch": {"QueueUrl": "q", "Entries": [{"Id": "0", "MessageBody": "b"}]},
    "ReceiveMessage": {"QueueUrl": "q", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1},
    "DeleteMessage": {"QueueUrl": "q", "ReceiptHandle": "h"},
    "DeleteMessageBatch": {"QueueUrl": "q", "Entries": [{"Id": "0", "ReceiptHandle": "h"}]},
    "ChangeMessageVisibility": {"QueueUrl": "q", "ReceiptHandle": "h", "VisibilityTimeout": 0},
}


def response(
    body: bytes, status: int = 200, *headers: str, crc32: int | None = None, length: bool = True
) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", "x-amzn-RequestId: id", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    lines.append(f"X-Amz-Crc32: {zlib.crc32(body) if crc32 is None else crc32}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Service:
    """Answers each request on a persistent connection with the next of `answers`, the last again
    and again: bytes, or None for silence. After `b""`, and after what `ends`, it disconnects.
    """

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.ends: tuple[bytes, ...] = ()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.disconnected = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve_until_end, args=[connection], daemon=True).start()

    def _serve_until_end(self, connection: socket.socket) -> None:
        self._serve(connection)
        self.disconnected.release()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while line := file.readline().decode().strip():
                headers = {}
                while header := file.readline().decode().strip():
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = file.read(int(headers["content-length"]))
                self.requests.append((line, headers, body))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer:
                    connection.sendall(answer)
                if answer == b"" or answer in self.ends:
                    return


def client_of(operation: str, kind: str, read_seconds: float = 30) -> Any:
    name = next(each for each, names in OPERATIONS.items() if operation in names)
    session = botocore.session.get_session()
    config = Config(
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    made = session.create_client(name, "eu-west-1", config=config)
    return lean(made) if kind == "lean" else made


def call(client: Any, operation: str) -> Any:
    return client._make_api_call(operation, copy.deepcopy(REQUESTS[operation]))
