"""A server that stops while clients watch."""

import asyncio
import threading
from time import monotonic

import httpx
import pytest

from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.live import LIST, opened, streamed


async def test_a_server_that_stops_ends_its_connections_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    stopping = threading.Event()
    urls: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def serve() -> float:
        with serving(Settings(auth="local"), port=0) as running:
            loop.call_soon_threadsafe(urls.put_nowait, running.url)
            stopping.wait()
            begun = monotonic()
        return monotonic() - begun

    served = asyncio.create_task(asyncio.to_thread(serve))
    url = await urls.get()
    async with opened(url) as socket, opened(url) as idle, streamed(url, LIST) as stream:
        await socket.init()
        await socket.subscribe(LIST)
        await socket.receive()
        await stream.next()
        stopping.set()
        assert await socket.closed() == (1001, "The server is stopping")
        assert await idle.closed() == (1001, "The server is stopping")
        with pytest.raises(httpx.RemoteProtocolError):
            await stream.next()
    assert await served < 2
    assert capfd.readouterr().err == ""
