"""Wait until a session ends or asks, as long as its caller waits for the answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from ai_coordination_engine.domain.topics import of_session
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.served.sessions import ServedSession, look

SPACING = 0.1
"""The seconds from one look to the next, at least."""
_FIRST, _LONGEST, _FACTOR = 0.25, 2.0, 1.5  # seconds between looks where nobody tells of changes
_REFRESH = 15.0  # seconds between looks where all changes are told


async def seen_until(
    app: App, tenant: str, begun: ServedSession, protocol: str, seconds: float
) -> AsyncGenerator[ServedSession, None]:
    """Yield the session now and from time to time, until it has ended or the time is over.

    It is looked at after each change that this process hears of, and now and then. Raises
    `NotFound` once its task is not exposed any more.
    """
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:  # called in any thread
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(changed.set)

    end = app.changes.watch([of_session(tenant, begun.session.session_uuid)], tell)
    until, pause = loop.time() + seconds, _FIRST
    try:
        while True:
            changed.clear()
            seen = await asyncio.to_thread(look, app, tenant, begun.handle, protocol)
            yield seen
            left = until - loop.time()
            if seen.has_ended or left <= 0:
                return
            await _wait(asyncio.Event(), min(SPACING, left))
            longest = _REFRESH if app.changes.hears_all else pause
            await _wait(changed, min(longest, left - SPACING))
            pause = min(pause * _FACTOR, _LONGEST)
    finally:
        end()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, for at most so many seconds."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
