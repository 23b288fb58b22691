from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ai_coordination_engine.adapters.s3 import S3Blobs
from ai_coordination_engine.errors import Throttled


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def blobs(made: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Blobs]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.session.Session().client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="values")

        def make_client():  # type: ignore[no-untyped-def]
            made.append("client")
            return client

        yield S3Blobs(make_client, "values")


def test_value_survives(blobs: S3Blobs) -> None:
    blobs.put("a/b", b"\x00\xff" * 300_000)
    assert blobs.get("a/b") == b"\x00\xff" * 300_000


def test_storing_the_same_key_again_is_harmless(blobs: S3Blobs) -> None:
    blobs.put("a", b"1")
    blobs.put("a", b"1")
    assert blobs.get("a") == b"1"


def test_missing_value_is_a_key_error(blobs: S3Blobs) -> None:
    with pytest.raises(KeyError, match="nothing"):
        blobs.get("nothing")


def test_deleting_a_prefix_keeps_other_values(blobs: S3Blobs) -> None:
    blobs.put("a/1", b"1")
    blobs.put("a/2", b"2")
    blobs.put("b/1", b"3")
    blobs.delete_all("a/")
    blobs.delete_all("a/")
    with pytest.raises(KeyError):
        blobs.get("a/1")
    assert blobs.get("b/1") == b"3"


def test_client_is_made_once_and_only_when_needed(blobs: S3Blobs, made: list[str]) -> None:
    assert made == []
    blobs.put("a", b"1")
    blobs.get("a")
    assert made == ["client"]


def test_missing_bucket_is_not_hidden(blobs: S3Blobs) -> None:
    other = S3Blobs(lambda: boto3.session.Session().client("s3", region_name="us-east-1"), "other")
    with pytest.raises(ClientError, match="NoSuchBucket") as caught:
        other.get("a")
    assert caught.value.__cause__ is None


def test_slow_down_is_throttled() -> None:
    class Busy:
        def put_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "PutObject")

    with pytest.raises(Throttled):
        S3Blobs(Busy, "values").put("a", b"1")  # type: ignore[arg-type, return-value]


class Refusing:
    """A client that reports, for one key of a delete request, that it was not deleted."""

    def get_paginator(self, name: str) -> "Refusing":
        return self

    def paginate(self, **_: str) -> list[dict[str, list[dict[str, str]]]]:
        return [{"Contents": [{"Key": "a/1"}, {"Key": "a/2"}]}]

    def delete_objects(self, **_: object) -> dict[str, list[dict[str, str]]]:
        return {"Errors": [{"Key": "a/2", "Code": "SlowDown", "Message": ""}]}


def test_a_value_that_is_not_deleted_is_said() -> None:
    with pytest.raises(Throttled):
        S3Blobs(Refusing, "values").delete_all("a/")  # type: ignore[arg-type]
