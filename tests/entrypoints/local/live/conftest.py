"""A local server for the tests of a module."""

from collections.abc import Iterator

import pytest

from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.settings import Settings


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    functions = {"write": "tests.kit.functions:write", "sleep": "tests.kit.functions:sleep"}
    with serving(Settings(auth="local", functions=functions), port=0) as running:
        yield running


@pytest.fixture
def url(server: Running, tenant: str) -> str:
    """The address of the API for a tenant of the test's own."""
    return server.url.replace("/graphql", f"/{tenant}/graphql")
