"""Store values in S3 that are too large for a DynamoDB item; the store calls it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ai_coordination_engine.backend import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


class S3Blobs:
    """Implements `ports.Blobs` in one bucket. Thread-safe.

    The client is created on first use, because most requests need none. Every method raises
    `Throttled` when S3 throttles the request, and `Unavailable` when S3 fails or times out.
    """

    def __init__(self, make_client: "Callable[[], S3Client]", bucket: str) -> None:
        self._make_client = make_client
        self._bucket = bucket
        self._lock = threading.Lock()
        self._made: S3Client | None = None

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`."""
        with _translated(key):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Return the bytes stored under `key`; raises `KeyError` when there are none."""
        with _translated(key):
            return self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def delete_all(self, prefix: str) -> None:
        """Delete every key that begins with `prefix`."""
        pages = (
            self._client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=prefix)
        )
        with _translated(prefix):
            for page in pages:
                keys: list[ObjectIdentifierTypeDef] = [
                    {"Key": each["Key"]} for each in page.get("Contents", ())
                ]
                if keys:
                    answer = self._client().delete_objects(
                        Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                    )
                    for refused in answer.get("Errors", ()):  # the request itself succeeded
                        raise ClientError(
                            {"Error": {"Code": refused.get("Code", "")}}, "DeleteObjects"
                        )

    def _client(self) -> "S3Client":
        with self._lock:
            if self._made is None:
                self._made = self._make_client()
            return self._made


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Translate errors of S3 into those of this package; pass on all others unchanged."""
    try:
        with translated("the storage of large values"):
            yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            raise KeyError(key) from error
        raise
