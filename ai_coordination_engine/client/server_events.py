"""Read a stream of server-sent events (WHATWG HTML, section "Server-sent events") with the
protocol `graphql-sse` in distinct connections mode (PROTOCOL.md of this npm package).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ai_coordination_engine.client.errors import UnexpectedAnswer

STREAM = "text/event-stream"
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventReader:
    """Reads the bytes of one stream as they arrive; `is_complete` once the server has ended it."""

    def __init__(self) -> None:
        self.is_complete = False
        self._rest = bytearray()
        self._event = b""
        self._data: list[bytes] = []

    def results(self, received: bytes) -> Iterator[dict[str, Any]]:
        """Yield the GraphQL response of each event that these bytes complete."""
        may_end = any(each in self._rest[-1:] + received for each in (b"\n", b"\r"))
        self._rest += received
        if not may_end:  # else a long line would be split again and again
            return
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        for line in lines:
            if line:
                self._field(line)
            elif self._event == b"complete":
                self.is_complete = True
                return
            elif self._data:
                yield from self._result()
            if not line:
                self._event, self._data = b"", []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value
        elif name == b"data":
            self._data.append(value)

    def _result(self) -> Iterator[dict[str, Any]]:
        if self._event != b"next":
            return
        try:
            result = json.loads(b"\n".join(self._data))
        except (ValueError, RecursionError):
            result = None
        if not isinstance(result, dict):
            raise UnexpectedAnswer("an event of the stream holds no GraphQL response")
        yield result
