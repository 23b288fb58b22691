"""The text of an agent while it is written."""

from typing import Any

import pytest

from tests.kit.live import LIST, opened, post
from tests.kit.servers import COORDINATION, START, TASK

OUTPUT = """subscription($a: String!) {
  agentOutput(sessionUuid: "s", sessionAgentUuid: $a) { delta done attempt } }"""
AGENT = """{ session(coordinationUuid: "c", sessionUuid: "s") {
  sessionAgents { sessionAgentUuid agentOutput } } }"""


async def start(url: str, **runtime: Any) -> str:
    runtime = {"kind": "function", "name": "write", **runtime}
    await post(url, COORDINATION, agents=[{"agentUuid": "a", "runtime": runtime}])
    await post(url, TASK, actions={"a": {}})
    await post(url, START, s="s")
    (agent,) = (await post(url, AGENT))["session"]["sessionAgents"]
    return str(agent["sessionAgentUuid"])


async def parts(socket: Any, id: str = "1") -> list[Any]:
    """Return the answers of a subscription until it ends."""
    found = []
    while (message := await socket.receive())["type"] != "complete":
        if message["id"] == id:
            found.append(message["payload"]["data"]["agentOutput"])
    return found


WORDS = ["one ", "two ", "three ", "four"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (WORDS, "one two three four"),
        ([*WORDS, " five"], "one two three four five"),
        (["other"], "one two three four"),
    ],
)
async def test_a_text_arrives_in_parts_and_ends_with_the_agent(
    url: str, answer: list[str], expected: str
) -> None:
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(LIST, id="list")  # so that somebody watches when it begins
        assert (await socket.receive())["id"] == "list"
        agent = await start(url, words=WORDS, answer=answer, seconds=0.1)
        await socket.subscribe(OUTPUT, a=agent)
        found = await parts(socket)
    assert "".join(each["delta"] for each in found) == expected
    assert [each["done"] for each in found] == [*[False] * (len(found) - 1), True]
    assert len(found) >= 2
    assert found[-1]["attempt"] == 1


async def test_two_clients_get_the_same_text(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        for each in (first, second):
            await each.init()
        await first.subscribe(LIST, id="list")
        await first.receive()
        agent = await start(url, words=WORDS, seconds=0.1)
        for each in (first, second):
            await each.subscribe(OUTPUT, a=agent)
        texts = ["".join(part["delta"] for part in await parts(each)) for each in (first, second)]
    assert texts == ["one two three four"] * 2


async def test_the_text_of_an_agent_that_has_ended_is_one_part(url: str) -> None:
    agent = await start(url, words=WORDS)
    async with opened(url) as socket:
        await socket.init()
        await socket.subscribe(OUTPUT, a=agent)
        found = await parts(socket)
        text = "".join(each["delta"] for each in found)
        assert (text, found[-1]["done"]) == ("one two three four", True)
        await socket.subscribe(OUTPUT, a="unknown", id="2")
        assert (await socket.receive())["payload"] == {"data": {"agentOutput": None}}


async def test_another_tenant_gets_nothing(url: str) -> None:
    agent = await start(url, words=WORDS)
    async with opened(url.replace("/graphql", "-other/graphql")) as socket:
        await socket.init()
        await socket.subscribe(OUTPUT, a=agent)
        assert (await socket.receive())["payload"] == {"data": {"agentOutput": None}}
