"""A subscription that is executed once for all who watch it."""

import asyncio
from typing import Any

from ai_coordination_engine.api.live.subscription import Answer
from ai_coordination_engine.entrypoints.local.live.feed import Feed


class Still:
    """Changes that never happen."""

    def watch(self, topics: Any, call: Any) -> Any:
        return lambda: None


class Named:
    topics = frozenset({"session"})
    is_of_one_client = False


async def test_who_joins_while_the_last_execution_runs_gets_an_answer() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def execute(heard: Any) -> Answer:
        begun.set()
        await go_on.wait()
        return Answer({"data": {"status": "cancelled"}}, is_last=True)

    feed = Feed(Named(), execute, Still())  # type: ignore[arg-type]
    first = feed.join()
    running = asyncio.create_task(feed.run())
    await begun.wait()
    late = feed.join()
    go_on.set()
    expected = [{"data": {"status": "cancelled"}}]
    assert [answer.payload async for answer in first] == expected
    assert [answer.payload async for answer in late] == expected
    await running
    assert feed.begun == 2
