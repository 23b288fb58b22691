"""A stand-in for DynamoDB and SQS that answers each request with the same bytes.

`python -m benchmarks.harness.canned` serves on a free port of loopback, prints the port, and ends
when stdin is closed.
"""

import asyncio
import json
import sys
import zlib

KEY = {"session_uuid": {"S": "tenant#" + "0" * 36}, "session_agent_uuid": {"S": "1" * 36}}
ITEM = {
    **KEY,
    "state": {"S": "completed"},
    "in_degree": {"N": "0"},
    "agent_output": {"S": "x" * 200},
    **{f"attribute_{number}": {"S": f"value {number}"} for number in range(20)},
}
MESSAGE = {"MessageId": "m", "ReceiptHandle": "r" * 100, "Body": "b" * 150}
ANSWERS = {
    "GetItem": {"Item": ITEM},
    "UpdateItem": {"Attributes": ITEM},
    "Query": {"Items": [ITEM] * 10, "Count": 10, "ScannedCount": 10},
    "TransactWriteItems": {},
    "SendMessageBatch": {"Successful": [{"Id": "0", "MessageId": "m"}]},
    "ReceiveMessage": {"Messages": [MESSAGE]},
}


def _response(answer: object) -> bytes:
    body = json.dumps(answer).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: %s\r\n"
        b"Content-Length: %d\r\nx-amz-crc32: %d\r\n\r\n%s"
    ) % (b"0" * 52, len(body), zlib.crc32(body), body)


RESPONSES = {name.encode(): _response(answer) for name, answer in ANSWERS.items()}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := (await reader.readuntil(b"\r\n\r\n")).lower():
        headers = dict(line.partition(b": ")[::2] for line in head.split(b"\r\n"))
        await reader.readexactly(int(headers[b"content-length"]))
        asked = headers[b"x-amz-target"].rpartition(b".")[2]
        writer.write(next(RESPONSES[name] for name in RESPONSES if name.lower() == asked))


async def main() -> None:
    """Serve until stdin is closed."""
    server = await asyncio.start_server(_quietly, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


async def _quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await _serve(reader, writer)
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()  # the client has disconnected, or the server ends


if __name__ == "__main__":
    asyncio.run(main())
