"""Applications that the tests of one module share: making tables and clients costs more than most
tests.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from benchmarks.harness.memory import in_memory
from tests.kit.dynamodb_local import dynamodb_local, store

__all__ = ["dynamodb_local", "store"]


@pytest.fixture(scope="module")
def shared_app() -> Iterator[App]:
    """An application on an in-process AWS, its DynamoDB in memory; its tests keep apart by
    tenant.
    """
    with mock_aws(), in_memory(), pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        settings = Settings(auth="local", agent_timeout_seconds=30)
        bootstrap.create_tables(settings)
        yield bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test knows."""
    return f"tenant-{uuid4()}"
