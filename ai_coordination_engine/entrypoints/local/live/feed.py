"""A subscription that is executed once for all who watch it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ai_coordination_engine.api.context import NOTHING, Heard
from ai_coordination_engine.api.live.subscription import Answer, Subscription, errors_of
from ai_coordination_engine.live_ports import Changes

SPACING = 0.1
"""The seconds from one answer to the next: at most 10 a second."""
_REFRESH = 15.0  # seconds without a change; then it is executed anyway: some fields follow the time
_AGAIN = 1.0  # seconds after a refusal because of load
Execute = Callable[[Heard], Awaitable[Answer]]
"""(what the client has got of a text) → the answer; see `Subscription.is_of_one_client`."""


class Feed:
    """Executes a subscription now, and after each change of its topics, until nothing will change
    any more. It belongs to the running event loop.
    """

    def __init__(self, subscription: Subscription, execute: Execute, changes: Changes) -> None:
        self.subscription = subscription
        self.latest: Answer | None = None
        self.is_over = False
        self.begun = self.answered = 0  # executions
        self.watchers: set[Watcher] = set()
        self.heard = NOTHING
        self._execute, self._changes = execute, changes
        self._loop = asyncio.get_running_loop()
        self._began_at = 0.0
        self.seconds = 0.0  # that the latest execution took
        self._is_told = False
        self._due, self._joined = asyncio.Event(), asyncio.Event()

    def join(self) -> "Watcher":
        """Add a watcher; its first answer is that of an execution that begins after this call."""
        watcher = Watcher(self)
        self.watchers.add(watcher)
        self._due.set()
        self._joined.set()
        return watcher

    def again(self) -> None:
        """Execute it once more, soon."""
        self._due.set()

    async def run(self) -> None:
        """Execute the subscription until it has ended."""
        end = self._changes.watch(self.subscription.topics, self._tell)
        try:
            while not self.is_over:
                await self._answer()
                if not self.is_over:
                    await self._wait_for_change()
        finally:
            end()
            self.is_over = True
            self._wake()

    async def _answer(self) -> None:
        self._due.clear()
        self._joined.clear()
        self._is_told = False  # before the execution: it sees what was announced until now
        self.begun, self._began_at = self.begun + 1, self._loop.time()
        answer = await self._executed()
        self.seconds = self._loop.time() - self._began_at
        is_passing = answer.is_passing and self.latest is not None
        if not (answer.refusal and is_passing):  # what was refused may be answered in a moment
            self.latest = answer
        self.answered = self.begun
        is_last = answer.is_last and answer.heard == self.heard
        ends = is_last or bool(answer.refusal and not is_passing)
        # who has joined since this execution began gets an answer of the next one
        self.is_over = ends and not self._joined.is_set()
        self._is_passing = answer.is_passing
        self._wake()

    async def _executed(self) -> Answer:
        try:
            return await self._execute(self.heard)
        except Exception as error:
            errors = errors_of(error)
            return Answer({"errors": errors}, refusal=errors)

    async def _wait_for_change(self) -> None:
        await wait_for(self._due, _AGAIN if self._is_passing else _REFRESH)
        await wait_for(self._joined, self._began_at + SPACING - self._loop.time())

    def _tell(self) -> None:
        """Something has changed; called in any thread."""
        if not self._is_told:
            self._is_told = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._due.set)

    def _wake(self) -> None:
        for each in self.watchers:
            each.woken.set()


class Watcher:
    """Iterates over the answers of a feed for one client: the newest that it has not seen, at most
    10 a second. Answers that it was too slow for are left out.
    """

    def __init__(self, feed: Feed) -> None:
        self.woken = asyncio.Event()
        self._feed, self._needs = feed, feed.begun + 1
        self._seen: str | None = None
        self._taken: Answer | None = None
        self._next_at = 0.0

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> Answer:
        """Return the next answer. The last one may be a refusal."""
        feed, loop = self._feed, asyncio.get_running_loop()
        while True:
            self.woken.clear()
            if self._has_news():
                await wait_for(asyncio.Event(), self._next_at - loop.time())
                if self._has_news():
                    assert feed.latest is not None
                    self._seen, self._taken = feed.latest.text, feed.latest
                    feed.heard, self._next_at = feed.latest.hears, loop.time() + SPACING
                    return feed.latest
            if feed.is_over:
                raise StopAsyncIteration
            await self.woken.wait()

    def leave(self) -> None:
        """Watch no more."""
        self._feed.watchers.discard(self)

    def _has_news(self) -> bool:
        feed, latest = self._feed, self._feed.latest
        if feed.answered < self._needs or latest is None or latest is self._taken:
            return False
        if not feed.subscription.is_of_one_client:
            return latest.text != self._seen
        if latest.heard != feed.heard:  # it was made before the client got what it has now
            feed.again()
            return False
        has_text = latest.hears != latest.heard
        return has_text or latest.is_last or latest.text != self._seen


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for at most `seconds`; return whether it is set."""
    if seconds > 0 and not event.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    return event.is_set()
