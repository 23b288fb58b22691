"""A deployment whose WebSocket API and push function the tests call."""

import asyncio
from collections.abc import Iterator

import pytest
from moto import mock_aws

from benchmarks.harness.memory import in_memory
from tests.kit.sockets import Home


@pytest.fixture(scope="module")
def deployed() -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws(), in_memory() as database, asyncio.Runner() as runner:
            yield Home(database, runner)


@pytest.fixture
def home(deployed: Home) -> Home:
    deployed.reset()
    return deployed
