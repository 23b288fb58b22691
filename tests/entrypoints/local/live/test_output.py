"""The text of an agent while it is written."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.functions import GATES
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


async def part(socket: Any, is_wanted: Callable[[Any], bool]) -> Any:
    """Return the first answer of the subscription that is wanted."""
    while True:
        message = await socket.receive()
        if message["id"] == "1" and is_wanted(message["payload"]["data"]["agentOutput"]):
            return message["payload"]["data"]["agentOutput"]


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
    url: str, tenant: str, answer: list[str], expected: str
) -> None:
    async with opened(url) as socket, opened(url) as other:
        for each in (socket, other):
            await each.init()
        await socket.subscribe(LIST, id="list")  # so that somebody watches when it begins
        assert (await socket.receive())["id"] == "list"
        agent = await start(url, words=WORDS, answer=answer, gate=True)
        for each in (socket, other):
            await each.subscribe(OUTPUT, a=agent)
        first = await part(socket, lambda found: bool(found["delta"]))
        assert (first["delta"], first["done"], first["attempt"]) == ("one ", False, 1)
        GATES[tenant].set()
        rest = "".join(each["delta"] for each in await parts(socket))
        assert first["delta"] + rest == expected
        whole = "".join(each["delta"] for each in await parts(other))
        assert whole == expected


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
