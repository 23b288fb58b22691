"""A model on loopback with OpenAI's API, which calls the tool `stock` before it answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.deployment.loopback import serving

ARGUMENTS = '{"item": "tea"}'


class Model:
    """`asked` has the key and the messages of each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, list[dict[str, Any]]]] = []

    def answer(self, key: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        self.asked.append((key, messages))
        last = messages[-1]
        calls = [
            {
                "id": "call-1",
                "type": "function",
                "function": {"name": "stock", "arguments": ARGUMENTS},
            }
        ]
        called = last["role"] == "tool"
        message = {"content": f"{last['content']} of tea"} if called else {"tool_calls": calls}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "small-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": None, **message},
                    "finish_reason": "stop" if called else "tool_calls",
                }
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
        }


@contextmanager
def running() -> Iterator[Model]:
    """Serve a model on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = self.headers["authorization"].removeprefix("Bearer ")
            body = json.dumps(model.answer(key, asked["messages"])).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with serving(Handler) as url:
        model = Model(f"{url}/v1")
        yield model
