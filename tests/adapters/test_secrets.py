from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.ports import SecretUnavailable


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager")


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_secret_is_found_by_its_name_and_by_its_arn(aws: Any) -> None:
    arn = aws.create_secret(Name="prod/openai", SecretString="sk-1")["ARN"]
    secrets = SecretsManager()
    assert (secrets.value("prod/openai"), secrets.value(arn)) == ("sk-1", "sk-1")


def test_a_secret_is_kept_for_minutes_and_then_read_again(aws: Any) -> None:
    aws.create_secret(Name="key", SecretString="old")
    now = Time()
    secrets = SecretsManager(keep_seconds=300, now=now)
    assert secrets.value("key") == "old"
    aws.put_secret_value(SecretId="key", SecretString="new")
    now.seconds += 299
    assert secrets.value("key") == "old"
    now.seconds += 1
    assert secrets.value("key") == "new"


def test_a_kept_secret_needs_no_call(aws: Any) -> None:
    aws.create_secret(Name="key", SecretString="sk-1")
    secrets = SecretsManager()
    secrets.value("key")
    aws.delete_secret(SecretId="key", ForceDeleteWithoutRecovery=True)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(secrets.value, ["key"] * 32)) == {"sk-1"}


def test_an_unknown_secret_is_unavailable_for_good(aws: Any) -> None:
    with pytest.raises(SecretUnavailable, match=r"^ResourceNotFoundException$") as failure:
        SecretsManager().value("nothing")
    assert not failure.value.retryable


def test_a_failure_is_not_kept(aws: Any) -> None:
    secrets = SecretsManager()
    with pytest.raises(SecretUnavailable):
        secrets.value("key")
    aws.create_secret(Name="key", SecretString="sk-1")
    assert secrets.value("key") == "sk-1"


def test_a_binary_secret_is_unavailable_for_good(aws: Any) -> None:
    aws.create_secret(Name="key", SecretBinary=b"\x00")
    with pytest.raises(SecretUnavailable, match=r"^it is binary, not text$") as failure:
        SecretsManager().value("key")
    assert not failure.value.retryable


def test_no_way_to_the_secrets_is_worth_a_retry(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SecretUnavailable, match=r"^NoRegionError$") as failure:
        SecretsManager().value("key")
    assert failure.value.retryable


def test_the_secret_before_the_last_rotation(aws: Any) -> None:
    aws.create_secret(Name="key", SecretString="old")
    secrets = SecretsManager()
    with pytest.raises(SecretUnavailable, match=r"^ResourceNotFoundException$"):
        secrets.value("key", previous=True)
    aws.put_secret_value(SecretId="key", SecretString="new")
    assert (secrets.value("key"), secrets.value("key", previous=True)) == ("new", "old")


def test_a_secret_is_read_again_when_what_is_kept_is_too_old(aws: Any) -> None:
    aws.create_secret(Name="key", SecretString="old")
    now = Time()
    secrets = SecretsManager(keep_seconds=300, now=now)
    assert secrets.value("key") == "old"
    aws.put_secret_value(SecretId="key", SecretString="new")
    now.seconds += 9
    assert secrets.value("key", max_age=10) == "old"
    now.seconds += 1
    assert secrets.value("key", max_age=10) == "new"
