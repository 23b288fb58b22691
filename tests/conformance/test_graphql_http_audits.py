"""The audits of the npm package `graphql-http` (GraphQL over HTTP) against a real HTTP server."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import graphene
import pytest
import uvicorn
from starlette.applications import Starlette

from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.entrypoints.local.asgi_routes import GraphQLRoutes
from tests.kit.node import installed, needs_node

HERE = Path(__file__).parent

pytestmark = [pytest.mark.conformance, needs_node]


class Query(graphene.ObjectType):
    hello = graphene.String()


class NoContext:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.trace: str | None = None


@pytest.fixture
def url() -> Iterator[str]:
    documents = Documents(graphene.Schema(query=Query).graphql_schema)
    app = Starlette(routes=GraphQLRoutes(documents, lambda *_: NoContext()).routes())
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
        server.should_exit = True
        thread.join()


def test_all_audits_of_graphql_over_http_pass(url: str) -> None:
    process = subprocess.run(
        ["node", str(HERE / "audit.mjs"), url, str(installed(HERE))],
        check=True,
        capture_output=True,
        timeout=60,
    )
    results = json.loads(process.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61
