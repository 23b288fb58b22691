"""The MCP server over HTTP on one machine, with the client of the package `mcp`, in both eras."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestParams, ElicitResult

from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.served import waiting
from ai_coordination_engine.settings import Settings
from tests.conformance import mcp_tools

ERAS = ("2026-07-28", "legacy")
NAMES = ("greet", "test_elicitation", "test_tool_with_progress", "test_error_handling")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(auth="local", functions=json.loads(mcp_tools.FUNCTIONS))
    with serving(settings, port=0, data_dir=tmp_path_factory.mktemp("served")) as running:
        mcp_tools.expose(running.url, NAMES)
        yield f"{running.page}mcp"


async def says(
    answer: dict[str, Any] | None, asked: list[str], _: object, params: ElicitRequestParams
) -> ElicitResult:
    """Answer a question, or decline it."""
    asked.append(params.message)
    if answer is None:
        return ElicitResult(action="decline")
    return ElicitResult(action="accept", content=answer)


def text(result: Any) -> str:
    return str(result.content[0].text)


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_lists_and_calls_tools(url: str, era: Any) -> None:
    async with Client(url, mode=era) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        assert set(NAMES) <= set(tools)
        assert tools["greet"].input_schema["required"] == ["name"]
        greeted = await client.call_tool("greet", {"name": "Ada"})
        assert (text(greeted), greeted.is_error) == ("Hello, Ada!", False)
        wrong = await client.call_tool("greet", {"name": 3})
        assert wrong.is_error
        failed = await client.call_tool("test_error_handling", {})
        assert failed.is_error
        with pytest.raises(MCPError, match="Unknown tool: nobody"):
            await client.call_tool("nobody", {})


@pytest.mark.parametrize("era", ERAS)
async def test_the_user_of_a_client_is_asked(url: str, era: Any) -> None:
    asked: list[str] = []
    answer = partial(says, {"username": "ada", "email": "a@b.example"}, asked)
    async with Client(url, mode=era, elicitation_callback=answer) as client:
        done = await client.call_tool("test_elicitation", {"message": "Who?"})
    assert json.loads(text(done).removeprefix("User response: ")) == {
        "username": "ada",
        "email": "a@b.example",
    }
    (message,) = asked
    assert message.startswith("a asks the caller:")


@pytest.mark.parametrize("era", ERAS)
async def test_a_wrong_answer_is_asked_for_again_and_a_declined_one_stays_in_the_inbox(
    url: str, era: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_REFRESH", 3600.0)  # nobody looks without a reason
    asked: list[str] = []

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        given = {"username": "ada"} if not asked else None
        return await says(given, asked, context, params)

    async with Client(url, mode=era, elicitation_callback=answer) as client:
        told = await client.call_tool("test_elicitation", {"message": "Who?"})
    assert asked[1].startswith("the answer does not conform to the answerSchema")
    assert "waits for the caller, who must answer in the inbox" in text(told)


@pytest.mark.parametrize("era", ERAS)
async def test_progress_is_told_while_agents_end(url: str, era: Any) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with Client(url, mode=era) as client:
        await client.call_tool("test_tool_with_progress", {}, progress_callback=hear)
    assert set(told) <= {(n, 4, f"{n} of 4 agents have ended.") for n in range(5)}
    assert told == sorted(set(told))
    assert (told[0][0] < 4, told[-1][0]) == (True, 4)


def test_tenants_origins_and_hosts_are_checked(url: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert httpx.post(url, json=body).status_code == 200
    nothing = httpx.post(url.replace("/mcp", "/other/mcp"), json=body)
    assert (nothing.status_code, nothing.json()["error"]["message"]) == (
        404,
        "nothing is exposed to other systems here",
    )
    local = url.replace("/mcp", "/local/mcp/")
    assert httpx.post(local, json=body).status_code == 200
    assert httpx.post(url, json=body, headers={"Part-Id": "eu"}).status_code == 404
    assert httpx.post(url, json=body, headers={"Origin": "https://a.example"}).status_code == 403
    assert httpx.post(url, json=body, headers={"Host": "a.example"}).status_code == 400
    assert httpx.get(url).status_code == 405


def test_a_page_of_this_machine_may_call(url: str) -> None:
    origin = {"Origin": "http://localhost:6274"}
    asked = {**origin, "Access-Control-Request-Method": "POST"}
    allowed = httpx.options(url, headers=asked)
    assert allowed.status_code == 204
    assert "mcp-protocol-version" in allowed.headers["access-control-allow-headers"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answered = httpx.post(url, json=body, headers=origin)
    assert answered.headers["access-control-allow-origin"] == origin["Origin"]


def test_a_body_that_is_too_large_is_not_read(url: str) -> None:
    answered = httpx.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": "x" * Limits().body_bytes}
    )
    assert answered.status_code == 413
