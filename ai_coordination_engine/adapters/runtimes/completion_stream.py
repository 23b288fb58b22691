"""Read a chat completion that arrives as server-sent events (OpenAI API reference, "Streaming").

The whole answer is put together as the body that the endpoint would have sent without streaming.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_PREFIX = b"data:"
_DONE = b"[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class CompletionStream:
    """Takes the bytes of a response; calls `on_delta` with each part of the text of its first
    choice. A response that is no stream gives nothing.
    """

    def __init__(self, on_delta: Callable[[str], None]) -> None:
        self._on_delta = on_delta
        self._line = bytearray()
        self._data: list[bytes] = []  # lines of an event whose JSON goes on
        self.has_begun = self._has_ended = False
        self._body: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._content: list[Any] = []

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the response says beside its choices, so far."""
        return self._body

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._line += data
        if b"\n" in data or b"\r" in data:  # else a long line would be split again and again
            *lines, rest = _LINE_END.split(bytes(self._line))
            self._line = bytearray(rest)
            for line in lines:
                self._take(line.strip())

    def body(self) -> str | None:
        """Return the JSON of the whole answer; None for one that was cut off."""
        for line in (*_LINE_END.split(bytes(self._line)), b""):
            self._take(line.strip())
        self._line.clear()
        if "error" in self._body:
            return json.dumps(self._body)
        if not self._has_ended:
            return None
        is_text = all(isinstance(each, str) for each in self._content)
        content = "".join(self._content) if is_text else self._content
        message = {**self._message, "content": content if self._content else None}
        return json.dumps({**self._body, "choices": [{**self._choice, "message": message}]})

    def _take(self, line: bytes) -> None:
        """Take a line. An event ends with an empty one, but some endpoints leave that out."""
        data = line[len(_PREFIX) :].strip() if line.startswith(_PREFIX) else b""
        if data == _DONE:
            self.has_begun = self._has_ended = True
        elif data and (self._data or not self._take_json(data)):
            self._data.append(data)
        elif not line and self._data:
            self._take_json(b"\n".join(self._data))
            self._data.clear()

    def _take_json(self, data: bytes) -> bool:
        """Take an event; False for what is none."""
        try:
            event = json.loads(data.decode(errors="replace"))
        except (ValueError, RecursionError):
            return False
        if isinstance(event, dict):
            self.has_begun = True
            self._take_event(event)
        return True

    def _take_event(self, event: dict[str, Any]) -> None:
        choices = event.pop("choices", None)
        self._body.update({name: value for name, value in event.items() if value is not None})
        first = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict) or first.get("index", 0) != 0:
            return
        delta = first.pop("delta", None)
        self._choice.update({name: value for name, value in first.items() if value is not None})
        self._has_ended = self._has_ended or bool(first.get("finish_reason"))
        for name, value in (delta if isinstance(delta, dict) else {}).items():
            self._take_delta(name, value)

    def _take_delta(self, name: str, value: Any) -> None:
        """Add to the message: parts of texts are joined."""
        if name == "content":
            parts = value if isinstance(value, list) else [*filter(None, [value])]
            self._content += parts
            for each in parts:
                if isinstance(each, str):
                    self._on_delta(each)
        elif isinstance(value, str) and isinstance(self._message.get(name), str):
            self._message[name] += value
        elif value is not None:
            self._message[name] = value
