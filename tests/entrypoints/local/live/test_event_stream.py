"""Server-sent events from a real server (graphql-sse, distinct connections mode)."""

from typing import Any

import httpx
import pytest

from ai_coordination_engine.api.live import events
from tests.kit.live import EVENTS, LIST, SESSION, diamond, post, streamed
from tests.kit.servers import COORDINATION, START

URQL = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_session_is_streamed_until_it_ends(url: str, method: str) -> None:
    await diamond(url)
    async with streamed(url, SESSION, method=method, s="s") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert await stream.next() == ("next", {"data": {"session": None}})
        await post(url, START, s="s")
        *before, end = [await stream.next()]
        while end[0] == "next":
            before.append(end)
            end = await stream.next()
        assert end == ("complete", None)
        last = (await post(url, SESSION.replace("subscription", "query"), s="s"))["session"]
        assert before[-1][1]["data"]["session"] == last


async def test_queries_and_mutations_are_one_event(url: str) -> None:
    async with streamed(url, COORDINATION, agents=[]) as stream:
        made = {"coordination": {"coordinationUuid": "c"}}
        assert await stream.next() == ("next", {"data": {"insertUpdateCoordination": made}})
        assert await stream.next() == ("complete", None)


@pytest.mark.parametrize("query", ["subscription {", "{ unknown }", "subscription { unknown }"])
async def test_errors_of_the_document_are_events(url: str, query: str) -> None:
    async with streamed(url, query) as stream:
        assert stream.response.status_code == 200
        kind, payload = await stream.next()
        assert (kind, payload["errors"][0]["extensions"]["code"]) == ("next", "BAD_USER_INPUT")
        assert await stream.next() == ("complete", None)


async def test_errors_of_the_request_are_http_statuses(url: str) -> None:
    document = 'mutation { deleteCoordination(coordinationUuid: "c") { ok } }'
    wrong: list[tuple[str, dict[str, Any], int]] = [
        ("GET", {"params": {"query": document}}, 405),
        ("PUT", {"json": {"query": LIST}}, 405),
        ("POST", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ("POST", {"json": {"query": 1}}, 400),
        ("POST", {"json": {"query": LIST}, "headers": {"Part-Id": "a b"}}, 400),
        ("POST", {"json": {"query": LIST}, "headers": {"Origin": "https://evil.example"}}, 403),
    ]
    async with httpx.AsyncClient(headers=EVENTS) as client:
        answered = [
            (await client.request(method, url, **given)).status_code for method, given, _ in wrong
        ]
    assert answered == [status for _, _, status in wrong]


async def test_a_client_that_takes_both_gets_a_stream_for_subscriptions_alone(url: str) -> None:
    accept = {"Accept": URQL}
    async with httpx.AsyncClient(headers=accept) as client:
        answered = await client.post(url, json={"query": "query { __typename }"})
        refused = await client.post(url, json={"query": "subscription { unknown }"})
    assert answered.json() == {"data": {"__typename": "Query"}}
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (
        400,
        "BAD_USER_INPUT",
    )
    async with streamed(url, LIST, accept) as stream:
        assert (await stream.next())[0] == "next"


async def test_without_events_a_subscription_says_what_it_needs(url: str) -> None:
    async with httpx.AsyncClient() as client:
        (error,) = (await client.post(url, json={"query": LIST})).json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "Accept: text/event-stream" in error["message"]


async def test_a_quiet_stream_has_comments(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.02)
    async with streamed(url, LIST) as stream:
        while await stream.next() == ("", None):  # before the first answer, on a busy machine
            pass
        assert await stream.next() == ("", None)
        assert await stream.next() == ("", None)


async def test_a_page_of_this_machine_may_read_the_stream(url: str) -> None:
    headers = {**EVENTS, "Origin": "http://localhost:3000"}
    async with streamed(url, LIST, headers) as stream:
        allowed = stream.response.headers["access-control-allow-origin"]
        assert allowed == "http://localhost:3000"
