"""A call that waits for its session ends when its client has gone, and gives its place back."""

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette

from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.a2a_routes import a2a_routes
from ai_coordination_engine.entrypoints.local.mcp_routes import mcp_routes
from ai_coordination_engine.served.places import Place, Places
from tests.kit.stage import TENANT, stage_of

MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
CALL = {"name": "ask", "arguments": {"query": "x"}}


@pytest.mark.parametrize(
    ("path", "method", "params", "version"),
    [
        ("/a2a", "SendMessage", {"message": MESSAGE}, (b"a2a-version", b"1.0")),
        ("/mcp", "tools/call", CALL, (b"mcp-protocol-version", b"2025-11-25")),
    ],
)
async def test_a_client_that_has_gone_gives_its_place_back(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    method: str,
    params: Any,
    version: tuple[bytes, bytes],
) -> None:
    stage = stage_of(app)
    stage.define({"a": ""}, expose_as={"name": "ask"})  # nobody works: a call would wait for long
    waits, places, take = asyncio.Event(), list[Places](), Places.take

    def taking(taken: Places) -> Place | None:
        waits.set()
        places.append(taken)
        return take(taken)

    monkeypatch.setattr(Places, "take", taking)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await waits.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Nobody listens."""

    headers = [(b"content-type", b"application/json"), (b"accept", b"application/json"), version]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    found = [*a2a_routes(stage.app, lambda *_: TENANT, Limits(), ())]
    found += mcp_routes(stage.app, lambda *_: TENANT, Limits(), ())
    served = Starlette(routes=found)
    await asyncio.wait_for(served({**scope, "query_string": b""}, receive, send), 5)
    assert [each.taken for each in places] == [0]
