"""Whoever watches misses nothing (promise P10): with another process, away and back, slow, gone."""

import asyncio
import gc
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.live.subscription import Answer, Subscription
from ai_coordination_engine.api.transport import Parameters, run
from ai_coordination_engine.database.names import PROCESSES
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.entrypoints.local.live.websocket_protocol import BoundedWebSocket
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import DOCUMENTS
from tests.kit.live import LIST, SESSION, Socket, diamond, opened, post
from tests.kit.servers import COORDINATION, START, TASK

SET_UP = """mutation($s: String!) { insertUpdateSession(coordinationUuid: "c", sessionUuid: $s,
  updatedBy: "me") { session { sessionUuid } } }"""
WRITE = """mutation($s: String!, $logs: String) { insertUpdateSession(coordinationUuid: "c",
  sessionUuid: $s, logs: $logs, updatedBy: "me") { session { sessionUuid } } }"""
AGENT = """mutation($s: String!, $a: String!, $state: String) { insertUpdateSessionAgent(
  sessionUuid: $s, sessionAgentUuid: $a, coordinationUuid: "c", agentUuid: "x", state: $state,
  updatedBy: "me") { sessionAgent { state } } }"""
DELETE = """mutation($s: String!, $a: String!) { deleteSessionAgent(sessionUuid: $s,
  sessionAgentUuid: $a) { ok } }"""
WATCH = """subscription($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status logs sessionAgents { sessionAgentUuid state } } }"""
OUTPUT = """subscription($a: String!) { agentOutput(sessionUuid: "s", sessionAgentUuid: $a) {
  delta done } }"""
AGENTS = """{ sessionAgentList(sessionUuid: "s") { sessionAgentList { sessionAgentUuid } } }"""
QUERY = WATCH.replace("subscription", "query")


async def until(is_so: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.01)


async def receive_until(socket: Socket, is_so: Callable[[Any], bool]) -> None:
    """Receive answers until one is so, which is the last then."""
    async with asyncio.timeout(20):
        while not is_so((await socket.receive())["payload"]["data"]):
            pass


async def other_write(file: DatabaseFile, tenant: str, query: str, **variables: Any) -> None:
    """Write as another process does: nothing is announced to the server's."""
    app = local_bootstrap.build_local_app(Settings(auth="local"), file)
    await run(Parameters(query, None, variables), DOCUMENTS, Context(app, tenant))


async def test_the_last_answer_is_the_state_at_the_end(tmp_path: Path) -> None:
    drawn = random.Random(1)
    with (
        serving(Settings(auth="local"), port=0, data_dir=tmp_path) as running,
        closing(DatabaseFile(tmp_path / "ace.db", "none", alone=False)) as file,
    ):
        await post(running.url, COORDINATION, agents=[{"agentUuid": "x"}])
        await post(running.url, SET_UP, s="s")
        for _ in range(2):  # away and back
            async with opened(running.url) as socket:
                await socket.init()
                await socket.subscribe(WATCH, s="s")
                for _ in range(drawn.randint(1, 12)):
                    kind = drawn.choice(["logs", "state", "delete"])
                    agent = drawn.choice("pqr")
                    query, given = {
                        "logs": (WRITE, {"logs": str(drawn.random())}),
                        "state": (
                            AGENT,
                            {"a": agent, "state": drawn.choice(["pending", "executing"])},
                        ),
                        "delete": (DELETE, {"a": agent}),
                    }[kind]
                    if drawn.random() < 0.5:
                        await other_write(file, "local", query, s="s", **given)
                    else:
                        with_errors = Parameters(query, None, {"s": "s", **given})
                        await run(with_errors, DOCUMENTS, Context(running.app, "local"))
                at_the_end = await post(running.url, QUERY, s="s")
                await receive_until(socket, at_the_end.__eq__)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a worker process."""
    functions = {name: f"tests.kit.functions:{name}" for name in ("where", "write_until")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACE_FUNCTIONS", json.dumps(functions))  # of the worker process
        patch.setenv("ACE_WORKER_CONCURRENCY", "1")
        settings = Settings(auth="local", functions=functions, worker_concurrency=1)
        folder = tmp_path_factory.mktemp("pair")
        with serving(settings, port=0, data_dir=folder, workers=2) as running:
            yield running


async def test_what_worker_processes_do_is_seen(pair: Running, tenant: str) -> None:
    url = pair.url.replace("/graphql", f"/{tenant}/graphql")
    await diamond(url)
    async with opened(url) as socket:
        await socket.init()
        for number in range(8):
            await socket.subscribe(SESSION, id=str(number), s=str(number))
            await post(url, START, s=str(number))
        last: dict[str, Any] = {}
        ended: set[str] = set()
        while len(ended) < 8:
            message = await socket.receive()
            if message["type"] == "complete":
                ended.add(message["id"])
            else:
                last[message["id"]] = message["payload"]["data"]
    for uuid, found in last.items():
        assert found == await post(url, SESSION.replace("subscription", "query"), s=uuid)


async def test_a_write_of_a_worker_process_executes_what_it_touches_alone(
    pair: Running, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: Counter[Any] = Counter()
    execute = Subscription.execute

    async def counted(subscription: Subscription, context: Context) -> Answer:
        executed[subscription.parameters.variables["s"]] += 1
        return await execute(subscription, context)

    monkeypatch.setattr(Subscription, "execute", counted)
    monkeypatch.setattr(pair.app.changes, "look", lambda: False)  # what is seen was told
    url = pair.url.replace("/graphql", f"/{tenant}/graphql")
    runtime = {"kind": "function", "name": "where"}
    agents = [{"agentUuid": f"{number}", "runtime": runtime} for number in range(4)]
    await post(url, COORDINATION, agents=agents)
    await post(url, TASK, actions={each["agentUuid"]: {} for each in agents})
    async with opened(url) as socket:
        await socket.init()
        for number in range(50):
            await socket.subscribe(SESSION, id=f"idle {number}", s=f"idle {number}")
            await socket.receive()
        await run_by_another(socket, url)
    assert len(executed) > 50
    assert {executed[f"idle {number}"] for number in range(50)} == {1}


async def test_what_another_process_writes_and_does_not_tell_is_seen_by_a_look(
    pair: Running, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pair.url.replace("/graphql", f"/{tenant}/graphql")
    await post(url, COORDINATION, agents=[])
    await post(url, SET_UP, s="s")
    monkeypatch.setattr(ChangeFifos, "is_watched", False)
    file = DatabaseFile(Path(pair.where.removeprefix("State: ")), "none", alone=False)
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(WATCH, s="s")
        await socket.receive()
        with closing(file):
            await other_write(file, tenant, WRITE, s="s", logs="told by nobody")
            await receive_until(socket, lambda data: data["session"]["logs"] == "told by nobody")


async def test_what_a_killed_process_has_not_told_is_seen(
    pair: Running, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pair.url.replace("/graphql", f"/{tenant}/graphql")
    await post(url, COORDINATION, agents=[])
    await post(url, SET_UP, s="s")
    monkeypatch.setattr(pair.app.changes, "look", lambda: False)
    monkeypatch.setattr(ChangeFifos, "is_watched", False)
    folder = Path(pair.where.removeprefix("State: ")).parent
    file = DatabaseFile(folder / "ace.db", "none", alone=False)
    async with opened(url) as socket, asyncio.timeout(12):  # after 15 s it would be read anyway
        await socket.init()
        await socket.subscribe(WATCH, s="s")
        await socket.receive()
        with closing(file):
            await other_write(file, tenant, WRITE, s="s", logs="its last words")
            os.kill(await worker_of(folder), signal.SIGKILL)
            await receive_until(socket, lambda data: data["session"]["logs"] == "its last words")


async def worker_of(folder: Path) -> int:
    """Return the id of the process that shares the directory with this one, once there is one."""
    found: set[int] = set()
    while not found:
        await asyncio.sleep(0.01)
        files = [each for each in (folder / PROCESSES).iterdir() if not each.suffix]
        found = {json.loads(each.read_text())["pid"] for each in files} - {os.getpid()}
    return found.pop()


async def test_what_the_agent_of_a_worker_process_writes_is_seen_while_it_writes(
    pair: Running, tenant: str, tmp_path: Path
) -> None:
    url = pair.url.replace("/graphql", f"/{tenant}/graphql")
    runtime = {"kind": "function", "name": "write_until", "path": str(tmp_path / "go on")}
    await post(url, COORDINATION, agents=[{"agentUuid": each, "runtime": runtime} for each in "ab"])
    await post(url, TASK, actions={"a": {}, "b": {}})
    written = dict[str, str]()
    async with opened(url) as socket, asyncio.timeout(30):
        await socket.init()
        await socket.subscribe(LIST, id="list")  # somebody watches before the attempts begin
        await socket.receive()
        await post(url, START, s="s")
        agents = (await post(url, AGENTS))["sessionAgentList"]["sessionAgentList"]
        for each in agents:
            uuid = each["sessionAgentUuid"]
            await socket.subscribe(OUTPUT, id=uuid, a=uuid)
        while len(set(written.values()) - {""}) < 2:  # a process runs one agent at a time
            message = await socket.receive()
            if message["id"] != "list":
                found = message["payload"]["data"]["agentOutput"]
                assert found["done"] is False
                written[message["id"]] = written.get(message["id"], "") + found["delta"]
        (tmp_path / "go on").touch()
    worker = await worker_of(Path(pair.where.removeprefix("State: ")).parent)
    assert {*written.values()} == {f"{os.getpid()} ", f"{worker} "}


async def run_by_another(socket: Socket, url: str) -> None:
    """Start sessions, and watch them, until two processes have run agents of one."""
    places: set[str] = set()
    last: dict[str, Any] = {}
    while len(places) < 2:
        uuid = str(uuid4())
        await socket.subscribe(SESSION, id="own", s=uuid)
        await post(url, START, s=uuid)
        while (message := await socket.receive())["type"] != "complete":
            if message["id"] == "own":
                last = message
        session = last["payload"]["data"]["session"]
        assert session["status"] == "completed"
        places = {each["agentOutput"] for each in session["sessionAgents"]}


async def test_a_client_that_does_not_read_holds_one_answer_and_then_gets_the_newest(
    url: str, server: Running, tenant: str
) -> None:
    await post(url, COORDINATION, agents=[])
    await post(url, SET_UP, s="s")
    async with opened(url, max_queue=1, ping_interval=None) as socket:
        await socket.init()
        await socket.subscribe(WATCH, s="s")
        for number in range(30):
            text = f"{number} " + "x" * 300_000
            given = Parameters(WRITE, None, {"s": "s", "logs": text})
            await run(given, DOCUMENTS, Context(server.app, tenant))
            await asyncio.sleep(0.02)
        gc.collect()
        held = [each for each in gc.get_objects() if isinstance(each, Answer)]
        assert len(held) <= 4
        del held
        await receive_until(socket, lambda data: str(data["session"]["logs"])[:3] == "29 ")


async def test_a_client_that_reads_nothing_for_long_is_left(
    url: str, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedWebSocket, "unread_seconds", 0.3)
    await post(url, COORDINATION, agents=[])
    await post(url, WRITE, s="s", logs="x" * 300_000)
    async with opened(url, max_queue=1, ping_interval=None, close_timeout=0) as socket:
        await socket.init()
        for number in range(60):  # more than the system takes for a client
            await socket.subscribe(WATCH, id=str(number), s="s")
        await until(lambda: server.app.changes.is_watched)
        await until(lambda: not server.app.changes.is_watched)


async def test_nothing_is_left_of_clients_that_vanish(url: str, server: Running) -> None:
    async def vanish(_: int) -> None:
        async with opened(url) as socket:
            await socket.init()
            for number in range(5):
                await socket.subscribe(LIST, id=str(number))
            await socket.receive()
            socket.connection.transport.abort()

    await vanish(0)
    await until(lambda: not server.app.changes.is_watched)
    before = len(os.listdir("/dev/fd"))
    await asyncio.gather(*map(vanish, range(20)))
    await until(lambda: not server.app.changes.is_watched)
    await until(lambda: len(os.listdir("/dev/fd")) <= before + 2)
