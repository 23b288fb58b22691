from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import graphene
import httpx
import pytest
from starlette.applications import Starlette

from ai_coordination_engine.api.limits import Documents, Limits
from ai_coordination_engine.entrypoints.local.asgi_routes import GraphQLRoutes
from ai_coordination_engine.errors import Unauthenticated


class Query(graphene.ObjectType):
    whose = graphene.List(graphene.String)

    def resolve_whose(self, info: Any) -> list[str | None]:
        return [info.context.endpoint_id, info.context.part_id, info.context.method]


@dataclass
class FakeContext:
    endpoint_id: str | None
    part_id: str | None
    method: str
    warnings: list[str] = field(default_factory=list)
    trace: str | None = None

    def __post_init__(self) -> None:
        if self.part_id == "nobody":
            raise Unauthenticated("who?")
        if self.part_id == "broken":
            raise RuntimeError("ace-tasks")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    documents = Documents(graphene.Schema(query=Query).graphql_schema, Limits(body_bytes=100))
    app = Starlette(routes=GraphQLRoutes(documents, FakeContext).routes())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "endpoint_id"),
    [("/graphql", None), ("/acme/graphql", "acme"), ("/a%23b/ai_coordination_graphql", "a#b")],
)
async def test_the_path_names_the_endpoint_and_the_header_the_part(
    client: httpx.AsyncClient, path: str, endpoint_id: str | None
) -> None:
    posted = await client.post(path, json={"query": "{ whose }"}, headers={"Part-Id": "eu"})
    assert posted.json() == {"data": {"whose": [endpoint_id, "eu", "POST"]}}
    got = await client.get(path, params={"query": "{ whose }"})
    assert got.json() == {"data": {"whose": [endpoint_id, None, "GET"]}}


async def test_headers_that_are_sent_twice_both_count(client: httpx.AsyncClient) -> None:
    headers = [("accept", "text/html"), ("accept", "application/graphql-response+json")]
    answered = await client.get("/graphql", params={"query": "{ whose }"}, headers=headers)
    assert answered.headers["content-type"] == "application/graphql-response+json; charset=utf-8"


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(client: httpx.AsyncClient, method: str) -> None:
    answered = await client.request(method, "/graphql")
    assert (answered.status_code, answered.headers["allow"]) == (405, "GET, POST")


async def test_a_body_over_the_limit_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(60)
            yield b" " * 60

    answered = await client.post(
        "/graphql", content=endless(), headers={"content-type": "application/json"}
    )
    assert (answered.status_code, sent) == (413, [60, 60])


async def test_a_client_that_goes_away_within_its_body_raises_nothing() -> None:
    app = Starlette(
        routes=GraphQLRoutes(
            Documents(graphene.Schema(query=Query).graphql_schema), FakeContext
        ).routes()
    )
    messages: list[Any] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "headers": [],
        "query_string": b"",
    }

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert (messages, sent[0]["status"]) == ([], 499)


@pytest.mark.parametrize(
    ("part", "status", "code"), [("nobody", 401, "UNAUTHENTICATED"), ("broken", 500, "INTERNAL")]
)
async def test_a_context_that_can_not_be_made_is_a_coded_error(
    client: httpx.AsyncClient, part: str, status: int, code: str
) -> None:
    answered = await client.post("/graphql", json={"query": "{ whose }"}, headers={"Part-Id": part})
    (error,) = answered.json()["errors"]
    assert (answered.status_code, error["extensions"]["code"]) == (status, code)
    assert "ace-tasks" not in answered.text
