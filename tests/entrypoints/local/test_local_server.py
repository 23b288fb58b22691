"""The local server against browsers, attacking pages and disconnected clients."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphene
import httpx
import pytest
from starlette.applications import Starlette

from ai_coordination_engine.api.cors import LOOPBACK
from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.entrypoints.local import documents
from ai_coordination_engine.entrypoints.local.asgi_routes import GraphQLRoutes, not_found_route
from ai_coordination_engine.entrypoints.local.console import console_for, console_routes
from ai_coordination_engine.entrypoints.local.documents import document_routes
from ai_coordination_engine.entrypoints.local.local_guard import LocalGuard
from ai_coordination_engine.entrypoints.local.markdown_page import html_of

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
ORIGIN = "https://app.example"


class Query(graphene.ObjectType):
    hello = graphene.String()

    def resolve_hello(self, info: Any) -> str:
        return "Hello"


@dataclass
class FakeContext:
    endpoint_id: str | None
    part_id: str | None
    method: str
    warnings: list[str] = field(default_factory=list)
    trace: str | None = None


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    parsed = Documents(graphene.Schema(query=Query).graphql_schema, Limits(body_bytes=100))
    origins = [*LOOPBACK, ORIGIN]
    graphql = GraphQLRoutes(parsed, FakeContext, origins, console_for).routes()
    app = LocalGuard(
        Starlette(
            routes=[*graphql, *document_routes(), *console_routes(), not_found_route(origins)]
        ),
        [ORIGIN],
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000"
    ) as made:
        yield made


def refused(answered: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal, which must have a message."""
    assert answered.headers["content-type"] == "application/json; charset=utf-8"
    (error,) = answered.json()["errors"]
    assert len(error["message"]) > 5
    return answered.status_code, error["extensions"]["code"]


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/graphql", "/"),
        ("/graphql/", "/"),
        ("/acme/graphql", "/acme/"),
        ("/acme/ai_coordination_graphql", "/acme/"),
        ("/%5C%5Cevil.example/graphql", "/%5C%5Cevil.example/"),
        ("/%22%3E%3Cscript%3E'/graphql", "/%22%3E%3Cscript%3E%27/"),
    ],
)
async def test_a_browser_that_opens_the_api_gets_the_console(
    client: httpx.AsyncClient, path: str, page: str
) -> None:
    answered = await client.get(path, headers={"accept": BROWSER})
    assert (answered.status_code, answered.headers["location"]) == (302, page)
    assert answered.headers["vary"] == "accept"
    shown = await client.get(page, headers={"accept": BROWSER})
    assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_browser_that_sends_a_query_gets_its_answer(client: httpx.AsyncClient) -> None:
    headers = {"accept": BROWSER}
    answered = await client.get("/graphql", params={"query": "{ hello }"}, headers=headers)
    assert answered.json() == {"data": {"hello": "Hello"}}


async def test_what_is_no_browser_finds_no_console_below_an_endpoint(
    client: httpx.AsyncClient,
) -> None:
    answered = await client.get("/acme/", headers={"accept": "application/json"})
    assert refused(answered) == (404, "NOT_FOUND")


async def test_the_schema_that_the_page_links_to_is_there_as_text(
    client: httpx.AsyncClient,
) -> None:
    answered = await client.get("/schema.graphql")
    assert (answered.status_code, answered.headers["content-type"]) == (
        200,
        "text/plain; charset=utf-8",
    )
    assert "insertUpdateCoordination(" in answered.text


async def test_every_link_of_the_documentation_leads_to_a_page_and_its_heading(
    client: httpx.AsyncClient,
) -> None:
    pages, waiting = {}, ["/README.md"]
    links: set[str] = set()
    while waiting:
        if (path := waiting.pop()) not in pages:
            answered = await client.get(path)
            assert (answered.status_code, answered.headers["content-type"]) == (
                200,
                "text/html; charset=utf-8",
            ), path
            pages[path] = answered.text.partition("<main>")[2]
            found = [
                each for each in re.findall(r'href="([^"]*)"', pages[path]) if each != "data:,"
            ]
            own = [
                path + each if each.startswith("#") else each
                for each in found
                if not each.startswith("http")
            ]
            links.update(own)
            waiting += [each.partition("#")[0] for each in own]
    assert len(pages) > 10
    ends = [link.partition("#")[::2] for link in sorted(links)]
    assert [each for each in ends if each[1] and f'id="{each[1]}"' not in pages[each[0]]] == []
    assert "<script" not in "".join(pages.values())
    assert (await client.get("/docs/..%2fLICENSE")).status_code == 404


async def test_an_installed_package_shows_its_readme_alone(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(documents, "_ROOT", tmp_path)
    documents._documents.cache_clear()
    try:
        shown, other = await client.get("/README.md"), await client.get("/docs/agents.md")
    finally:
        documents._documents.cache_clear()
    assert (shown.status_code, other.status_code) == (200, 404)
    assert "<h1 " in shown.text
    assert 'href="/' not in shown.text.partition("<main>")[2]


def test_a_link_to_what_is_not_served_stays_as_its_words() -> None:
    assert (
        html_of("[a](docs/b.md) [c](#d) [e](http://f.example/)", "README.md", [])
        == '<p><a>a</a> <a href="#d">c</a> <a href="http://f.example/">e</a></p>\n'
    )


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, "?query={hello}"),
        ({"accept": "*/*"}, "?query={hello}"),
        ({"accept": BROWSER}, "?query={hello}"),
        ({"accept": "text/html, application/json"}, "?query={hello}"),
    ],
)
async def test_a_query_is_answered_whoever_asks(
    client: httpx.AsyncClient, headers: Mapping[str, str], query: str
) -> None:
    assert (await client.get("/graphql" + query, headers=headers)).json() == {
        "data": {"hello": "Hello"}
    }


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/json;q=0.1"])
async def test_a_program_without_a_query_gets_an_error_not_a_page(
    client: httpx.AsyncClient, accept: str
) -> None:
    assert refused(await client.get("/graphql", headers={"accept": accept})) == (
        400,
        "BAD_USER_INPUT",
    )


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
)
@pytest.mark.parametrize(
    "path", ["/nothing", "/favicon.ico", "/graphql/x", "/a/b/graphql", "/a%2Fb/graphql"]
)
async def test_an_unknown_path_is_404_with_a_hint(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answered = await client.request(method, path)
    assert refused(answered) == (404, "NOT_FOUND")
    assert "/graphql" in answered.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    ("path", "allowed"), [("/graphql", "GET, POST"), ("/graphql/", "GET, POST"), ("/", "GET, HEAD")]
)
async def test_an_unknown_method_is_405_with_those_to_use(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answered = await client.request(method, path)
    assert (refused(answered), answered.headers["allow"]) == ((405, "BAD_USER_INPUT"), allowed)


async def test_a_body_that_announces_too_much_is_not_read(client: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    headers = {"content-length": "101", "content-type": "application/json"}
    assert refused(await client.post("/graphql", content=never(), headers=headers)) == (
        413,
        "TOO_COMPLEX",
    )


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("", 415)],
)
async def test_what_a_page_may_send_without_asking_is_refused(
    client: httpx.AsyncClient, content_type: str, status: int
) -> None:
    body = b'{"query": "{ hello }"}'
    answered = await client.post("/graphql", content=body, headers={"content-type": content_type})
    assert refused(answered) == (status, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost:8000", "LOCALHOST:80", "[::1]:8000"]
)
async def test_the_names_of_loopback_are_served(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/graphql?query={hello}", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "evil.localhost",
        "localhost:8000@evil.example",
        "localhost:",
        "0.0.0.0:8000",
        "[::1",
    ],
)
async def test_a_name_that_was_made_to_resolve_to_loopback_is_not(
    client: httpx.AsyncClient, host: str
) -> None:
    for path in ("/", "/graphql?query={hello}", "/nothing"):
        assert refused(await client.get(path, headers={"host": host})) == (400, "BAD_USER_INPUT")


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_pages_of_other_sites_may_not_call(
    client: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    asked = {"access-control-request-method": "POST"} if method == "OPTIONS" else {}
    types = {"content-type": "text/plain"} if method == "POST" else {}
    body = b'{"query": "{ hello }"}' if method == "POST" else b""
    answered = await client.request(
        method, "/graphql?query={hello}", headers={**headers, **types, **asked}, content=body
    )
    assert refused(answered) == (403, "FORBIDDEN")
    assert "access-control-allow-origin" not in answered.headers


async def test_a_link_from_another_site_opens_the_page(client: httpx.AsyncClient) -> None:
    headers = {"accept": BROWSER, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await client.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:1", ORIGIN]
)
async def test_a_page_of_loopback_is_told_what_it_may_send(
    client: httpx.AsyncClient, origin: str
) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    answered = await client.options("/acme/graphql", headers=asked)
    wanted = {"traceparent", "tracestate", "authorization", "part-id", "content-type"}
    assert answered.status_code == 204
    assert answered.headers["access-control-allow-origin"] == origin
    assert wanted <= set(answered.headers["access-control-allow-headers"].split(", "))
    body = json.dumps({"query": "{ hello }"}).encode()
    headers = {"origin": origin, "content-type": "application/json", "sec-fetch-site": "cross-site"}
    sent = await client.post("/acme/graphql", content=body, headers=headers)
    assert (sent.json(), sent.headers["access-control-allow-origin"]) == (
        {"data": {"hello": "Hello"}},
        origin,
    )
    assert (await client.get("/nothing", headers={"origin": origin})).headers[
        "access-control-allow-origin"
    ] == origin
