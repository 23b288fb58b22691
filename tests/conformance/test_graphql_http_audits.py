"""The audits of the npm package `graphql-http` against a real HTTP server: GraphQL over HTTP, to its specification."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

import graphene
import pytest
import uvicorn
from starlette.applications import Starlette

from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.entrypoints.asgi_routes import GraphQLRoutes

HERE = Path(__file__).parent
LOCK = HERE / "package-lock.json"
CACHE = HERE.parents[1] / ".cache"

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(
        shutil.which("npm") is None and not os.environ.get("CI"),
        reason="needs Node and npm (always run in CI)",
    ),
]


class Query(graphene.ObjectType):
    hello = graphene.String()


class NoContext:
    def __init__(self) -> None:
        self.warnings: list[str] = []


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


def installed_audits() -> Path:
    """The folder with the pinned packages, installed once for each lock file; a rename makes it appear complete."""
    target = CACHE / f"graphql-http-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        unfinished = Path(mkdtemp(dir=CACHE))
        for name in ("package.json", LOCK.name):
            shutil.copy(HERE / name, unfinished)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=unfinished, check=True)
        unfinished.rename(target)
    return target


def test_all_audits_of_graphql_over_http_pass(url: str) -> None:
    process = subprocess.run(
        ["node", str(HERE / "audit.mjs"), url, str(installed_audits())],
        check=True,
        capture_output=True,
        timeout=60,
    )
    results = json.loads(process.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61
