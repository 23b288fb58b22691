"""The feeds of one server: one for each distinct subscription that somebody watches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from ai_coordination_engine.api.context import Context, Heard
from ai_coordination_engine.api.live.subscription import Answer, Subscription
from ai_coordination_engine.entrypoints.local.live.feed import Feed, Watcher, wait_for
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.live_ports import Changes
from ai_coordination_engine.observability import logger

MOST_WATCHERS = 10_000
_SHARE = 3.0  # how much longer than the execution of all feeds the pause between two looks is
_LONGEST_PAUSE = 10.0  # seconds


class Feeds:
    """Watches subscriptions in one event loop; `changes` tells when to execute them again."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._feeds: dict[tuple[str, ...], Feed] = {}
        self._tasks: dict[Feed, asyncio.Task[None]] = {}
        self._watched = 0
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watching(
        self, subscription: Subscription, context: Callable[[], Context]
    ) -> AsyncIterator[Watcher]:
        """Watch a subscription while the context is open. `context` makes a context of its tenant
        for each execution. Raises `Throttled` when too many are watched.
        """
        if self._watched >= MOST_WATCHERS:
            raise Throttled(
                f"the server has {MOST_WATCHERS} subscriptions already: try again later"
            )
        feed = self._feed(subscription, context)
        watcher = feed.join()
        self._watched += 1
        try:
            yield watcher
        finally:
            self._watched -= 1
            watcher.leave()
            if not feed.watchers:
                await self._end(feed)

    def _feed(self, subscription: Subscription, context: Callable[[], Context]) -> Feed:
        feed = self._feeds.get(subscription.key)
        if feed is None or feed.is_over or subscription.is_of_one_client:
            feed = Feed(subscription, partial(_execute, subscription, context), self._changes)
            if not subscription.is_of_one_client:
                self._feeds[subscription.key] = feed
            self._tasks[feed] = asyncio.create_task(feed.run())
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
        return feed

    async def _end(self, feed: Feed) -> None:
        if self._feeds.get(feed.subscription.key) is feed:
            del self._feeds[feed.subscription.key]
        ending = [self._tasks.pop(feed)]
        if not self._tasks and self._looking is not None:
            ending.append(self._looking)
            self._looking = None
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _look(self) -> None:
        """Look for changes by other processes while somebody watches.

        Where they do not tell what has changed, all feeds are executed: many are looked at less
        often then.
        """
        tells_all = False
        while True:
            work = _SHARE * sum(feed.seconds for feed in self._tasks) if tells_all else 0
            await wait_for(
                asyncio.Event(), max(self._changes.look_seconds, min(work, _LONGEST_PAUSE))
            )
            try:
                tells_all = await asyncio.to_thread(self._changes.look)
            except Exception as error:  # the next look may succeed
                logger.warning("could not look for changes", extra={"reason": str(error)})


async def _execute(
    subscription: Subscription, context: Callable[[], Context], heard: Heard
) -> Answer:
    made = context()
    made.heard = made.hears = heard
    return await subscription.execute(made)
