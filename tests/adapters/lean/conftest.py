"""Fixtures of the lean client."""

from collections.abc import Iterator
from types import SimpleNamespace

import botocore.endpoint
import pytest

from tests.kit.raw_service import Service


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test this client, whichever one the suite runs with."""
    monkeypatch.setenv("ACE_AWS_CLIENT", "lean")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service()
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
    yield made
    made.close()
