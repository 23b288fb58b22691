"""A subscription that is executed once for all who watch it."""

import asyncio
from typing import Any

from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.api.live.subscription import Answer
from ai_coordination_engine.entrypoints.local.live.feed import Feed, Watcher


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


class Counted:
    """A subscription whose answer is a number, and its feed."""

    def __init__(self) -> None:
        self.number = self.executions = 0
        self.changes = ProcessChanges()
        self.feed = Feed(Named(), self._execute, self.changes)  # type: ignore[arg-type]
        self.running = asyncio.create_task(self.feed.run())

    async def _execute(self, heard: Any) -> Answer:
        self.executions += 1
        return Answer({"data": self.number}, is_last=self.number < 0)

    def change(self, number: int) -> None:
        self.number = number
        self.changes.announce(["session"])


async def taken(watcher: Watcher) -> list[Any]:
    return [answer.payload["data"] async for answer in watcher]


async def test_many_changes_are_at_most_ten_answers_a_second_for_all_who_watch() -> None:
    counted = Counted()
    tasks = [asyncio.create_task(taken(counted.feed.join())) for _ in range(50)]
    begun = asyncio.get_running_loop().time()
    for number in range(1, 51):
        counted.change(number)
        await asyncio.sleep(0.01)
    counted.change(-1)
    seen = await asyncio.gather(*tasks)
    seconds = asyncio.get_running_loop().time() - begun
    assert all(each[-1] == -1 for each in seen)
    assert all(each == [*sorted(each[:-1]), -1] for each in seen)
    most = seconds * 10 + 2
    assert max(map(len, seen)) <= most
    assert counted.executions <= most + 1


async def test_an_answer_that_is_the_same_is_not_sent_again() -> None:
    counted = Counted()
    task = asyncio.create_task(taken(counted.feed.join()))
    for _ in range(3):
        counted.change(7)
        await asyncio.sleep(0.12)
    counted.change(-1)
    assert (await task)[-2:] == [7, -1]
    assert len(set(await task)) == len(await task)


async def test_a_refusal_because_of_load_is_passed_over_once_there_was_an_answer() -> None:
    refused = Answer({"errors": []}, refusal=[{"message": "busy"}], is_passing=True)
    answers = [Answer({"data": 1}), refused, Answer({"data": 2}, is_last=True)]
    changes = ProcessChanges()

    async def execute(heard: Any) -> Answer:
        answer = answers.pop(0)
        changes.announce(["session"])
        return answer

    feed = Feed(Named(), execute, changes)  # type: ignore[arg-type]
    watcher, running = feed.join(), asyncio.create_task(feed.run())
    assert await taken(watcher) == [1, 2]
    await running


async def test_an_error_of_an_execution_is_told_without_its_details() -> None:
    async def execute(heard: Any) -> Answer:
        raise RuntimeError("ace-tasks")

    feed = Feed(Named(), execute, ProcessChanges())  # type: ignore[arg-type]
    watcher, running = feed.join(), asyncio.create_task(feed.run())
    (answer,) = [each async for each in watcher]
    assert answer.refusal is not None
    assert "ace-tasks" not in str(answer.refusal)
    await running
