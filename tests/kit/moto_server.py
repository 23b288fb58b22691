"""moto behind HTTP, for code in other processes; tests in this process use `mock_aws`."""

from collections.abc import Iterator, Mapping

import httpx
import pytest
from moto.server import ThreadedMotoServer


@pytest.fixture
def moto_server() -> Iterator[Mapping[str, str]]:
    """The standard AWS variables of an empty AWS on loopback."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    try:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
    finally:
        httpx.post(f"{url}/moto-api/reset").raise_for_status()
        server.stop()
