"""Measure subscriptions of the local server: how late a change is seen, and many who watch.

The server is `ace serve` in a process of its own on loopback; the clients run in this process.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from ai_coordination_engine.api.live.protocol import MOST_OPERATIONS, SUBPROTOCOL
from benchmarks.homes import Home
from benchmarks.server import Client, Server
from benchmarks.table import Row, number

CHANGES, PAUSE = 100, 0.12  # seconds; a subscription gets at most 10 answers a second
WATCHERS, AGENTS, LAYERS = 500, 50, 10
BEGIN, EACH = 1.0, 0.1  # seconds of the first agents, by when all watch, and of the others
COORDINATION = """mutation($agents: [JSONCamelCase]) { insertUpdateCoordination(
  coordinationUuid: "c", agents: $agents, updatedBy: "b") { coordination { id } } }"""
TASK = """mutation($actions: JSONCamelCase) { insertUpdateTask(coordinationUuid: "c", taskUuid: "t",
  taskName: "t", agentActions: $actions, updatedBy: "b") { task { id } } }"""
START = """mutation($s: String) { executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t",
  sessionUuid: $s) { procedureTaskSession { sessionUuid } } }"""
CHANGE = """mutation($s: String, $logs: String) { insertUpdateSession(coordinationUuid: "c",
  sessionUuid: $s, logs: $logs, updatedBy: "b") { session { id } } }"""
WATCH = """subscription($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status logs sessionAgents { agentUuid state startedAt endedAt } } }"""


def measure() -> Iterator[Row]:
    yield asyncio.run(_delays())
    alone, _ = asyncio.run(_watched(0))
    yield asyncio.run(_crowd(alone))


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Server, Client]]:
    with TemporaryDirectory() as folder:
        home, log = Home(["--data-dir", f"{folder}/data"]), Path(folder) / "log"
        with (
            closing(Server(home, Path(folder) / "journal", log)) as server,
            closing(Client(server.url)) as client,
        ):
            yield server, client


@asynccontextmanager
async def _socket(server: Server) -> AsyncIterator[ClientConnection]:
    url, options = server.url.replace("http", "ws", 1), {"proxy": None, "compression": None}
    async with connect(url, subprotocols=[SUBPROTOCOL], **options) as socket:  # type: ignore[arg-type]
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        yield socket


async def _subscribe(socket: ClientConnection, name: str, session: str) -> None:
    payload = {"query": WATCH, "variables": {"s": session}}
    await socket.send(json.dumps({"type": "subscribe", "id": name, "payload": payload}))


async def _delays() -> Row:
    """From before a request is sent that changes a session until the change is at the client."""
    delays: list[float] = []
    async with _serving() as (server, client), _socket(server) as socket:
        client.data(COORDINATION, agents=[])
        client.data(CHANGE, s="s")
        await _subscribe(socket, "1", "s")
        await socket.recv()
        for each in range(CHANGES):
            await asyncio.sleep(PAUSE)
            begun = time.perf_counter()
            await asyncio.to_thread(client.data, CHANGE, s="s", logs=str(each))
            answer = json.loads(await socket.recv())
            delays.append(1_000 * (time.perf_counter() - begun))
            assert answer["payload"]["data"]["session"]["logs"] == str(each)
    late = sorted(delays)[int(0.99 * len(delays)) - 1]
    return Row(
        "state change → update at the client, one machine, median · 99 %",
        "≤ 30 · 150 ms",
        f"{number(median(delays))} · {number(late)} ms",
        f"{CHANGES} mutations, from before the request until the WebSocket message",
    )


async def _watched(watchers: int) -> tuple[tuple[float, float], int]:
    """Run a session of `AGENTS` that so many watch; return CPU seconds and peak MB of the server,
    and how many saw the end.
    """
    async with _serving() as (server, client), AsyncExitStack() as stack:
        names = [f"a{each}" for each in range(AGENTS)]
        per_layer = AGENTS // LAYERS
        runtime = {"kind": "function", "name": "stand_in", "seconds": EACH}
        actions = {
            name: {"predecessors": [names[each - per_layer]] if each >= per_layer else []}
            for each, name in enumerate(names)
        }
        first = {**runtime, "seconds": BEGIN}
        agents: list[dict[str, Any]] = [
            {"agentUuid": name, "runtime": first if each < per_layer else runtime}
            for each, name in enumerate(names)
        ]
        client.data(COORDINATION, agents=agents)
        client.data(TASK, actions=actions)
        before = server.cpu()
        sockets = [
            await stack.enter_async_context(_socket(server))
            for _ in range(-(-watchers // MOST_OPERATIONS))
        ]
        for each in range(watchers):
            await _subscribe(sockets[each // MOST_OPERATIONS], str(each), "s")
        client.data(START, s="s")
        ends = [_ends(socket, min(MOST_OPERATIONS, watchers)) for socket in sockets]
        saw = sum(await asyncio.gather(*ends))
        if not watchers:
            query = WATCH.replace("subscription", "query")
            while client.data(query, s="s")["session"]["status"] != "completed":
                await asyncio.sleep(0.5)
        return (server.cpu() - before, server.peak()), saw


async def _ends(socket: ClientConnection, expected: int) -> int:
    """Count the subscriptions that end after they showed the completed session."""
    last: dict[str, str] = {}
    ended = 0
    while ended < expected:
        message = json.loads(await socket.recv())
        if message["type"] == "next":
            last[message["id"]] = message["payload"]["data"]["session"]
        else:
            ended += 1
    return sum(bool(each) and each["status"] == "completed" for each in last.values())  # type: ignore[index]


async def _crowd(alone: tuple[float, float]) -> Row:
    (cpu, memory), saw = await _watched(WATCHERS)
    return Row(
        f"{WATCHERS} subscriptions on one session of {AGENTS} agents",
        "all see the end",
        f"{saw} see it; CPU {number(cpu)} s, {number(memory)} MB at the peak",
        f"nobody watching: CPU {number(alone[0])} s, {number(alone[1])} MB; `ace serve` alone",
    )
